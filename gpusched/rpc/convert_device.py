"""Devices on the wire: what they are, where their memory is, and what could be granted on them."""

from collections.abc import Iterator, Mapping, Sequence

from gpusched.api.v1 import device_pb2
from gpusched.core.attribution import Attributed, DeviceUse, ProcessKind
from gpusched.core.device import Device
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId
from gpusched.core.lease_table import Holding
from gpusched.core.ledger import Ledger
from gpusched.core.placement import allocatable
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.sample import NOT_SAMPLED, Memory, Reading, Unavailable
from gpusched.rpc.call import Call
from gpusched.rpc.convert_grant import nodes_of
from gpusched.rpc.convert_marks import health_of, marks_of
from gpusched.rpc.convert_reading import bytes_of, number_of
from gpusched.rpc.convert_telemetry import telemetry_of
from gpusched.rpc.judging import share_verdicts, whole_verdicts

_STRAY_KINDS = (ProcessKind.STRAY, ProcessKind.UNKNOWN)
_UNREADABLE = (Obstacle.LOST, Obstacle.UNREAD, Obstacle.RELEASED)
_LAST = 1 << 30


def devices_of(ledger: Ledger, now: Instant) -> list[device_pb2.Device]:
    """Give all devices: GPUs in index order, each before its MIG instances, lost ones last."""
    whole = whole_verdicts(ledger, now)
    share = share_verdicts(ledger, now)
    return [_device(one, ledger, now, whole, share) for one in in_order(ledger)]


def as_seen(
    devices: list[device_pb2.Device], ledger: Ledger, call: Call
) -> list[device_pb2.Device]:
    """Take out of *devices* the leases whose devices the caller may not know."""
    if call.caller.admin or ledger.policy.others.device:
        return devices
    for device in devices:
        found = [ledger.get(LeaseId(one)) for one in device.lease_ids]
        own = [one.id for one in found if one is not None and call.may_see(one.uid)]
        device.lease_ids[:] = own
    return devices


def device_of(uuid: DeviceUuid, ledger: Ledger, now: Instant) -> device_pb2.Device:
    """Give one device."""
    whole, share = whole_verdicts(ledger, now), share_verdicts(ledger, now)
    return _device(ledger.devices[uuid], ledger, now, whole, share)


def in_order(ledger: Ledger) -> list[Device]:
    """Sort the inventory as every list has it."""

    def key(device: Device) -> tuple[bool, int, int]:
        own = -1 if device.mig is None else device.index
        return device.uuid in ledger.lost, gpu_index(device, ledger), own

    return sorted(ledger.devices.values(), key=key)


def gpu_index(device: Device, ledger: Ledger) -> int:
    """Give the NVML index of the GPU that *device* is or is on."""
    if device.mig is None:
        return device.index
    parent = ledger.devices.get(device.mig.parent)
    return _LAST if parent is None else parent.index


def trouble(device: Device, ledger: Ledger, now: Instant) -> tuple[str, bool]:
    """Say why a device is not read and whether it is lost; an empty text where it is read."""
    if device.uuid in ledger.lost:
        return ledger.lost[device.uuid], True
    if ledger.sample is None:
        return NOT_SAMPLED.reason, False
    if isinstance(ledger.sample.reading, Unavailable):
        return ledger.sample.reading.reason, False
    if device.uuid not in ledger.uses:
        return "not read in the last sample", False
    age = now - ledger.sample.begun_at
    if age > ledger.policy.max_sample_age:
        return f"the last reading is {age // SECOND} s old", False
    return "", False


def _device(
    device: Device,
    ledger: Ledger,
    now: Instant,
    whole: Mapping[DeviceUuid, Verdict],
    share: Mapping[DeviceUuid, Verdict],
) -> device_pb2.Device:
    use = ledger.uses.get(device.uuid)
    reason, lost = trouble(device, ledger, now)
    memory = _memory(use, reason)
    holding = ledger.holding(device.memory_domain)
    promisable = memory if isinstance(memory, Unavailable) else allocatable(ledger, memory)
    health, health_reason = health_of(device, ledger, reason, lost=lost)
    shares = holding.shares
    settling = [lease for lease, _ in shares if _settling(ledger, lease)]
    message = _what_it_is(device)
    changing = device_pb2.Device(
        index=None if lost else device.index,
        memory=_memory_message(memory),
        withheld_bytes=ledger.policy.withheld,
        allocatable=bytes_of(promisable),
        allocated_bytes=_promised(holding, promisable),
        grantable=bytes_of(_grantable(share[device.uuid])),
        account=_account(use, memory, reason, _ghost(device, ledger)),
        mig=_mig(device, ledger),
        health=health,
        health_reason=health_reason,
        unmonitored=use is None or bool(use.reading.unmonitored),
        schedulable=None in (whole[device.uuid].obstacle, share[device.uuid].obstacle),
        unschedulable_reason=_hindrance(whole[device.uuid], share[device.uuid], settling),
        lease_ids=list(dict.fromkeys(lease for lease, _ in shares)),
        leased_exclusively=holding.exclusive is not None,
        settling=bool(settling),
        telemetry=telemetry_of(device, use, reason),
    )
    message.MergeFrom(changing)
    message.MergeFrom(marks_of(device, ledger))
    return message


def _what_it_is(device: Device) -> device_pb2.Device:
    return device_pb2.Device(
        uuid=device.uuid,
        minor=device.minor,
        pci_bus_id=device.pci_bus_id,
        product_name=device.product_name,
        gpu_type=device.gpu_type.name,
        aliases=device.gpu_type.aliases,
        recognized=device.gpu_type.recognized,
        mig_enabled=device.mig_enabled,
        nodes=nodes_of(device.nodes),
        numa_node=device.numa_node,
    )


def _hindrance(whole: Verdict, share: Verdict, settling: Sequence[LeaseId]) -> str:
    if None in (whole.obstacle, share.obstacle):
        return ""
    if whole.obstacle is Obstacle.HELD and set(whole.leases) <= set(settling):
        return f"settling: the memory of {', '.join(whole.leases)} is not confirmed back"
    return whole.sentence


def _promised(holding: Holding, promisable: Reading[int]) -> int:
    if holding.exclusive is None:
        return holding.promised
    return 0 if isinstance(promisable, Unavailable) else promisable


def _memory(use: DeviceUse | None, reason: str) -> Reading[Memory]:
    """Give the memory by the last sample, an old one included: its age is told beside it."""
    if use is None:
        return Unavailable(reason or "not read in the last sample")
    return use.reading.memory


def _memory_message(memory: Reading[Memory]) -> device_pb2.DeviceMemory:
    if isinstance(memory, Unavailable):
        nothing = bytes_of(memory)
        return device_pb2.DeviceMemory(
            total=nothing, driver_reserved=nothing, used=nothing, free=nothing
        )
    return device_pb2.DeviceMemory(
        total=bytes_of(memory.total),
        driver_reserved=bytes_of(memory.reserved),
        used=bytes_of(memory.used),
        free=bytes_of(memory.free),
    )


def _grantable(verdict: Verdict) -> Reading[int]:
    if verdict.room is not None:
        return verdict.room
    return Unavailable(verdict.sentence) if verdict.obstacle in _UNREADABLE else 0


def _ghost(device: Device, ledger: Ledger) -> int:
    found = ledger.ghosts.get(device.uuid)
    return 0 if found is None else found.memory


def _account(
    use: DeviceUse | None, memory: Reading[Memory], reason: str, ghost: int
) -> device_pb2.Account:
    """Say where the used memory is; what stays is unattributed, what is too much overlaps."""
    processes: Reading[tuple[Attributed, ...]] = Unavailable(reason or "not read")
    if use is not None:
        processes = use.processes
    leases = _sum(processes, (ProcessKind.LEASE,))
    strays = _sum(processes, _STRAY_KINDS)
    infrastructure = _sum(processes, (ProcessKind.INFRASTRUCTURE,))
    rest: Reading[int] = memory if isinstance(memory, Unavailable) else memory.used
    for part in (leases, strays, infrastructure):
        if isinstance(rest, Unavailable) or isinstance(part, Unavailable):
            rest = rest if isinstance(rest, Unavailable) else part
        else:
            rest -= part
    unattributed, overlap = _split(rest)
    haunted: Reading[int] = ghost
    if ghost and isinstance(unattributed, Unavailable):
        haunted = unattributed
    elif ghost and not isinstance(unattributed, Unavailable):
        # Part of it may have come back since it was found.
        haunted = min(ghost, unattributed)
        unattributed -= haunted
    return device_pb2.Account(
        leases=bytes_of(leases),
        strays=bytes_of(strays),
        infrastructure=bytes_of(infrastructure),
        ghost=bytes_of(haunted),
        unattributed=bytes_of(unattributed),
        overlap=bytes_of(overlap),
    )


def _split(rest: Reading[int]) -> tuple[Reading[int], Reading[int]]:
    """Give what is used beyond the processes' sum, and what that sum exceeds the used by."""
    return (rest, rest) if isinstance(rest, Unavailable) else (max(0, rest), max(0, -rest))


def _sum(
    processes: Reading[tuple[Attributed, ...]], kinds: tuple[ProcessKind, ...]
) -> Reading[int]:
    if isinstance(processes, Unavailable):
        return processes
    total = 0
    for size in _sizes(processes, kinds):
        if isinstance(size, Unavailable):
            return size
        total += size
    return total


def _sizes(
    processes: tuple[Attributed, ...], kinds: tuple[ProcessKind, ...]
) -> Iterator[Reading[int]]:
    return (one.context.memory for one in processes if one.kind in kinds)


def _mig(device: Device, ledger: Ledger) -> device_pb2.MigInstance | None:
    if device.mig is None:
        return None
    unknown = number_of(NOT_SAMPLED)
    return device_pb2.MigInstance(
        parent_uuid=device.mig.parent,
        parent_index=gpu_index(device, ledger),
        gpu_instance=device.mig.gpu_instance,
        compute_instance=device.mig.compute_instance,
        profile=device.mig.profile,
        multiprocessors=unknown,
        copy_engines=unknown,
        encoders=unknown,
        decoders=unknown,
        jpeg_engines=unknown,
        optical_flow_engines=unknown,
    )


def _settling(ledger: Ledger, lease_id: LeaseId) -> bool:
    lease = ledger.get(lease_id)
    return lease is not None and lease.live and lease.reason is not None
