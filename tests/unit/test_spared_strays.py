"""Who is never evicted."""

from dataclasses import replace

import pytest

from gpusched.core.actions import SignalProcess
from gpusched.core.changes import AbilityFound
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import AttachRequested, Ticked
from gpusched.core.ids import LeaseId
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample, Unavailable
from gpusched.core.stray import StrayStep
from tests.fakes.builders import (
    ADA,
    BOB,
    A,
    context,
    facts,
    process,
    reading,
    sample,
    standing,
)
from tests.fakes.host import MASKING, Host
from tests.fakes.strays import EVICT, GPU, ONE, OTHER, host_with, on, seen, stray, told

TERM = SignalProcess(process(7), kill=False)


def test_what_was_there_at_the_start_is_spared() -> None:
    """A process of the first reading of its device is never evicted, however late that comes."""
    host = host_with(EVICT)
    late = Host(policy=host.ledger.policy)
    late.devices = (GPU, OTHER)
    unread = replace(reading(GPU), contexts=Unavailable("no permission"))
    late.tick(unread)
    first = late.tick(on(ONE), known=[ONE])
    assert told(first) == [
        (
            "process 7 (python, uid 1000, 1 GiB) uses it without a lease:"
            " not evicted: it was there when the daemon started; `gpusched adopt 7` gives it one"
        )
    ]
    late.later(500)
    assert late.tick(on(ONE), known=[ONE]).actions == ()
    assert told(seen(late, ONE, facts(8)))[0].startswith("process 8 (python")
    assert stray(late, 8).step is StrayStep.WARNED


def test_one_that_the_first_reading_did_not_identify_is_spared() -> None:
    """Who may have been there at the start, because it was not known who was, is not evicted;
    who comes later is, also where it was not known at first.
    """
    host = Host(policy=host_with(EVICT).ledger.policy)
    host.devices = (GPU, OTHER)
    unread = replace(reading(GPU), contexts=Unavailable("no permission"))
    host.tick(on(ONE))
    host.tick(unread)
    assert host.tick(on(ONE, facts(8))).changes[1:] == ()
    host.tick(on(ONE, facts(8)), known=[ONE, facts(8)])
    assert stray(host).spared == "it was there when the daemon started"
    assert stray(host, 8).step is StrayStep.WARNED
    assert host.ledger.unidentified == frozenset()


def test_the_next_owner_of_an_unidentified_pid_is_not_spared() -> None:
    """What left the device before it was known who it was spares nobody who has its pid later."""
    host = Host(policy=host_with(EVICT).ledger.policy)
    host.devices = (GPU, OTHER)
    host.tick(on(ONE))
    host.tick()
    seen(host, ONE)
    assert stray(host).step is StrayStep.WARNED


def test_users_are_spared() -> None:
    """Processes of a user that is to be spared, of root by default, are not evicted."""
    host = host_with(EVICT)
    decision = seen(host, facts(7, 0))
    assert "not evicted: uid 0 is in `strays.spare_uids`" in told(decision)[0]
    host.later(500)
    assert seen(host, facts(7, 0)).actions == ()


def test_one_that_says_of_which_lease_it_is() -> None:
    """Whoever has a lease for the device and was only not attached is told, not evicted."""
    host = host_with(EVICT)
    host.apply([AbilityFound(MASKING)])
    lease = host.enter(host.grant(Request(A, devices=(GPU.uuid,))), 50, _cgroup())
    spared = seen(host, facts(7, claims=lease.id))
    assert f"not evicted: it says that it is of {lease.id}" in told(spared)[0]


@pytest.mark.parametrize("case", ["elsewhere", "of another", "none", "ended"])
def test_one_that_only_says_so(case: str) -> None:
    """A lease of another device or user, or one that is over, spares nobody."""
    host = host_with(EVICT)
    place = OTHER if case == "elsewhere" else GPU
    lease = host.grant(Request(A, devices=(place.uuid,)), BOB if case == "of another" else ADA)
    if case == "ended":
        host.release(lease)
    claims = LeaseId("lease-none") if case == "none" else lease.id
    seen(host, facts(7, claims=claims, cgroup="/elsewhere"))
    if case == "elsewhere":
        # Without a cgroup the lease has it by its word: a violation, and no stray.
        assert host.ledger.strays == {}
    else:
        assert stray(host).step is StrayStep.WARNED


def test_infrastructure_and_unknown_are_left_alone() -> None:
    """What serves every lease, and what could not be identified, is never on the ladder."""
    host = host_with(EVICT)
    for _ in range(3):
        known = [facts(8, name="nvidia-persiste")]
        decision = host.tick(reading(GPU, context(7), context(8)), known=known)
        assert (told(decision), decision.actions) == ([], ())
        host.later(60)
    assert host.ledger.strays == {}


def test_a_lease_s_process_elsewhere_is_no_stray_to_evict() -> None:
    """One outside the mask of its lease is that lease's violation."""
    host = host_with(EVICT)
    lease = host.attach(host.grant(Request(A, devices=(OTHER.uuid,))), 7)
    for _ in range(3):
        known = {lease.id: frozenset({process(7)})}
        assert told(host.tick(on(ONE), known=[ONE], members=known)) == []
        host.later(60)


def test_nobody_is_signalled_by_a_reading_that_failed() -> None:
    """While the list is not readable, or the process not known, nothing is sent and all stays."""
    host = host_with(EVICT)
    seen(host, ONE)
    before = stray(host)
    host.later(20)
    unread = replace(reading(GPU), contexts=Unavailable("no permission"))
    for decision in (
        host.tick(unread),
        host.tick(on(ONE)),
        host.do(Ticked(NodeSample(host.now.instant, Unavailable("it hangs")))),
    ):
        assert (told(decision), decision.actions) == ([], ())
        assert stray(host) == before
    assert seen(host, ONE).actions == (TERM,)


@pytest.mark.parametrize("state", ["preparing", "prepared", "child"])
def test_one_that_is_being_attached(state: str) -> None:
    """What a sample saw before it, or its parent, came under its lease is not signalled."""
    host = host_with(EVICT)
    one = facts(7, parents=[50]) if state == "child" else ONE
    attached = 50 if state == "child" else 7
    seen(host, one)
    lease = host.grant(Request(A, memory=1 << 30))
    host.later(20)
    begun = host.now
    if state == "preparing":
        host.apply([AbilityFound(MASKING)])
        where = standing(attached, cgroup="/home")
        host.do(AttachRequested(ADA, lease.id, process(attached), where))
    else:
        host.enter(lease, attached, _cgroup())
    taken = sample(on(one), reading(OTHER), at=begun, known=[one])
    assert TERM not in host.do(Ticked(taken)).actions
    if state != "preparing":
        host.later(1)
        assert TERM in seen(host, one).actions


def _cgroup() -> LeaseCgroup:
    return LeaseCgroup("/gpusched/lease-1", 7, made=True)
