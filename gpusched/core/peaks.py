"""The most memory that samples have shown: of each process while it lives, of each lease for good.

What a lease held is to survive its end, the daemon's and the memory of both, and a sample a
second is not to become a commit a second. So its row is written when it changes anyway, when it
has risen by a sixteenth, and else ten seconds after it has risen: no more than that can be lost,
and a worker that fills a card costs some seventy commits however long it takes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpusched.core.attribution import DeviceUse, held_by
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.sample import Unavailable

STEP = 16
"""A rise by one part of so many is written at once."""

PATIENCE = 10 * SECOND
"""A smaller one is written after so long."""

Uses = Mapping[DeviceUuid, DeviceUse]
ProcessPeaks = Mapping[DeviceUuid, Mapping[ProcessId, int]]


@dataclass(frozen=True, slots=True)
class LeasePeak:
    """The most that samples have shown of one lease since the daemon started, in bytes.

    Attributes:
        together: On all its devices in one sample.
        devices: On each of them.
        lags_since: Since when its row says less; None: it does not.
    """

    together: int
    devices: Mapping[DeviceUuid, int]
    lags_since: Instant | None = None


@dataclass(frozen=True, slots=True)
class Peaks:
    """All that samples have shown since the daemon started.

    Attributes:
        processes: Bytes by device and process, of those that are still there.
        leases: Of those that are live.
    """

    processes: ProcessPeaks = field(default_factory=dict)
    leases: Mapping[LeaseId, LeasePeak] = field(default_factory=dict)


NO_PEAKS = Peaks()


def risen(before: Peaks, uses: Uses, leases: Iterable[Lease], now: Instant) -> Peaks:
    """Give the peaks after a sample; what it could not read stays as it was."""
    mine = {lease.id: _of_lease(lease, before.leases.get(lease.id), uses, now) for lease in leases}
    return Peaks(
        processes={**before.processes, **dict(_of_processes(before.processes, uses))},
        leases={lease: peak for lease, peak in mine.items() if peak is not None},
    )


def with_peaks(lease: Lease, peaks: Peaks) -> Lease:
    """Give *lease* with what samples have shown of it; the same object where that is no more."""
    seen = peaks.leases.get(lease.id)
    if seen is None or not _lags(lease, seen):
        return lease
    shares = tuple(
        replace(share, peak=_most(share.peak, seen.devices.get(share.device)))
        for share in lease.shares
    )
    return replace(lease, peak=_most(lease.peak, seen.together), shares=shares)


def unwritten(leases: Iterable[Lease], peaks: Peaks, now: Instant) -> Iterator[Lease]:
    """Give the leases whose peaks have to be written now, with them."""
    for lease in leases:
        seen = peaks.leases.get(lease.id)
        if seen is None or seen.lags_since is None:
            continue
        if now - seen.lags_since >= PATIENCE or any(
            high > (low or 0) + (low or 0) // STEP for low, high in _figures(lease, seen)
        ):
            yield with_peaks(lease, peaks)


def _of_processes(
    before: ProcessPeaks, uses: Uses
) -> Iterator[tuple[DeviceUuid, Mapping[ProcessId, int]]]:
    """Give the peaks on each device whose processes were read."""
    for device, use in uses.items():
        if isinstance(use.processes, Unavailable):
            continue
        earlier, now = before.get(device, {}), dict[ProcessId, int]()
        for one in use.processes:
            if one.facts is None:
                continue
            who, memory = one.facts.identity, one.context.memory
            # A process without a figure keeps what it had; one that is listed twice has the more.
            known = now.get(who, earlier.get(who))
            figure = known if isinstance(memory, Unavailable) else _most(known, memory)
            if figure is not None:
                now[who] = figure
        yield device, now


def _of_lease(
    lease: Lease, before: LeasePeak | None, uses: Uses, now: Instant
) -> LeasePeak | None:
    """Give the peak of a lease; None where no sample showed it to hold anything yet."""
    held = dict(_held(lease, uses))
    if before is None and not held:
        return None
    earlier = before or LeasePeak(0, {})
    # Written meanwhile, whatever lags now began to lag now.
    since = earlier.lags_since if _lags(lease, earlier) else None
    after = LeasePeak(
        # What could not be read is not counted: it held no less than this.
        max(earlier.together, sum(held.values())),
        {**earlier.devices, **{one: max(held[one], earlier.devices.get(one, 0)) for one in held}},
        now if since is None else since,
    )
    return after if _lags(lease, after) else replace(after, lags_since=None)


def _held(lease: Lease, uses: Uses) -> Iterator[tuple[DeviceUuid, int]]:
    """Give what a lease is known to hold of each of its devices."""
    for share in lease.shares:
        used = held_by(lease.id, share.device, uses)
        if used:
            yield share.device, used


def _figures(lease: Lease, seen: LeasePeak) -> Iterator[tuple[int | None, int]]:
    """Give each figure as the row has it, and as it was seen."""
    yield lease.peak, seen.together
    for share in lease.shares:
        if share.device in seen.devices:
            yield share.peak, seen.devices[share.device]


def _lags(lease: Lease, seen: LeasePeak) -> bool:
    return any(low is None or high > low for low, high in _figures(lease, seen))


def _most(one: int | None, other: int | None) -> int | None:
    known = [figure for figure in (one, other) if figure is not None]
    return max(known, default=None)
