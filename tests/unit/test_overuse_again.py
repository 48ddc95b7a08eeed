"""Over-use that comes back, and rules that are others than when it was found."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.actions import Terminate
from gpusched.core.changes import LeaseChanged, PolicyChanged
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.notice import NoticeAction
from gpusched.core.overuse_choice import ended_for
from gpusched.core.policy import OverUseRules, Policy
from gpusched.core.sample import Reading, Unavailable
from gpusched.core.sizes import GIB
from tests.examples import examples
from tests.fakes.builders import context, process, reading, sample
from tests.fakes.host import Host, changed_leases, sentences
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

DRY = replace(TERMINATE, dry_run=True)
WARN = OverUseRules()


def restarted(made: Host, rules: OverUseRules) -> None:
    """The daemon is another, with other rules, and has no sample yet."""
    made.apply([PolicyChanged(Policy(overuse=rules))])
    made.ledger.sample = None
    made.later(1)


def test_going_back_and_forth_wins_no_time() -> None:
    """The grace runs only while the lease is above its limit, and goes on where it stopped; who
    comes back is warned again, before anything is done.
    """
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    first = only(made).violations[0]
    made.later(4)
    tick(made, l1=GIB)
    made.later(GRACE)
    done = tick(made, l1=6 * GIB)
    (violation,) = only(made).violations
    assert violation.deadline == made.now.instant + (GRACE - 4) * SECOND
    assert (violation.since, violation.memory) == (first.since, 6 * GIB)
    told = f"holds 6 GiB of 4 GiB on {GPU.uuid}; SIGTERM is sent in 6 s"
    assert sentences(done) == [told]
    assert made.ledger.notices[-1].sentence == told
    made.later(GRACE - 4)
    tick(made, l1=6 * GIB)
    assert only(made).reason is EndReason.OVER_LIMIT


def test_who_has_used_up_its_grace_is_warned_all_the_same() -> None:
    """It comes back with nothing left, and is ended by the sample after the warning."""
    made = host(holder("1"), holder("2"))
    tick(made, l1=5 * GIB, l2=6 * GIB)
    made.later(GRACE)
    tick(made, l1=5 * GIB, l2=6 * GIB)
    assert only(made, "2").reason is EndReason.OVER_LIMIT
    made.later(1)
    tick(made, l1=GIB)
    made.later(COOL / 3)
    tick(made, l1=GIB)
    made.later(COOL / 3)
    tick(made, l1=GIB)
    made.later(COOL / 3 - 1)
    assert "SIGTERM is sent in 0 s" in sentences(tick(made, l1=5 * GIB))[0]
    assert only(made).usable
    made.later(1)
    tick(made, l1=5 * GIB)
    assert only(made).reason is EndReason.OVER_LIMIT


def test_who_is_only_warned_is_not_warned_each_time() -> None:
    """Where nothing follows, coming back before the breach is forgotten is no news."""
    made = host(holder("1"), rules=WARN)
    tick(made, l1=5 * GIB)
    made.later(1)
    tick(made, l1=GIB)
    made.later(1)
    assert sentences(tick(made, l1=5 * GIB)) == []
    assert only(made).violations[0].within is None
    assert len(made.ledger.notices) == 1


def test_a_stricter_rule_holds_for_who_was_only_warned() -> None:
    """A daemon that is started anew with other rules warns again, and gives the whole grace."""
    made = host(holder("1"), rules=WARN)
    tick(made, l1=5 * GIB)
    restarted(made, TERMINATE)
    assert "SIGTERM is sent in 10 s" in sentences(tick(made, l1=5 * GIB))[0]
    assert only(made).violations[0].deadline == made.now.instant + GRACE * SECOND


def test_a_milder_rule_holds_for_who_was_to_be_ended() -> None:
    """The deadline goes; should the rule come back, the grace is a whole one."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    restarted(made, WARN)
    assert sentences(tick(made, l1=5 * GIB))[0].endswith("; it is only warned")
    assert only(made).violations[0].deadline is None
    made.later(GRACE)
    tick(made, l1=5 * GIB)
    assert only(made).usable


def test_a_restart_gives_no_time() -> None:
    """What was left of the grace is what is left, told again."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    deadline = only(made).violations[0].deadline
    restarted(made, TERMINATE)
    assert "SIGTERM is sent in 9 s" in sentences(tick(made, l1=5 * GIB))[0]
    assert only(made).violations[0].deadline == deadline
    made.later(1)
    assert changed_leases(tick(made, l1=5 * GIB)) == []


def test_a_dry_run_that_is_over_warns_in_earnest() -> None:
    """Whoever was told in a dry run hears what comes now before it comes."""
    made = host(holder("1"), rules=DRY)
    tick(made, l1=5 * GIB)
    made.later(GRACE)
    tick(made, l1=5 * GIB)
    assert only(made).violations[0].deadline is None
    restarted(made, TERMINATE)
    done = tick(made, l1=5 * GIB)
    assert not any(isinstance(one, Terminate) for one in done.actions)
    assert made.ledger.notices[-1].action is NoticeAction.TERMINATE
    assert only(made).violations[0].deadline == made.now.instant + GRACE * SECOND


@pytest.mark.parametrize("late", [False, True])
def test_a_dry_run_is_no_warning(*, late: bool) -> None:
    """Who was told in a dry run of an end that is still to come has a whole grace from the warning
    in earnest, by a reload as by a start whose first sample shows nothing.
    """
    made = host(holder("1"), rules=DRY)
    tick(made, l1=5 * GIB)
    made.later(GRACE - 1)
    if late:
        restarted(made, TERMINATE)
        tick(made, l1=UNREAD)
    made.apply([PolicyChanged(Policy(overuse=TERMINATE))])
    made.later(1)
    tick(made, l1=5 * GIB)
    notice = made.ledger.notices[-1]
    due = made.now.instant + GRACE * SECOND
    assert (notice.action, notice.action_at) == (NoticeAction.TERMINATE, due)
    made.later(GRACE - 1)
    tick(made, l1=5 * GIB)
    assert only(made).usable
    made.later(1)
    tick(made, l1=5 * GIB)
    assert only(made).reason is EndReason.OVER_LIMIT


def test_a_dry_run_after_a_warning_ends_nobody() -> None:
    """Who was warned of an end in earnest is told of it once, when it is due, and only that."""
    made = host(holder("1"))
    tick(made, l1=5 * GIB)
    made.apply([PolicyChanged(Policy(overuse=DRY))])
    made.later(GRACE)
    assert "dry run: SIGTERM would be sent now" in sentences(tick(made, l1=5 * GIB))[0]
    made.later(1)
    assert sentences(tick(made, l1=5 * GIB)) == []


def test_a_dry_run_begins_with_those_who_were_only_warned() -> None:
    """It tells what would be done to them, too, once for each start of the daemon."""
    made = host(holder("1"), rules=WARN)
    tick(made, l1=5 * GIB)
    restarted(made, DRY)
    assert "would be sent (dry run) in 10 s" in sentences(tick(made, l1=5 * GIB))[0]
    made.later(GRACE)
    assert "dry run: SIGTERM would be sent now" in sentences(tick(made, l1=5 * GIB))[0]
    made.later(1)
    assert sentences(tick(made, l1=5 * GIB)) == []


def test_a_cgroup_that_is_its_own_again() -> None:
    """Who could not be ended because of another lease is warned anew when that has gone."""
    both = holder("1"), replace(holder("2"), cgroup=own_cgroup("1"))
    made = host(*both)
    tick(made, l1=5 * GIB)
    assert "its cgroup is another lease's, too" in made.ledger.notices[-1].sentence
    gone = replace(
        both[1],
        state=LeaseState.ENDED,
        reason=EndReason.RELEASED,
        ending=made.now,
        ended=made.now,
    )
    made.apply([LeaseChanged(gone)])
    made.later(1)
    assert "SIGTERM is sent in 10 s" in sentences(tick(made, l1=5 * GIB))[0]


def test_a_unit_of_several_leases_is_not_signalled() -> None:
    """A signal in place would go to the neighbour's processes as well."""
    both = [holder(name, kind="in place") for name in ("1", "2")]
    made = host(*both, rules=replace(TERMINATE, in_place=True))
    assert ended_for(made.ledger, both[0]) == "its cgroup is another lease's, too"
    assert both[0].cgroup == both[1].cgroup == service()


@pytest.mark.parametrize("above", [True, False])
def test_a_process_that_has_no_facts_leaves_a_doubt(*, above: bool) -> None:
    """What `/proc` has lost may still hold memory: it ends no breach, and begins none."""
    made = host(holder("1"))
    lease = LeaseId("lease-1")
    if above:
        tick(made, l1=5 * GIB)
    else:
        tick(made, l1=GIB)
    found = only(made).violations
    made.later(1)
    rows = reading(GPU, context(101, 5 * GIB))
    made.do(Ticked(sample(rows, at=made.now, members={lease: frozenset({process(101)})})))
    assert only(made).violations == found
    assert bool(found) == above
    made.later(GRACE)
    made.do(Ticked(sample(rows, at=made.now, members={lease: frozenset({process(101)})})))
    assert only(made).usable
    assert only(made).violations == found


def test_what_is_known_is_enough_to_end_a_lease() -> None:
    """A lease whose identified processes are above its limit is so whatever the others hold."""
    made = host(holder("1"))
    rows = reading(GPU, context(101, 5 * GIB), context(102, GIB))
    for _ in range(2):
        ticked(made, rows, [LeaseId("lease-1")])
        made.later(GRACE)
    assert only(made).reason is EndReason.OVER_LIMIT


figures = st.integers(0, 9).map(lambda size: size * GIB) | st.just(UNREAD)
starts = st.none() | st.sampled_from([TERMINATE, DRY, WARN])


@examples(80)
@given(st.lists(st.tuples(figures, st.sampled_from([1, 4, 10, 29]), starts), max_size=12))
def test_nobody_is_ended_without_a_word(
    turns: list[tuple[Reading[int], int, OverUseRules | None]],
) -> None:
    """Whatever samples show and however often the rules change, a lease is ended only by rules
    that say so, in a sample that shows it above its limit, after a notice in earnest of it.
    """
    made = host(holder("1"))
    for used, seconds, rules in turns:
        if rules is not None:
            restarted(made, rules)
        made.later(seconds)
        earnest = [one for one in made.ledger.notices if one.action is NoticeAction.TERMINATE]
        tick(made, l1=used)
        if only(made).usable:
            continue
        assert made.ledger.policy.overuse == TERMINATE
        assert not isinstance(used, Unavailable)
        assert used > 4 * GIB
        assert earnest[-1].action_at is not None
        assert earnest[-1].action_at <= made.now.instant
        return
