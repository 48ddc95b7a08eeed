"""Over-use: who of several is ended, processes outside the mask, and what never happens."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.actions import Terminate
from gpusched.core.changes import LeaseChanged
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.sample import DeviceReading, Reading, Unavailable
from gpusched.core.sizes import GIB
from gpusched.core.ticking import extend_all
from gpusched.core.violation import ViolationKind
from tests.examples import examples
from tests.fakes.builders import context, moment, process, reading, share
from tests.fakes.host import sentences
from tests.fakes.kernel_builders import own_cgroup
from tests.fakes.overusing import (
    COOL,
    GPU,
    GRACE,
    OTHER,
    TERMINATE,
    UNREAD,
    holder,
    host,
    only,
    shown,
    tick,
    ticked,
)


def test_only_a_later_sample_ends_a_lease() -> None:
    """Without a grace the warning still comes a sample before the end."""
    made = host(holder("1"), rules=replace(TERMINATE, grace=0))
    tick(made, l1=5 * GIB)
    assert only(made).usable
    made.later(1)
    tick(made, l1=5 * GIB)
    assert only(made).reason is EndReason.OVER_LIMIT


def test_the_worst_is_ended_first() -> None:
    """Of several above their limits the one with the most goes, says why, and names the others;
    a neighbour within its limit is never in the choice.
    """
    made = host(holder("1"), holder("2"), holder("3"))
    tick(made, l1=5 * GIB, l2=7 * GIB, l3=3 * GIB)
    made.later(GRACE)
    tick(made, l1=5 * GIB, l2=7 * GIB, l3=3 * GIB)
    assert only(made, "2").reason is EndReason.OVER_LIMIT
    others = "the most of those above their limit, after it in 60 s: lease-1 (1 GiB above)"
    assert others in only(made, "2").detail
    assert only(made, "1").usable
    assert only(made, "3").usable
    made.later(COOL / 2)
    made.ledger.ticked_at = made.now.instant
    tick(made, l1=5 * GIB, l3=3 * GIB)
    assert only(made, "1").usable
    made.later(COOL)
    made.ledger.ticked_at = made.now.instant
    tick(made, l1=5 * GIB, l3=3 * GIB)
    assert only(made, "1").reason is EndReason.OVER_LIMIT
    assert only(made, "3").usable


def test_a_dry_run_does_nothing() -> None:
    """What would be done is told, once, and the lease goes on."""
    made = host(holder("1"), rules=replace(TERMINATE, dry_run=True))
    tick(made, l1=5 * GIB)
    assert "SIGTERM would be sent (dry run) in 10 s" in made.ledger.notices[-1].sentence
    assert made.ledger.notices[-1].action is NoticeAction.NOTHING
    made.later(GRACE)
    done = tick(made, l1=5 * GIB)
    assert not any(isinstance(one, Terminate) for one in done.actions)
    told = f"dry run: SIGTERM would be sent now: 1 GiB above 4 GiB on {GPU.uuid}"
    assert sentences(done) == [told]
    assert only(made).usable
    made.later(1)
    assert sentences(tick(made, l1=5 * GIB)) == []


def test_a_process_outside_the_mask_is_a_breach() -> None:
    """A lease's process on a device that is not of the lease is named until it is gone, with a
    notice and without a signal.
    """
    made = host(holder("1"))
    there = reading(OTHER, context(101, GIB))
    ticked(made, there, [LeaseId("lease-1")])
    (violation,) = only(made).violations
    assert (violation.kind, violation.device) == (ViolationKind.OUTSIDE_MASK, OTHER.uuid)
    assert (violation.process, violation.memory) == (process(101), GIB)
    assert made.ledger.notices[-1].kind is NoticeKind.OUTSIDE_MASK
    made.later(1)
    assert sentences(ticked(made, there, [LeaseId("lease-1")])) == []
    ticked(made, DeviceReading(OTHER, UNREAD, UNREAD), [LeaseId("lease-1")])
    assert only(made).violations == (violation,)
    assert sentences(ticked(made, there, [])) == []
    assert only(made).violations == (violation,)
    done = ticked(made, reading(OTHER), [LeaseId("lease-1")])
    assert sentences(done) == [f"process 101 is off {OTHER.uuid}"]
    assert only(made).violations == ()


def test_a_process_outside_the_mask_may_have_no_figure() -> None:
    """Where its memory is not known the breach is one all the same."""
    made = host(holder("1"))
    ticked(made, reading(OTHER, context(101, UNREAD), used=0), [LeaseId("lease-1")])
    assert [one.memory for one in only(made).violations] == [0]


def test_time_that_nobody_saw_counts_for_nobody() -> None:
    """While the daemon is away or the host sleeps the deadline stands still."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    deadline = only(made).violations[0].deadline
    assert deadline is not None
    made.apply(extend_all(made.ledger, 7 * SECOND, "the daemon was away", made.now))
    assert only(made).violations[0].deadline == deadline + 7 * SECOND
    made.later(1)
    tick(made, l1=GIB)
    within = only(made).violations[0].within
    assert within is not None
    made.apply(extend_all(made.ledger, SECOND, "the daemon was away", made.now))
    assert only(made).violations[0].within == within + SECOND


def test_one_lease_of_a_device_at_a_time() -> None:
    """Ending a lease frees all its devices: no other that is there is ended for the next of them
    before the cool-down.
    """
    both = (share(GPU, 4 * GIB), share(OTHER, 4 * GIB))
    wide = replace(holder("1"), shares=both)
    made = host(wide, replace(holder("2"), shares=both[1:]))
    rows = reading(GPU, context(101, 9 * GIB)), reading(OTHER, context(102, 6 * GIB))
    leases = [LeaseId("lease-1"), LeaseId("lease-2")]
    shown(made, rows, leases)
    made.later(GRACE)
    shown(made, rows, leases)
    assert only(made, "1").reason is EndReason.OVER_LIMIT
    assert only(made, "2").usable


def test_an_end_before_the_boot_delays_nobody() -> None:
    """Instants count from the boot; one of an earlier boot may seem to lie ahead."""
    made = host(holder("1"))
    ahead = moment(10_000)
    before = replace(
        holder("2"),
        state=LeaseState.ENDED,
        reason=EndReason.OVER_LIMIT,
        ending=ahead,
        ended=ahead,
    )
    made.apply([LeaseChanged(before)])
    tick(made, l1=5 * GIB)
    made.later(GRACE)
    tick(made, l1=5 * GIB)
    assert only(made).reason is EndReason.OVER_LIMIT


figures = st.integers(0, 9).map(lambda size: size * GIB) | st.just(UNREAD)


@examples(60)
@given(st.lists(st.tuples(figures, figures, st.sampled_from([1, 5, 10, 29])), max_size=12))
def test_nobody_is_ended_for_what_another_does(
    turns: list[tuple[Reading[int], Reading[int], int]],
) -> None:
    """Whatever samples show, a lease is ended only in a sample that shows it above its limit,
    and not before it had its whole grace since it was warned.
    """
    made = host(holder("1"), holder("2"))
    warned: dict[str, int] = {}
    for first, second, seconds in turns:
        made.later(seconds)
        shown = {"1": first, "2": second}
        alive = {name: one for name, one in shown.items() if only(made, name).usable}
        tick(made, **{f"l{name}": one for name, one in alive.items()})
        for name, used in alive.items():
            one = only(made, name)
            if not one.usable:
                assert one.reason is EndReason.OVER_LIMIT
                assert not isinstance(used, Unavailable)
                assert used > 4 * GIB
                assert made.now.instant - warned[name] >= GRACE * SECOND
            elif any(each.within is None for each in one.violations):
                warned.setdefault(name, made.now.instant)
            elif not one.violations:
                warned.pop(name, None)


def test_what_became_of_it_meanwhile_counts() -> None:
    """A lease whose cgroup another lease has come into is not ended for the two of them."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    made.apply([LeaseChanged(replace(holder("2"), cgroup=own_cgroup("1")))])
    made.later(GRACE)
    tick(made, l1=5 * GIB)
    assert only(made).usable
