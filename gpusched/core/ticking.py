"""Decides on a tick: inventory, clocks, leases whose processes ended, confirmations.

One timer for all: whatever has a deadline is looked at here, on one sample.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gpusched.core.actions import TakeSample
from gpusched.core.attribution import DeviceUse, attribute
from gpusched.core.changes import (
    Change,
    InventoryChanged,
    LeaseChanged,
    LeaseForgotten,
    SampleTaken,
)
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import Ticked
from gpusched.core.ids import DeviceUuid, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState, confirm, end
from gpusched.core.ledger import Ledger
from gpusched.core.sample import NodeReading, NodeSample, Unavailable
from gpusched.core.story import device_appeared, device_lost, ended, ending, extended

VANISHED = "it is not there any more"


def tick(ledger: Ledger, event: Ticked, now: Moment) -> Decision:
    """Take a sample into the ledger, and end what it or the clock ends."""
    sample = event.sample
    uses = attribute(sample, ledger.live(), ledger.policy.infrastructure, ledger.uses)
    changes: list[Change] = [SampleTaken(sample, uses, now.instant)]
    if not isinstance(sample.reading, Unavailable):
        changes += _inventory(ledger, sample.reading, now)
    slept = _slept(ledger, now)
    if slept:
        changes += extend_all(ledger, slept, "the host slept", now)
        return Decision(tuple(changes))
    settling = False
    for lease in ledger.live():
        after = _moved(lease, sample, uses, now)
        if after is not lease:
            told = ending if after.live else ended
            changes += [LeaseChanged(after), told(after, now)]
            settling = settling or after.live
    changes += _forgotten(ledger)
    return Decision(tuple(changes), (TakeSample(),) if settling else ())


def extend_all(ledger: Ledger, by: int, why: str, now: Moment) -> list[Change]:
    """Give every running clock *by* nanoseconds more."""
    changes: list[Change] = []
    for lease in ledger.live():
        clocks = lease.clocks.extended(by)
        if clocks != lease.clocks:
            changes.append(LeaseChanged(replace(lease, clocks=clocks)))
    return [*changes, extended(by, why, now)] if changes else []


def _moved(
    lease: Lease, sample: NodeSample, uses: Mapping[DeviceUuid, DeviceUse], now: Moment
) -> Lease:
    """Give the lease as this tick leaves it; the same object where nothing happened."""
    if lease.state is LeaseState.RELEASING:
        return confirm(lease, now) if _confirmed(lease, sample, uses) else lease
    reason = _expired(lease, now) or _emptied(lease, sample)
    return lease if reason is None else end(lease, reason, now)


def _expired(lease: Lease, now: Moment) -> EndReason | None:
    deadlines = (
        (lease.clocks.attach, EndReason.ATTACH_DEADLINE),
        (lease.clocks.keepalive, EndReason.KEEPALIVE),
        (lease.clocks.time_limit, EndReason.TIME_LIMIT),
    )
    for deadline, reason in deadlines:
        if deadline is not None and deadline <= now.instant:
            return reason
    return None


def _emptied(lease: Lease, sample: NodeSample) -> EndReason | None:
    """Say EMPTY when a look begun after the last attach found none of its processes."""
    members = sample.members.get(lease.id)
    if members is None or members or lease.entered is None:
        return None
    return EndReason.EMPTY if sample.begun_at > lease.entered.instant else None


def _confirmed(lease: Lease, sample: NodeSample, uses: Mapping[DeviceUuid, DeviceUse]) -> bool:
    """Say whether *sample*, begun after the end, shows nothing of the lease on its devices."""
    if lease.ending is None or sample.begun_at <= lease.ending.instant:
        return False
    for share in lease.shares:
        use = uses.get(share.device)
        if use is None or isinstance(use.processes, Unavailable):
            return False
        if any(one.lease == lease.id for one in use.processes):
            return False
    return True


def _inventory(ledger: Ledger, reading: NodeReading, now: Moment) -> list[Change]:
    present = {one.device.uuid: one.device for one in reading.devices}
    reasons = {one.uuid: one.reason for one in reading.lost if one.uuid is not None}
    lost = {
        uuid: reasons.get(uuid, VANISHED)
        for uuid, device in ledger.devices.items()
        if uuid not in present and _remembered(ledger, device, present)
    }
    devices = {**{uuid: ledger.devices[uuid] for uuid in lost}, **present}
    if devices == ledger.devices and lost == ledger.lost:
        return []
    changes: list[Change] = [InventoryChanged(tuple(devices.values()), lost)]
    # The first sample after a start finds everything: that is no news.
    changes += [
        device_appeared(uuid, now)
        for uuid in present
        if ledger.sample is not None and (uuid not in ledger.devices or uuid in ledger.lost)
    ]
    changes += [
        device_lost(uuid, reason, now) for uuid, reason in lost.items() if uuid not in ledger.lost
    ]
    return changes


def _remembered(ledger: Ledger, device: Device, present: Mapping[DeviceUuid, Device]) -> bool:
    """Keep an absent GPU as lost; an absent MIG instance only while it is leased.

    Instances come and go by the operator's hand, so one that vanished from a GPU that answers
    was removed, not lost.
    """
    gone_by_hand = device.mig is not None and device.mig.parent in present
    return not gone_by_hand or bool(ledger.holding(device.memory_domain).shares)


def _slept(ledger: Ledger, now: Moment) -> int:
    gap = 0 if ledger.ticked_at is None else now.instant - ledger.ticked_at
    return gap if gap > ledger.policy.max_tick_gap else 0


def _forgotten(ledger: Ledger) -> Iterator[Change]:
    surplus = ledger.ended_count() - ledger.policy.history
    for lease, _ in zip(ledger.ended(), range(max(0, surplus)), strict=False):
        yield LeaseForgotten(lease.id)
