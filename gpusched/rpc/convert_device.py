"""Devices on the wire: what they are, where their memory is, and what could be granted on them."""

from collections.abc import Mapping, Sequence

from gpusched.api.v1 import device_pb2
from gpusched.core.accounts import Account, account, accounts
from gpusched.core.attribution import DeviceUse
from gpusched.core.device import Device
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId
from gpusched.core.lease_table import Holding
from gpusched.core.ledger import Ledger
from gpusched.core.pool import DEFAULT_POOL
from gpusched.core.pooling import configured, pool_of
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.room import allocatable
from gpusched.core.sample import NOT_SAMPLED, Memory, NodeReading, Reading, Unavailable
from gpusched.rpc.call import Call
from gpusched.rpc.convert_account import account_of, memory_of
from gpusched.rpc.convert_grant import nodes_of
from gpusched.rpc.convert_marks import health_of, marks_of
from gpusched.rpc.convert_reading import NOT_EACH_TIME, bytes_of, number_of
from gpusched.rpc.convert_telemetry import telemetry_of
from gpusched.rpc.convert_topology import links_of
from gpusched.rpc.judging import share_verdicts, whole_verdicts

_UNREADABLE = (Obstacle.LOST, Obstacle.UNREAD, Obstacle.RELEASED)
_LAST = 1 << 30
NOT_READ = "not read in the last sample"


def devices_of(ledger: Ledger, now: Instant) -> list[device_pb2.Device]:
    """Give all devices: GPUs in index order, each before its MIG instances, lost ones last."""
    whole = whole_verdicts(ledger, now)
    share = share_verdicts(ledger, now)
    known = accounts_in(ledger)
    return [
        _device(one, ledger, now, whole[one.uuid], share[one.uuid], known.get(one.uuid))
        for one in in_order(ledger)
    ]


def accounts_in(ledger: Ledger) -> Mapping[DeviceUuid, Account]:
    """Give the accounts of all devices that the last sample read."""
    reading = NOT_SAMPLED if ledger.sample is None else ledger.sample.reading
    lost = reading.lost if isinstance(reading, NodeReading) else ()
    return accounts(ledger.uses, ledger.ghosts, lost)


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
    return next(one for one in devices_of(ledger, now) if one.uuid == uuid)


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
        return NOT_READ, False
    age = now - ledger.sample.begun_at
    if age > ledger.policy.max_sample_age:
        return f"the last reading is {age // SECOND} s old", False
    return "", False


def _device(
    device: Device,
    ledger: Ledger,
    now: Instant,
    whole: Verdict,
    share: Verdict,
    known: Account | None,
) -> device_pb2.Device:
    use = ledger.uses.get(device.uuid)
    reason, lost = trouble(device, ledger, now)
    memory = _memory(use, reason)
    shown = known or _unread(device, reason, ledger)
    holding = ledger.holding(device.memory_domain)
    promisable = memory if isinstance(memory, Unavailable) else allocatable(ledger, memory)
    health, health_reason = health_of(device, ledger, reason, lost=lost)
    shares = holding.shares
    settling = [lease for lease, _ in shares if _settling(ledger, lease)]
    message = _what_it_is(device, ledger)
    changing = device_pb2.Device(
        index=None if lost else device.index,
        memory=memory_of(shown),
        withheld_bytes=ledger.policy.withheld,
        allocatable=bytes_of(promisable),
        allocated_bytes=_promised(holding, promisable),
        grantable=bytes_of(_grantable(share)),
        account=account_of(shown),
        mig=_mig(device, ledger),
        health=health,
        health_reason=health_reason,
        unmonitored=use is None or bool(use.reading.unmonitored),
        schedulable=None in (whole.obstacle, share.obstacle),
        unschedulable_reason=_hindrance(whole, share, settling),
        lease_ids=list(dict.fromkeys(lease for lease, _ in shares)),
        leased_exclusively=holding.exclusive is not None,
        settling=bool(settling),
        telemetry=telemetry_of(device, use, reason),
    )
    for part in (changing, _pool(device, ledger), marks_of(device, ledger)):
        message.MergeFrom(part)
    return message


def _what_it_is(device: Device, ledger: Ledger) -> device_pb2.Device:
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
        links=links_of(device, ledger.topology),
    )


def _pool(device: Device, ledger: Ledger) -> device_pb2.Device:
    """Say which pool it is in, and which one it is about to be in."""
    now, next_ = pool_of(ledger, device), configured(ledger, device)
    moves = {} if now == next_ else {"moves_to_pool": next_}
    return device_pb2.Device(pool="" if now == DEFAULT_POOL else now, attributes=moves)


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
        return Unavailable(reason or NOT_READ)
    return use.reading.memory


def _grantable(verdict: Verdict) -> Reading[int]:
    if verdict.room is not None:
        return verdict.room
    return Unavailable(verdict.sentence) if verdict.obstacle in _UNREADABLE else 0


def _unread(device: Device, reason: str, ledger: Ledger) -> Account:
    """Give the account of a device that the last sample has nothing of."""
    unknown = Unavailable(reason or NOT_READ)
    ghost = ledger.ghosts.get(device.uuid)
    return account(unknown, unknown, 0 if ghost is None else ghost.memory)


def _mig(device: Device, ledger: Ledger) -> device_pb2.MigInstance | None:
    if device.mig is None:
        return None
    unknown = number_of(NOT_EACH_TIME)
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
