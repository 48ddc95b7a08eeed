"""Starts on a shared device one after the other, where an operator wants that.

An inference server measures at its start what is free and takes most of it: two that do so at the
same time count each other's memory, and fail. So the next share of a device is granted once the
memory of the newest lease there has settled: its processes have appeared and have not grown for a
while, or its time is up.
"""

from collections.abc import Mapping

from gpusched.core.attribution import DeviceUse, held_by
from gpusched.core.changes import Change, GrowthSeen
from gpusched.core.device import Device
from gpusched.core.growth import Growth
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger

QUIET = 4
"""Memory has settled when it has not grown for this part of the time that a start may take."""


def watch_growth(
    ledger: Ledger, uses: Mapping[DeviceUuid, DeviceUse], now: Moment
) -> list[Change]:
    """Take note of what the leases that start have on their shared devices."""
    found: dict[tuple[LeaseId, DeviceUuid], Growth] = {}
    for lease in ledger.live():
        if _left(ledger, lease, now.instant) <= 0:
            continue
        for share in lease.shares:
            grown = ledger.growth.get((lease.id, share.device))
            memory = held_by(lease.id, share.device, uses)
            # What cannot be read has neither settled nor grown.
            if memory is not None and _has_grown(ledger, memory, grown):
                grown = Growth(memory, now.instant)
            if grown is not None:
                found[lease.id, share.device] = grown
    return [] if found == ledger.growth else [GrowthSeen(found)]


def starts_on(ledger: Ledger, device: Device, now: Instant) -> tuple[LeaseId, int] | None:
    """Give the lease whose memory has not settled on *device*, and for how long that may hinder.

    None: there is none, or starts are not kept apart.
    """
    for lease_id, uuid in ledger.holding(device.memory_domain).shares:
        lease = ledger.get(lease_id)
        left = 0 if lease is None else _left(ledger, lease, now)
        if left > 0 and not _settled(ledger, ledger.growth.get((lease_id, uuid)), now):
            return lease_id, left
    return None


def _left(ledger: Ledger, lease: Lease, now: Instant) -> int:
    """Say for how many nanoseconds more a lease counts as starting; 0 or less: it does not."""
    longest = ledger.policy.settle_starts
    if longest is None or not lease.usable or lease.adopted:
        return 0
    return (lease.entered or lease.created).instant + longest - now


def _has_grown(ledger: Ledger, memory: int, before: Growth | None) -> bool:
    if before is None:
        return True
    # The first memory is growth, however little it is.
    return memory > (before.memory + ledger.policy.tolerance if before.memory else 0)


def _settled(ledger: Ledger, growth: Growth | None, now: Instant) -> bool:
    longest = ledger.policy.settle_starts or 0
    if growth is None:
        return False
    # Without memory it is still to come; who takes in ever new processes has no more time for it.
    return (now - growth.since) * (QUIET if growth.memory else 1) >= longest
