"""Leases on the wire, built from the ledger in one go: nothing here awaits."""

from gpusched.api.v1 import lease_pb2, process_pb2, reading_pb2
from gpusched.core.advice import advice
from gpusched.core.attribution import DeviceUse
from gpusched.core.ids import Moment, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.peaks import with_peaks
from gpusched.core.sample import Reading, Unavailable
from gpusched.core.share import Share
from gpusched.core.sight import Sight
from gpusched.rpc.call import Call
from gpusched.rpc.convert_enforcement import LEVELS, SENTENCES, cgroup_of, enforcement_of
from gpusched.rpc.convert_event import story_of
from gpusched.rpc.convert_idle import idleness_of
from gpusched.rpc.convert_priority import priority_of
from gpusched.rpc.convert_reading import (
    NOT_SHOWN,
    OF_ANOTHER,
    bytes_of,
    deadline_of,
    moment_of,
    process_of,
)
from gpusched.rpc.convert_request import message_of, owner_of
from gpusched.rpc.convert_violation import violations_of

STATES: dict[LeaseState, lease_pb2.LeaseState.ValueType] = {
    LeaseState.RESERVED: lease_pb2.LEASE_STATE_RESERVED,
    LeaseState.PREPARING: lease_pb2.LEASE_STATE_PREPARING,
    LeaseState.ACTIVE: lease_pb2.LEASE_STATE_ACTIVE,
    LeaseState.RELEASING: lease_pb2.LEASE_STATE_RELEASING,
    LeaseState.ENDED: lease_pb2.LEASE_STATE_ENDED,
}
REASONS: dict[EndReason | None, lease_pb2.EndReason.ValueType] = {
    None: lease_pb2.END_REASON_UNSPECIFIED,
    EndReason.RELEASED: lease_pb2.END_REASON_RELEASED,
    EndReason.EMPTY: lease_pb2.END_REASON_EMPTY,
    EndReason.ATTACH_DEADLINE: lease_pb2.END_REASON_ATTACH_DEADLINE,
    EndReason.KEEPALIVE: lease_pb2.END_REASON_KEEPALIVE,
    EndReason.TIME_LIMIT: lease_pb2.END_REASON_TIME_LIMIT,
    EndReason.CANCELLED: lease_pb2.END_REASON_CANCELLED,
    EndReason.REVOKED: lease_pb2.END_REASON_REVOKED,
    EndReason.PREPARE_FAILED: lease_pb2.END_REASON_PREPARE_FAILED,
    EndReason.REBOOT: lease_pb2.END_REASON_REBOOT,
    EndReason.OVER_LIMIT: lease_pb2.END_REASON_OVER_LIMIT,
    EndReason.DRAINED: lease_pb2.END_REASON_DRAINED,
    EndReason.DEVICE_FAILED: lease_pb2.END_REASON_DEVICE_FAILED,
    EndReason.IDLE: lease_pb2.END_REASON_IDLE,
    EndReason.PREEMPTED: lease_pb2.END_REASON_PREEMPTED,
}
_IN_GENERAL = {LEVELS[level]: sentence for level, sentence in SENTENCES.items()}
_NOTHING = reading_pb2.ByteReading(value=0)
_GONE = Unavailable("the device was not read in the last sample")


def lease_of(
    lease: Lease, ledger: Ledger, now: Moment, call: Call, *, with_story: bool = False
) -> lease_pb2.Lease:
    """Give *lease* as the caller may see it.

    Nobody sees of others what they asked for and why, nor where they run; the rest is the
    operator's choice.
    """
    own, seen = call.may_see(lease.uid), call.sight_of(lease.uid, ledger.policy.others)
    lease = with_peaks(lease, ledger.peaks)
    request, members = lease.request, members_of(lease, ledger)
    used = [_used(lease, share, ledger) for share in lease.shares]
    message = lease_pb2.Lease(
        id=lease.id,
        state=STATES[lease.state],
        end_reason=REASONS[lease.reason],
        holder=_holder_of(lease, own=own) if seen.uid else None,
        end_detail=lease.detail if own else "",
        devices=[
            _device_of(lease, share, use if seen.memory else OF_ANOTHER, ledger, seen)
            for share, use in zip(lease.shares, used, strict=True)
            if seen.device
        ],
        request=message_of(request) if own and not lease.adopted else None,
        owner=owner_of(request.owner) if own and request.owner is not None else None,
        labels=request.labels if own else None,
        processes=processes_of(members) if members else None,
        asker_gone=_asker_gone(lease, members),
        enforcement=_enforcement_of(lease, ledger, own=own),
        used_memory=_bytes(_sum(used) if seen.memory else OF_ANOTHER),
        peak_memory=bytes_of(_peak(lease, lease.peak) if seen.memory else OF_ANOTHER),
        suggestion=advice(lease, ledger.devices) if own and not lease.live else "",
        violations=violations_of(lease, ledger, now) if own else None,
        story=list(story_of(lease.id, ledger, call)) if own and with_story else None,
    )
    message.MergeFrom(_times(lease, now))
    message.MergeFrom(priority_of(lease, ledger, now, call, seen))
    if own or seen.device:
        message.MergeFrom(idleness_of(lease, ledger, now))
    return message


def _times(lease: Lease, now: Moment) -> lease_pb2.Lease:
    """Give when it began and ended, and what may end it when."""
    clocks = lease.clocks
    return lease_pb2.Lease(
        created_at=moment_of(lease.created),
        entered_at=moment_of(lease.entered),
        ending_at=moment_of(lease.ending),
        ended_at=moment_of(lease.ended),
        attach_deadline=deadline_of(clocks.attach, now),
        keepalive_deadline=deadline_of(clocks.keepalive, now),
        time_limit_deadline=deadline_of(clocks.time_limit, now),
    )


def _enforcement_of(lease: Lease, ledger: Ledger, *, own: bool) -> lease_pb2.Enforcement:
    """Say how far the mask is held; why not further may name cgroups and processes."""
    found = enforcement_of(lease, ledger)
    if own:
        return found
    return lease_pb2.Enforcement(level=found.level, sentence=_IN_GENERAL[found.level])


def _holder_of(lease: Lease, *, own: bool) -> lease_pb2.Holder:
    path, in_place = cgroup_of(lease.cgroup if own else None)
    return lease_pb2.Holder(
        uid=lease.uid, gid=lease.gid, user=lease.user, cgroup=path, in_place=in_place
    )


def processes_of(processes: tuple[ProcessId, ...]) -> list[process_pb2.ProcessIdentity]:
    """Give processes in the order they stand in."""
    return [process_of(one) for one in processes]


def members_of(lease: Lease, ledger: Ledger) -> tuple[ProcessId, ...]:
    """Give the processes of *lease* by the last look.

    One that was attached after the look belongs to it too; what has ended has none.
    """
    if not lease.live:
        return ()
    sample = ledger.sample
    looked = None if sample is None else sample.members.get(lease.id)
    if looked is None:
        return lease.processes
    if lease.entered is None or sample is None or sample.begun_at > lease.entered.instant:
        return tuple(sorted(looked))
    return tuple(sorted(looked | set(lease.processes)))


def _asker_gone(lease: Lease, members: tuple[ProcessId, ...]) -> bool:
    return bool(members and lease.processes) and lease.processes[0] not in members


def _device_of(
    lease: Lease, share: Share, used: Reading[int], ledger: Ledger, seen: Sight
) -> lease_pb2.LeasedDevice:
    device = ledger.devices.get(share.device)
    lost = device is None or share.device in ledger.lost
    return lease_pb2.LeasedDevice(
        uuid=share.device,
        index=None if device is None or lost else device.index,
        minor=None if device is None else device.minor,
        gpu_type="" if device is None else device.gpu_type.name,
        memory_limit_bytes=share.memory if seen.memory else None,
        exclusive=share.exclusive,
        used_memory=_bytes(used),
        peak_memory=bytes_of(_peak(lease, share.peak) if seen.memory else OF_ANOTHER),
        settling=lease.state is LeaseState.RELEASING,
        lost=lost,
    )


def _peak(lease: Lease, peak: int | None) -> Reading[int]:
    """Give a peak; nobody has entered: nothing was used, and that is known."""
    if peak is None:
        return 0 if lease.entered is None else NOT_SHOWN
    return peak


def _used(lease: Lease, share: Share, ledger: Ledger) -> Reading[int]:
    """Say what the lease uses of one device; an ended one uses nothing by definition."""
    if not lease.live:
        return 0
    use: DeviceUse | None = ledger.uses.get(share.device)
    if use is None:
        # Nobody has entered: nothing is used, readable or not.
        return 0 if lease.entered is None else _GONE
    if isinstance(use.processes, Unavailable) and lease.entered is not None:
        return use.processes
    return use.used_by.get(lease.id, 0)


def _sum(parts: list[Reading[int]]) -> Reading[int]:
    total = 0
    for one in parts:
        if isinstance(one, Unavailable):
            return one
        total += one
    return total


def _bytes(reading: Reading[int]) -> reading_pb2.ByteReading:
    return bytes_of(reading) if reading else _NOTHING
