"""Over-use: who is warned, who is ended for it and when, and who never is."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Terminate
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.overuse_choice import terminates
from gpusched.core.policy import OverUseRules, Policy
from gpusched.core.request import OverUse
from gpusched.core.sample import DeviceReading
from gpusched.core.sizes import GIB
from gpusched.core.ticking import next_deadline
from gpusched.core.violation import ViolationKind
from tests.fakes.builders import context, facts, process, reading, sample
from tests.fakes.host import changed_leases, sentences
from tests.fakes.kernel_builders import own_cgroup, service
from tests.fakes.overusing import (
    COOL,
    GPU,
    GRACE,
    TERMINATE,
    UNREAD,
    holder,
    host,
    only,
    tick,
    ticked,
)


def test_a_lease_above_its_limit_is_warned() -> None:
    """The holder gets a notice with what comes and when, the history a line, the lease a breach
    with the bytes that were found.
    """
    made = host(holder("1"))
    done = tick(made, l1=5 * GIB)
    (violation,) = only(made).violations
    assert (violation.kind, violation.device) == (ViolationKind.OVER_LIMIT, GPU.uuid)
    assert (violation.memory, violation.since) == (5 * GIB, made.now)
    assert violation.deadline == made.now.instant + GRACE * SECOND
    (notice,) = made.ledger.notices
    assert (notice.lease, notice.kind, notice.device) == (
        "lease-1",
        NoticeKind.OVER_LIMIT,
        GPU.uuid,
    )
    assert (notice.action, notice.action_at) == (NoticeAction.TERMINATE, violation.deadline)
    assert notice.sentence in sentences(done)
    assert notice.sentence == f"holds 5 GiB of 4 GiB on {GPU.uuid}; SIGTERM is sent in 10 s"
    assert not any(isinstance(one, Terminate) for one in done.actions)


def test_a_process_that_is_listed_twice_breaks_no_limit() -> None:
    """A driver that lists one twice says what it has twice: it is not ended for that."""
    made = host(holder("1"))
    rows = [context(101, 3 * GIB)] * 2
    for _ in range(3):
        made.later(GRACE)
        ticked(made, reading(GPU, *rows, used=3 * GIB), [LeaseId("lease-1")])
    assert only(made).violations == ()
    assert only(made).usable


def test_a_breach_that_lasts_is_told_once() -> None:
    """As long as it goes on nothing is written again, and the next deadline is the ledger's."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    first = only(made).violations
    made.later(1)
    done = tick(made, l1=5 * GIB)
    assert only(made).violations == first
    assert (changed_leases(done), sentences(done)) == ([], [])
    assert next_deadline(made.ledger) == first[0].deadline


def test_a_lease_still_above_its_limit_is_ended() -> None:
    """After the grace its processes get SIGTERM, and it ends with how much it was above."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    made.later(GRACE)
    done = tick(made, l1=6 * GIB)
    assert Terminate(own_cgroup()) in done.actions
    ended = only(made)
    assert (ended.state, ended.reason) == (LeaseState.RELEASING, EndReason.OVER_LIMIT)
    assert ended.detail == f"2 GiB above 4 GiB on {GPU.uuid}"
    assert ended.clocks.kill == made.now.instant + Policy().grace


def test_the_limit_itself_is_no_breach() -> None:
    """A lease may use all of its limit, and the configured tolerance above it."""
    made = host(holder("1"), rules=replace(TERMINATE, tolerance=GIB))
    tick(made, l1=5 * GIB)
    assert only(made).violations == ()
    tick(made, l1=5 * GIB + 1)
    assert len(only(made).violations) == 1


def test_whole_devices_have_no_limit() -> None:
    """A lease without a memory size may use all there is."""
    made = host(holder("1", limit=None))
    tick(made, l1=70 * GIB)
    assert only(made).violations == ()


def test_the_default_is_to_warn() -> None:
    """Unless somebody says otherwise nothing follows a warning."""
    made = host(holder("1"), rules=OverUseRules())
    tick(made, l1=5 * GIB)
    (notice,) = made.ledger.notices
    assert (notice.action, notice.action_at) == (NoticeAction.NOTHING, None)
    assert notice.sentence.endswith("it is only warned")
    made.later(10_000)
    made.ledger.ticked_at = made.now.instant
    tick(made, l1=9 * GIB)
    assert only(made).usable


@pytest.mark.parametrize("asked", OverUse)
@pytest.mark.parametrize("configured", [True, False])
def test_the_stricter_word_holds(asked: OverUse, *, configured: bool) -> None:
    """A lease may ask to be ended, but not to be let off."""
    one = holder("1", over_use=asked)
    made = host(one, rules=OverUseRules(terminate=configured))
    assert terminates(made.ledger, one) == (configured or asked is OverUse.TERMINATE)


def test_a_lease_that_cannot_be_ended_is_only_warned() -> None:
    """Processes known by name, in a cgroup of others or of two leases are not gpusched's; who
    asked for an end is told why there is none.
    """
    for kind, why in (("none", "known by name only"), ("in place", "in a cgroup of others")):
        one = holder("1", over_use=OverUse.TERMINATE, kind=kind)
        made = host(one)
        known = replace(facts(101), cgroup=service().path if kind == "in place" else "")
        members = {one.id: frozenset({process(101)})}
        rows = reading(GPU, context(101, 5 * GIB))
        made.do(Ticked(sample(rows, at=made.now, known=[known], members=members)))
        (violation,) = only(made).violations
        assert violation.deadline is None
        assert why in made.ledger.notices[-1].sentence
    adopted = replace(holder("1"), adopted=True)
    assert not terminates(host(adopted).ledger, adopted)
    both = holder("1"), replace(holder("2"), cgroup=own_cgroup("1"))
    assert not terminates(host(*both).ledger, both[0])


def test_in_place_where_the_operator_says_so() -> None:
    """A lease in a cgroup of others is ended only by an operator's word, with SIGTERM."""
    one = holder("1", kind="in place")
    made = host(one, rules=replace(TERMINATE, in_place=True))
    rows = reading(GPU, context(101, 5 * GIB))
    known = facts(101, cgroup=service().path)
    members = {one.id: frozenset({process(101)})}
    made.do(Ticked(sample(rows, at=made.now, known=[known], members=members)))
    made.later(GRACE)
    done = made.do(Ticked(sample(rows, at=made.now, known=[known], members=members)))
    assert Terminate(service()) in done.actions
    assert only(made).clocks.kill is None


def test_back_within_the_limit() -> None:
    """Who gives memory back is not ended; the breach is forgotten after the cool-down."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    made.later(1)
    assert f"is within its limit on {GPU.uuid} again" in sentences(tick(made, l1=GIB))
    made.later(GRACE)
    assert changed_leases(tick(made, l1=GIB)) == []
    assert only(made).usable
    assert next_deadline(made.ledger) is None
    for _ in range(4):
        made.later(COOL / 4)
        tick(made, l1=GIB)
    assert only(made).violations == ()


@pytest.mark.parametrize("unread", ["memory", "list", "device"])
def test_what_is_not_read_changes_nothing(unread: str) -> None:
    """An unknown figure neither begins a breach, nor ends one, nor a lease for it."""
    made = host(holder("1"))

    def blind() -> None:
        if unread == "memory":
            tick(made, l1=UNREAD)
        elif unread == "list":
            ticked(made, DeviceReading(GPU, UNREAD, UNREAD), [LeaseId("lease-1")])
        else:
            members = {LeaseId("lease-1"): frozenset({process(101)})}
            made.do(Ticked(replace(sample(at=made.now, members=members), reading=UNREAD)))

    blind()
    assert only(made).violations == ()
    tick(made, l1=5 * GIB)
    found = only(made).violations
    made.later(GRACE)
    blind()
    assert (only(made).violations, only(made).usable) == (found, True)
