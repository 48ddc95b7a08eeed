"""Marks and health on the wire: cordons, taints, and whether a device works."""

from gpusched.api.v1 import device_pb2
from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.ledger import Ledger
from gpusched.core.marked import drained, marks_over
from gpusched.core.marks import Cordon, Marks, Taint, TaintEffect
from gpusched.rpc.convert_reading import time_of

EFFECTS: dict[TaintEffect, device_pb2.TaintEffect.ValueType] = {
    TaintEffect.NONE: device_pb2.TAINT_EFFECT_NONE,
    TaintEffect.NO_SCHEDULE: device_pb2.TAINT_EFFECT_NO_SCHEDULE,
    TaintEffect.EVICT: device_pb2.TAINT_EFFECT_EVICT,
}


def marks_of(device: Device, ledger: Ledger) -> device_pb2.Device:
    """Give the part of a device's message that marks make: a cordon, and taints."""
    marks = marks_over(ledger, device)
    return device_pb2.Device() if marks.none else _marked(device.uuid, marks, ledger)


def absent_device(uuid: DeviceUuid, ledger: Ledger) -> device_pb2.Device:
    """Give a device that is known by its marks or its leases only."""
    message = _marked(uuid, ledger.marks_of(uuid), ledger)
    message.uuid = uuid
    message.health = device_pb2.HEALTH_LOST
    message.health_reason = "it has not been seen since the daemon started"
    return message


def health_of(
    device: Device, ledger: Ledger, reason: str, *, lost: bool
) -> tuple[device_pb2.Health.ValueType, str]:
    """Say whether a device works, and why not; *reason* is why it could not be read."""
    if lost:
        return device_pb2.HEALTH_LOST, reason
    if reason:
        return device_pb2.HEALTH_UNREAD, reason
    taints = marks_over(ledger, device).taints
    if taints:
        return device_pb2.HEALTH_UNHEALTHY, "; ".join(one.reason for one in taints)
    return device_pb2.HEALTH_HEALTHY, ""


def _marked(uuid: DeviceUuid, marks: Marks, ledger: Ledger) -> device_pb2.Device:
    message = device_pb2.Device(taints=[_taint(one) for one in marks.taints])
    if marks.cordon is not None:
        message.cordon.CopyFrom(_cordon(marks.cordon, drained(ledger, uuid)))
    return message


def _taint(taint: Taint) -> device_pb2.Taint:
    clears = None if taint.clears is None else time_of(taint.at.wall_of(taint.clears))
    return device_pb2.Taint(
        key=taint.key,
        effect=EFFECTS[taint.effect],
        reason=taint.reason,
        at=time_of(taint.at.wall),
        clears_at=clears,
        recovery_action=taint.recovery,
    )


def _cordon(cordon: Cordon, drained: bool) -> device_pb2.Cordon:  # noqa: FBT001 - a fact
    deadline = None if cordon.deadline is None else time_of(cordon.at.wall_of(cordon.deadline))
    return device_pb2.Cordon(
        reason=cordon.reason,
        uid=cordon.uid,
        user=cordon.user,
        at=time_of(cordon.at.wall),
        drain_deadline=deadline,
        drained=drained,
    )
