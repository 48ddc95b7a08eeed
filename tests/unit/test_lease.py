"""The lease's state machine: every pair of state and signal against the table of the design."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.errors import InvalidTransition
from gpusched.core.giving_way import GivingWay
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import DeviceUuid, Instant, RequestId
from gpusched.core.lease import (
    LIVE,
    EndReason,
    Lease,
    LeaseState,
    Signal,
    confirm,
    end,
    enter,
    prepare,
    prepared,
    step,
    void,
)
from gpusched.core.violation import Violation, ViolationKind
from tests.fakes.builders import device, lease, moment, process, share

S, X = LeaseState, Signal

# Written out again on purpose, from the design and not from the code.
LEGAL = {
    (S.RESERVED, X.ATTACH): S.PREPARING,
    (S.RESERVED, X.ENTER): S.ACTIVE,
    (S.RESERVED, X.END): S.ENDED,
    (S.RESERVED, X.VOID): S.ENDED,
    (S.PREPARING, X.PREPARED): S.ACTIVE,
    (S.PREPARING, X.END): S.RELEASING,
    (S.PREPARING, X.VOID): S.ENDED,
    (S.ACTIVE, X.ENTER): S.ACTIVE,
    (S.ACTIVE, X.END): S.RELEASING,
    (S.ACTIVE, X.VOID): S.ENDED,
    (S.RELEASING, X.CONFIRMED): S.ENDED,
    (S.RELEASING, X.VOID): S.ENDED,
}
ALL = tuple(product(LeaseState, Signal))
NOW = moment(1000)
CGROUP = LeaseCgroup("/gpusched/lease-1", 7, made=True)
MOVES: dict[Signal, Callable[[Lease], Lease]] = {
    X.ATTACH: lambda one: prepare(one, process(77), "/home", None),
    X.PREPARED: lambda one: prepared(one, CGROUP, Level.DEVICE_PROGRAM, "", NOW),
    X.ENTER: lambda one: enter(one, process(77), NOW),
    X.END: lambda one: end(one, EndReason.RELEASED, NOW),
    X.CONFIRMED: lambda one: confirm(one, NOW),
    X.VOID: lambda one: void(one, EndReason.REBOOT, NOW),
}
RUNNING = Clocks(*(Instant(NOW.instant + n) for n in range(1, 6)))


def running(state: LeaseState) -> Lease:
    """A lease in *state* with every clock running."""
    one = lease(state, share(device()))
    return Lease(
        *(one.id, state, one.request, one.uid, one.gid, one.user, one.shares, one.created),
        processes=one.processes,
        clocks=RUNNING,
        entered=one.entered,
        ending=one.ending,
        ended=one.ended,
        reason=one.reason,
    )


@pytest.mark.parametrize(("state", "signal"), LEGAL)
def test_a_legal_signal_leads_to_its_state(state: LeaseState, signal: Signal) -> None:
    """Each signal that the design draws leads to the state that it draws."""
    assert step(lease(state), signal) is LEGAL[state, signal]


@pytest.mark.parametrize(("state", "signal"), [pair for pair in ALL if pair not in LEGAL])
def test_any_other_signal_is_refused(state: LeaseState, signal: Signal) -> None:
    """A signal that the state does not know raises, with lease, state and signal."""
    with pytest.raises(InvalidTransition) as caught:
        step(lease(state), signal)
    found = (caught.value.lease, caught.value.state, caught.value.signal)
    assert found == ("lease-1", state.value, signal.value)
    assert str(caught.value) == f"lease-1 is {state.value}: {signal.value} is not possible"


@pytest.mark.parametrize(("state", "signal"), [pair for pair in ALL if pair[1] in MOVES])
def test_a_move_follows_the_table_or_changes_nothing(state: LeaseState, signal: Signal) -> None:
    """A move gives a new lease in the table's state, or raises; the old one stays as it was."""
    before = lease(state)
    if (state, signal) in LEGAL:
        assert MOVES[signal](before).state is LEGAL[state, signal]
    else:
        with pytest.raises(InvalidTransition):
            MOVES[signal](before)
    assert before == lease(state)


def test_a_lease_is_live_until_it_has_ended() -> None:
    """A lease holds its shares in every state but ENDED."""
    assert {*LeaseState} - {S.ENDED} == {*LIVE}
    assert [one for one in LeaseState if not lease(one).live] == [S.ENDED]


def test_a_lease_is_usable_until_it_ends() -> None:
    """A lease that ends is live, but not for its holder's use."""
    usable = [one for one in LeaseState if lease(one).usable]
    assert usable == [S.RESERVED, S.PREPARING, S.ACTIVE]


def test_the_first_process_stops_the_attach_deadline() -> None:
    """A process that enters makes the lease ACTIVE; only the attach deadline is met by it."""
    entered = enter(running(S.RESERVED), process(77), NOW)
    assert (entered.state, entered.processes) == (S.ACTIVE, (process(77),))
    assert entered.entered == NOW
    assert entered.clocks == replace(RUNNING, attach=None)


def test_a_second_process_joins_the_first() -> None:
    """Processes are kept in the order in which they entered."""
    entered = enter(running(S.ACTIVE), process(77), NOW)
    assert entered.processes == (process(50), process(77))
    assert entered.entered == NOW


def test_a_process_enters_once() -> None:
    """Entering again changes nothing, not even the time."""
    once = running(S.ACTIVE)
    assert enter(once, process(50), NOW) is once


def test_preparing_meets_the_attach_deadline() -> None:
    """A lease that is prepared knows whom for and where it came from; nobody has entered yet."""
    one = prepare(running(S.RESERVED), process(77), "/home", None)
    assert (one.state, one.processes) == (S.PREPARING, (process(77),))
    assert (one.origin, one.cgroup, one.entered) == ("/home", None, None)
    assert one.clocks == replace(RUNNING, attach=None)


def test_a_cgroup_taken_in_place_is_known_before_it_is_masked() -> None:
    """What is taken in place has no process of its own, and is the lease's from the start."""
    one = prepare(running(S.RESERVED), None, "/unit", CGROUP)
    assert (one.processes, one.cgroup) == ((), CGROUP)


def test_a_prepared_lease_is_active_as_far_as_the_kernel_says() -> None:
    """Cgroup, level and what is missing are those that were reached; from now on it is used."""
    begun = prepare(running(S.RESERVED), process(77), "/home", None)
    one = prepared(begun, CGROUP, Level.DEVICE_PROGRAM, "why not more", NOW)
    assert (one.state, one.cgroup, one.entered) == (S.ACTIVE, CGROUP, NOW)
    assert (one.level, one.level_reason) == (Level.DEVICE_PROGRAM, "why not more")
    assert (one.processes, one.origin, one.clocks) == (begun.processes, "/home", begun.clocks)


def test_a_lease_that_nobody_entered_ends_at_once() -> None:
    """The end of a reserved lease needs no confirmation."""
    over = end(running(S.RESERVED), EndReason.ATTACH_DEADLINE, NOW, detail="late", clocks=RUNNING)
    assert (over.state, over.reason) == (S.ENDED, EndReason.ATTACH_DEADLINE)
    assert over.detail == "late"
    assert (over.ending, over.ended, over.clocks) == (NOW, NOW, Clocks())


@pytest.mark.parametrize("state", [S.PREPARING, S.ACTIVE])
def test_the_end_of_a_used_lease_waits_for_confirmation(state: LeaseState) -> None:
    """A used lease is RELEASING: it has an ending and a reason, no end, and no clock runs."""
    over = end(running(state), EndReason.KEEPALIVE, NOW)
    assert (over.state, over.reason) == (S.RELEASING, EndReason.KEEPALIVE)
    assert (over.ending, over.ended, over.clocks) == (NOW, None, Clocks())


def test_the_end_has_clocks_and_words_of_its_own() -> None:
    """Clocks that the end needs run; whoever ends the lease may say why."""
    clocks = Clocks(kill=Instant(5))
    over = end(running(S.ACTIVE), EndReason.REVOKED, NOW, detail="maintenance", clocks=clocks)
    assert (over.clocks, over.detail) == (clocks, "maintenance")
    assert end(running(S.ACTIVE), EndReason.RELEASED, NOW).detail == ""


def test_confirmation_ends_a_lease_for_the_reason_it_had() -> None:
    """A confirmed lease keeps when and why its end began."""
    before = running(S.RELEASING)
    over = confirm(before, NOW)
    assert (over.state, over.ended, over.clocks) == (S.ENDED, NOW, Clocks())
    assert (over.ending, over.reason) == (before.ending, before.reason)


@pytest.mark.parametrize("state", [S.RESERVED, S.PREPARING, S.ACTIVE])
def test_a_reboot_ends_a_lease_in_any_state(state: LeaseState) -> None:
    """What a reboot ends has an ending, an end and a reason at once; nothing of it lasts."""
    breach = Violation(ViolationKind.OVER_LIMIT, DeviceUuid("GPU-1"), None, NOW, 1)
    idle = Idle(IdleKind.NO_PROCESS, NOW)
    way = GivingWay((1000, RequestId("urgent")), Instant(5))
    before = replace(running(state), violations=(breach,), idle=idle, giving_way=way)
    over = void(before, EndReason.REBOOT, NOW)
    assert (over.state, over.reason) == (S.ENDED, EndReason.REBOOT)
    assert (over.ending, over.ended, over.clocks) == (NOW, NOW, Clocks())
    assert (over.violations, over.idle, over.giving_way) == ((), None, None)


def test_a_reboot_keeps_when_the_end_began() -> None:
    """A lease that was RELEASING at the reboot keeps its ending."""
    before = running(S.RELEASING)
    over = void(before, EndReason.REBOOT, NOW)
    assert (over.ending, over.ended) == (before.ending, NOW)
    assert over.reason is EndReason.REBOOT


def test_extending_moves_only_the_clocks_that_run() -> None:
    """A clock that does not run is not started by an extension."""
    assert RUNNING.extended(10) == Clocks(*(Instant(NOW.instant + n) for n in range(11, 16)))
    only = Clocks(keepalive=Instant(5))
    assert only.extended(10) == Clocks(keepalive=Instant(15))


def test_a_lease_says_little_by_default() -> None:
    """A lease is in no cgroup, held by nobody but its holder's good will, and has no clock."""
    one = lease(S.RESERVED)
    assert (one.cgroup, one.origin, one.clocks) == (None, "", Clocks())
    assert (one.level, one.level_reason, one.detail) == (Level.ADVISORY, "", "")


def test_a_share_without_memory_is_the_whole_device() -> None:
    """Nobody else may have a share of a device that is held whole."""
    assert share(device()).exclusive
    assert not share(device(), 1).exclusive
