"""The most memory that processes and leases were seen to hold.

Of a process it is kept while the process lives, and not stored. Of a lease it is stored with its
row: when it has grown by a sixteenth, and whenever the row is written anyway when the lease ends.
So a lease that grows costs a few commits and not one per tick, and a daemon that is killed forgets
at most a sixteenth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpusched.core.attribution import DeviceUse, held_by
from gpusched.core.ids import DeviceUuid, LeaseId, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.sample import Unavailable

Uses = Mapping[DeviceUuid, DeviceUse]

_STEP = 16
"""A peak is stored anew when it has grown by one part in so many."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks by the samples so far, in bytes.

    Attributes:
        processes: Of each process that is on a device now, by device.
        shares: Of each live lease on each of its devices.
        leases: Of each live lease on all its devices together.
    """

    processes: Mapping[tuple[DeviceUuid, ProcessId], int] = field(default_factory=dict)
    shares: Mapping[tuple[LeaseId, DeviceUuid], int] = field(default_factory=dict)
    leases: Mapping[LeaseId, int] = field(default_factory=dict)


NO_PEAKS = Peaks()


def after(before: Peaks, leases: Iterator[Lease], uses: Uses) -> Peaks:
    """Give the peaks after a sample; what could not be read leaves them as they were."""
    processes = dict(_processes(before, uses))
    shares: dict[tuple[LeaseId, DeviceUuid], int] = {}
    totals: dict[LeaseId, int] = {}
    for lease in leases:
        now: list[int] = []
        for share in lease.shares:
            used = held_by(lease.id, share.device, uses)
            known = max(share.peak or 0, before.shares.get((lease.id, share.device), 0))
            if known or used:
                shares[lease.id, share.device] = max(known, used or 0)
            now += [] if used is None else [used]
        total = max(lease.peak or 0, before.leases.get(lease.id, 0))
        # A sum in which one is missing is no peak of the sum.
        if len(now) == len(lease.shares):
            total = max(total, sum(now))
        if total:
            totals[lease.id] = total
    return Peaks(processes, shares, totals)


def with_peaks(peaks: Peaks, lease: Lease) -> Lease:
    """Give *lease* with its peaks in its row."""
    shares = tuple(
        replace(share, peak=_most(share.peak, peaks.shares.get((lease.id, share.device))))
        for share in lease.shares
    )
    return replace(lease, shares=shares, peak=_most(lease.peak, peaks.leases.get(lease.id)))


def grown(peaks: Peaks, lease: Lease) -> bool:
    """Say whether a peak is so much above the stored one that it is stored anew."""
    figures = [(lease.peak, peaks.leases.get(lease.id))]
    figures += [(one.peak, peaks.shares.get((lease.id, one.device))) for one in lease.shares]
    return any(now is not None and now > (was or 0) * (1 + 1 / _STEP) for was, now in figures)


def _processes(before: Peaks, uses: Uses) -> Iterator[tuple[tuple[DeviceUuid, ProcessId], int]]:
    for device, use in uses.items():
        if isinstance(use.processes, Unavailable):
            # Who was there is not forgotten because of one list that failed.
            yield from ((key, one) for key, one in before.processes.items() if key[0] == device)
            continue
        for row in use.processes:
            if row.facts is None:
                continue
            key = (device, row.facts.identity)
            memory = row.context.memory
            known = before.processes.get(key, 0)
            yield key, known if isinstance(memory, Unavailable) else max(known, memory)


def _most(was: int | None, now: int | None) -> int | None:
    return now if was is None else was if now is None else max(was, now)
