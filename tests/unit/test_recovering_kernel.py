"""The daemon's start on a host with cgroups: what was interrupted is undone, the rest adopted."""

from dataclasses import replace

from gpusched.core.actions import Follow, Observe, Remask, Unprepare, WatchExit
from gpusched.core.decision import Decision
from gpusched.core.enforcement import NOT_PROBED, Level
from gpusched.core.events import Observed, Recovered
from gpusched.core.ids import BootId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.observation import Observation, SeenCgroup
from tests.fakes.builders import process
from tests.fakes.host import Host, changed_leases
from tests.fakes.kernel_builders import ABLE, GPUS, held, host_of, own_cgroup, seen, service

BOOT = BootId("boot-1")
S = LeaseState


def preparing(lease: Lease) -> Lease:
    """The lease as it was when the daemon ended halfway."""
    return replace(
        lease, state=S.PREPARING, entered=None, processes=(process(50),), origin="/from",
        level=Level.ADVISORY,
    )  # fmt: skip


def start(host: Host, *found: SeenCgroup, able: bool = True) -> Decision:
    """A start that sees this."""
    look = Observation(found, host.now.instant)
    ability = ABLE if able else NOT_PROBED
    return host.do(Recovered(BOOT, BOOT, host.now.instant, "1", ability, look))


def test_leases_with_processes_are_adopted_with_their_masks() -> None:
    """What is still true is followed again; no mask is touched before the nodes are known."""
    host = host_of(held(own_cgroup(), GPUS[0]), held(service(), GPUS[1], name="2"), sampled=False)
    decision = start(host, seen(own_cgroup(), "x"), seen(service(), "y"))
    assert decision.actions == (Follow(own_cgroup()), Follow(service()))
    assert changed_leases(decision) == []


def test_leases_whose_processes_have_ended_meanwhile_end() -> None:
    """A lease whose last process ended while there was no daemon is released at the start."""
    host = host_of(held(own_cgroup(), GPUS[0]))
    decision = start(host, seen(own_cgroup(), populated=False))
    assert decision.actions == (Unprepare(own_cgroup()),)
    assert host.lease(changed_leases(decision)[0].id).reason is EndReason.EMPTY


def test_an_interrupted_preparation_is_rolled_back() -> None:
    """The process goes back to where it came from, the cgroup is removed, and a look confirms."""
    host = host_of(preparing(held(None, GPUS[0])), sampled=False)
    decision = start(host, seen(own_cgroup(), "x"))
    assert decision.actions == (
        WatchExit(process(50)), Unprepare(own_cgroup(), "/from"), Observe()
    )  # fmt: skip
    (lease,) = changed_leases(decision)
    assert (lease.state, lease.reason) == (S.RELEASING, EndReason.PREPARE_FAILED)
    host.later(1)
    host.do(Observed(Observation((), host.now.instant)))
    assert host.lease(lease.id).state is S.ENDED


def test_an_interrupted_preparation_in_place_is_unmasked() -> None:
    """The program is taken off before the lease has ended."""
    host = host_of(preparing(held(service(), GPUS[0])))
    assert start(host, seen(service(), "x")).actions == (Unprepare(service()), Observe())
    assert host.lease(next(host.ledger.live()).id).cgroup == service()


def test_two_interrupted_preparations_do_not_keep_each_other() -> None:
    """Both of one cgroup are undone."""
    one, other = held(service(), GPUS[0]), held(service(), GPUS[1], name="2")
    host = host_of(preparing(one), preparing(other))
    decision = start(host, seen(service(), "x"))
    assert decision.actions == (Unprepare(service()), Unprepare(service()), Observe())


def test_an_interrupted_preparation_leaves_a_shared_cgroup_to_the_others() -> None:
    """The program of another lease stays on the cgroup, and is not touched yet."""
    host = host_of(
        held(service(), GPUS[0]), preparing(held(service(), GPUS[1], name="2")), sampled=False
    )
    decision = start(host, seen(service(), "x"))
    assert decision.actions == (Observe(), Follow(service()))
    assert [one.cgroup for one in changed_leases(decision)] == [None]


def test_a_daemon_without_cgroups_ends_no_lease_for_not_seeing_it() -> None:
    """Not looked at is not gone."""
    host = host_of(held(own_cgroup(), GPUS[0]), held(None, GPUS[1], name="2"))
    decision = start(host, able=False)
    assert decision.actions == (WatchExit(process(50)),)
    assert changed_leases(decision) == []


def test_a_daemon_without_cgroups_ends_what_was_interrupted() -> None:
    """What it cannot undo holds no device; a later daemon clears it away."""
    back = replace(preparing(held(None, GPUS[1], name="2")), state=S.RELEASING,
                   reason=EndReason.PREPARE_FAILED, ending=host_of().now)  # fmt: skip
    host = host_of(preparing(held(service(), GPUS[0])), back)
    assert not any(isinstance(one, Unprepare | Remask) for one in start(host, able=False).actions)
    assert host.ledger.live_count() == 0


def test_recovering_again_asks_for_the_same_and_changes_nothing() -> None:
    """A start after a start that got nothing done does not end anything twice."""
    host = host_of(held(own_cgroup("2"), GPUS[1], name="2"), preparing(held(None, GPUS[0])))
    found = (seen(own_cgroup("2")), seen(own_cgroup("1")))
    start(host, *found)
    again = start(host, *found)
    assert changed_leases(again) == []
    assert Unprepare(own_cgroup("1"), "/from") in again.actions
