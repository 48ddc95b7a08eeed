"""Peaks: the most memory that was seen, and what of it is stored when."""

from dataclasses import replace

from gpusched.core.attribution import attribute
from gpusched.core.events import Ticked
from gpusched.core.ids import LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.peaks import NO_PEAKS, Peaks, after, grown, with_peaks
from gpusched.core.sample import DeviceReading, Reading
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, context, facts, lease, process, reading, sample, share
from tests.fakes.host import changed_leases
from tests.fakes.kernel_builders import GPUS, host_of, own_cgroup

GPU, OTHER = GPUS[0], GPUS[1]
HOLDER = replace(
    lease(LeaseState.ACTIVE, share(GPU, 8 * GIB), share(OTHER, 8 * GIB)), cgroup=own_cgroup()
)
KNOWN = facts(50, cgroup=own_cgroup().path)


def seen(before: Peaks, one: Lease, *memory: Reading[int]) -> Peaks:
    """The peaks after a sample in which the lease's process holds so much of each device."""
    read = [
        reading(gpu, context(50, size), used=0)
        for gpu, size in zip((GPU, OTHER), memory, strict=True)
    ]
    uses = attribute(sample(*read, known=[KNOWN]), [one], ())
    return after(before, iter([one]), uses)


def test_the_most_is_kept() -> None:
    """Of a process on a device, of a lease on a device, and of a lease on all of them together
    at one time.
    """
    peaks = seen(seen(NO_PEAKS, HOLDER, 3 * GIB, GIB), HOLDER, GIB, 2 * GIB)
    assert peaks.processes == {
        (GPU.uuid, process(50)): 3 * GIB,
        (OTHER.uuid, process(50)): 2 * GIB,
    }
    assert peaks.shares == {(HOLDER.id, GPU.uuid): 3 * GIB, (HOLDER.id, OTHER.uuid): 2 * GIB}
    assert peaks.leases == {HOLDER.id: 4 * GIB}


def test_what_is_not_read_is_no_peak() -> None:
    """An unknown figure leaves peaks as they were, and no sum is made without it."""
    peaks = seen(NO_PEAKS, HOLDER, GIB, 2 * GIB)
    assert seen(peaks, HOLDER, UNREADABLE, 5 * GIB).leases == {HOLDER.id: 3 * GIB}
    assert seen(peaks, HOLDER, UNREADABLE, 5 * GIB).shares[HOLDER.id, OTHER.uuid] == 5 * GIB
    blind = attribute(sample(DeviceReading(GPU, UNREADABLE, UNREADABLE)), [HOLDER], ())
    assert after(peaks, iter([HOLDER]), blind).processes == {(GPU.uuid, process(50)): GIB}
    assert after(peaks, iter([HOLDER]), {}) == replace(peaks, processes={})


def test_who_is_gone_has_no_peak() -> None:
    """A process that is off the device, and a lease that has ended, are forgotten."""
    peaks = seen(NO_PEAKS, HOLDER, GIB, GIB)
    uses = attribute(sample(reading(GPU), reading(OTHER)), [], ())
    assert after(peaks, iter(()), uses) == NO_PEAKS
    nameless = attribute(sample(reading(GPU, context(50))), [], ())
    assert after(NO_PEAKS, iter(()), nameless) == NO_PEAKS


def test_nothing_used_is_no_peak() -> None:
    """A lease whose processes have taken no memory yet has none."""
    uses = attribute(sample(reading(GPU), reading(OTHER)), [HOLDER], ())
    assert after(NO_PEAKS, iter([HOLDER]), uses) == NO_PEAKS
    assert with_peaks(NO_PEAKS, HOLDER) == HOLDER


def test_the_stored_peak_counts_after_a_restart() -> None:
    """A daemon that starts anew goes on from what is in the lease's row."""
    stored = with_peaks(seen(NO_PEAKS, HOLDER, 3 * GIB, 3 * GIB), HOLDER)
    assert (stored.peak, [one.peak for one in stored.shares]) == (6 * GIB, [3 * GIB, 3 * GIB])
    assert seen(NO_PEAKS, stored, GIB, GIB).leases == {HOLDER.id: 6 * GIB}


def test_a_sixteenth_more_is_stored_anew() -> None:
    """Small growth is not written at each sample."""
    stored = with_peaks(seen(NO_PEAKS, HOLDER, 4 * GIB, 4 * GIB), HOLDER)
    assert grown(seen(NO_PEAKS, HOLDER, GIB, GIB), HOLDER)
    assert not grown(seen(NO_PEAKS, stored, 4 * GIB + GIB // 4, 4 * GIB), stored)
    assert grown(seen(NO_PEAKS, stored, 4 * GIB + GIB // 2, 4 * GIB), stored)


def test_ticks_write_a_peak_once() -> None:
    """A lease that uses the same at every tick is written at the first of them."""
    host = host_of(HOLDER)
    read = [reading(one, context(50, GIB)) for one in (GPU, OTHER)]
    members = {HOLDER.id: frozenset({process(50)})}
    for times in range(3):
        host.later(1)
        taken = sample(*read, at=host.now, known=[KNOWN], members=members)
        written = changed_leases(host.do(Ticked(taken)))
        assert [one.peak for one in written] == ([2 * GIB] if times == 0 else [])


def test_the_end_takes_the_peak_along() -> None:
    """A lease that ends has in its row the most that was seen, stored before or not."""
    host = host_of(HOLDER)
    members = {HOLDER.id: frozenset({process(50)})}
    for size in (64, 65):
        host.later(1)
        read = [reading(one, context(50, size * GIB // 16)) for one in (GPU, OTHER)]
        host.do(Ticked(sample(*read, at=host.now, known=[KNOWN], members=members)))
    assert host.lease(HOLDER.id).peak == 8 * GIB
    host.later(1)
    nobody = {LeaseId(HOLDER.id): frozenset[object]()}
    host.do(Ticked(sample(reading(GPU), reading(OTHER), at=host.now, members=nobody)))  # type: ignore[arg-type]  # an empty set
    assert host.lease(HOLDER.id).state is LeaseState.RELEASING
    assert host.lease(HOLDER.id).peak == 65 * GIB // 8
