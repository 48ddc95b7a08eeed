"""Devices on the wire: what they are, where their memory is, and what could be granted on them."""

from collections.abc import Mapping, Sequence

from gpusched.api.v1 import device_pb2
from gpusched.core.accounts import NOT_READ, account_of, in_domain, on_gpu
from gpusched.core.attribution import DeviceUse
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
        account=_account(device, ledger, memory, reason),
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


def _account(
    device: Device, ledger: Ledger, memory: Reading[Memory], reason: str
) -> device_pb2.Account:
    """Say where the used memory of its domain is."""
    if device.mig_enabled:
        uses = on_gpu(ledger.uses.values(), device.uuid)
    else:
        uses = in_domain(ledger.uses.values(), device.memory_domain)
    if device.uuid not in ledger.uses:
        memory = Unavailable(reason or NOT_READ.reason)
    shared = {device.uuid, *(one.reading.device.uuid for one in uses)}
    ghost = sum(one.memory for uuid, one in ledger.ghosts.items() if uuid in shared)
    account = account_of(memory, uses, ghost)
    return device_pb2.Account(
        leases=bytes_of(account.leases),
        strays=bytes_of(account.strays),
        infrastructure=bytes_of(account.infrastructure),
        ghost=bytes_of(account.ghost),
        unattributed=bytes_of(account.unattributed),
        overlap=bytes_of(account.overlap),
    )


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
