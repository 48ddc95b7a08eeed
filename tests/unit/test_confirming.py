"""The end of a used lease: which sample confirms that its devices are free, and which does not."""

from dataclasses import replace

from gpusched.core.events import Ticked
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice, NodeSample
from tests.fakes.builders import UNREADABLE, A, context, device, facts, process, reading
from tests.fakes.host import Host, sentences

GPU, OTHER = device(0), device(1)
S, R = LeaseState, EndReason


def used(host: Host) -> Lease:
    """A lease with the attached process 50."""
    return host.attach(host.grant(Request(A)), 50)


def state(host: Host, lease: Lease) -> tuple[LeaseState, EndReason | None]:
    """Where a lease is now, and why."""
    now = host.lease(lease.id)
    return now.state, now.reason


def test_a_sample_begun_after_the_end_confirms_it() -> None:
    """A lease has ended when a sample begun later lists nothing of it; not before."""
    host = Host(GPU)
    lease = host.release(used(host))
    host.tick()
    assert state(host, lease) == (S.RELEASING, R.RELEASED)
    host.later(1)
    decision = host.tick()
    assert state(host, lease) == (S.ENDED, R.RELEASED)
    assert host.lease(lease.id).ended == host.now
    assert sentences(decision) == ["ended because its holder released it"]
    assert decision.actions == ()


def test_a_process_that_is_still_listed_keeps_the_device_settling() -> None:
    """While NVML lists a process of the lease on one of its devices, it has not ended."""
    host = Host(GPU)
    lease = host.release(used(host))
    host.later(1)
    decision = host.tick(reading(GPU, context(50)), known=(facts(50),))
    assert state(host, lease) == (S.RELEASING, R.RELEASED)
    assert decision.actions == ()


def test_a_pid_that_only_nvml_still_knows_keeps_the_device_settling() -> None:
    """An attached pid that `/proc` has forgotten and NVML lists is left over from the lease."""
    host = Host(GPU)
    lease = host.release(used(host))
    for _ in range(2):
        host.later(1)
        host.tick(reading(GPU, context(50)))
        assert state(host, lease) == (S.RELEASING, R.RELEASED)
    host.later(1)
    host.tick()
    assert state(host, lease) == (S.ENDED, R.RELEASED)


def test_a_worker_that_only_nvml_still_knows_keeps_the_device_settling() -> None:
    """A descendant keeps the lease it was last seen in for as long as NVML lists its pid."""
    host = Host(GPU)
    lease = used(host)
    host.tick(reading(GPU, context(51), context(99)), known=(facts(51, parents=(50,)), facts(99)))
    for _ in range(3):
        host.later(1)
        host.tick(reading(GPU, context(51)), members={lease.id: frozenset()})
        assert state(host, lease) == (S.RELEASING, R.EMPTY)
    host.later(1)
    host.tick()
    assert state(host, lease) == (S.ENDED, R.EMPTY)


def test_somebody_else_s_unknown_pid_does_not_hinder_the_end() -> None:
    """A pid that was never seen in the lease is not left over from it."""
    host = Host(GPU)
    lease = used(host)
    host.tick(replace(reading(GPU), contexts=UNREADABLE))
    host.release(lease)
    host.later(1)
    host.tick(reading(GPU, context(99)))
    assert state(host, lease) == (S.ENDED, R.RELEASED)


def test_a_recycled_pid_does_not_hinder_the_end() -> None:
    """A known process that only has the pid of an attached one is not left over."""
    host = Host(GPU)
    lease = host.release(used(host))
    host.later(1)
    recycled = replace(facts(50), identity=replace(process(50), start_ticks=9999))
    host.tick(reading(GPU, context(50)), known=(recycled,))
    assert state(host, lease) == (S.ENDED, R.RELEASED)


def test_a_device_that_could_not_be_read_confirms_nothing() -> None:
    """Neither an unreadable list, nor a lost device, nor a silent NVML ends a lease."""
    host = Host(GPU)
    lease = host.release(used(host))
    host.later(1)
    host.tick(replace(reading(GPU), contexts=UNREADABLE))
    host.tick(lost=(LostDevice(0, GPU.uuid, "GPU is lost"),))
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    assert state(host, lease) == (S.RELEASING, R.RELEASED)


def test_every_device_of_a_lease_has_to_be_clear() -> None:
    """A process on the second device keeps a lease of two from ending."""
    host = Host(GPU, OTHER)
    lease = host.release(host.attach(host.grant(Request(A, count=2)), 50))
    host.later(1)
    host.tick(reading(OTHER, context(50)), known=(facts(50),))
    assert state(host, lease) == (S.RELEASING, R.RELEASED)
