"""How far masks are held, and what attaching did, on the wire."""

from gpusched.api.v1 import lease_pb2
from gpusched.core.enforcement import Ability, LeaseCgroup, Level, Mode
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Attachment
from gpusched.core.request import Enforce
from gpusched.core.sample import OpenNode
from gpusched.rpc.convert_reading import process_of

LEVELS: dict[Level, lease_pb2.EnforcementLevel.ValueType] = {
    Level.ADVISORY: lease_pb2.ENFORCEMENT_LEVEL_ADVISORY,
    Level.LANDLOCK: lease_pb2.ENFORCEMENT_LEVEL_LANDLOCK,
    Level.DEVICE_PROGRAM: lease_pb2.ENFORCEMENT_LEVEL_DEVICE_PROGRAM,
    Level.GUARD: lease_pb2.ENFORCEMENT_LEVEL_GUARD,
}
SENTENCES: dict[Level, str] = {
    Level.ADVISORY: "the environment asks, nothing holds the mask",
    Level.LANDLOCK: "the launched processes deny themselves the other devices by Landlock",
    Level.DEVICE_PROGRAM: "the kernel denies the other devices to the lease's processes",
    Level.GUARD: "the kernel denies the other devices to the lease's processes, and all devices to"
    " processes without a lease",
}
MODES: dict[Mode, lease_pb2.AttachMode.ValueType] = {
    Mode.MOVE: lease_pb2.ATTACH_MODE_MOVED,
    Mode.IN_PLACE: lease_pb2.ATTACH_MODE_IN_PLACE,
    Mode.RECORD: lease_pb2.ATTACH_MODE_RECORDED,
}
_NOT_ENTERED = (LeaseState.RESERVED, LeaseState.PREPARING)


def ability_of(ability: Ability) -> lease_pb2.Enforcement:
    """Say what a lease can reach on this host."""
    level = _guarded(ability.level, ability)
    return lease_pb2.Enforcement(level=LEVELS[level], sentence=ability.sentence)


def enforcement_of(lease: Lease, ledger: Ledger) -> lease_pb2.Enforcement:
    """Say who holds the mask of *lease*; before a process is attached, who will."""
    ability = ledger.ability
    if lease.state in _NOT_ENTERED:
        return _expected(lease, ability)
    level = _guarded(lease.level, ability)
    return lease_pb2.Enforcement(
        level=LEVELS[level], sentence=lease.level_reason or SENTENCES[level]
    )


def cgroup_of(cgroup: LeaseCgroup | None) -> tuple[str, bool]:
    """Give the path of a lease's cgroup, and whether it is somebody else's."""
    return ("", False) if cgroup is None else (cgroup.path, not cgroup.made)


def attachment_of(attachment: Attachment, ledger: Ledger) -> lease_pb2.Attachment:
    """Say what attaching did."""
    return lease_pb2.Attachment(
        mode=MODES[attachment.mode],
        processes=[process_of(one) for one in attachment.processes],
        escaped=[process_of(one) for one in attachment.escaped],
        open_outside_mask=[_open_node(one, ledger) for one in attachment.open_outside],
    )


def attachment_warnings(attachment: Attachment | None) -> list[str]:
    """Say what the client should know of it, a sentence each."""
    if attachment is None:
        return []
    warnings = [
        f"{one.path} was open in process {one.process.pid} before the mask, and stays open"
        for one in attachment.open_outside
    ]
    warnings += [
        f"process {one.pid} could not be taken along: it is a stray" for one in attachment.escaped
    ]
    return warnings


def _expected(lease: Lease, ability: Ability) -> lease_pb2.Enforcement:
    if lease.request.enforce is Enforce.ADVISORY:
        sentence = "the request asked for an advisory mask"
        return lease_pb2.Enforcement(level=lease_pb2.ENFORCEMENT_LEVEL_ADVISORY, sentence=sentence)
    level = _guarded(ability.level, ability)
    sentence = SENTENCES[level] if ability.level is not Level.ADVISORY else ability.sentence
    return lease_pb2.Enforcement(
        level=LEVELS[level], sentence=f"once a process is attached: {sentence}"
    )


def _guarded(level: Level, ability: Ability) -> Level:
    return Level.GUARD if ability.guard and level is Level.DEVICE_PROGRAM else level


def _open_node(node: OpenNode, ledger: Ledger) -> lease_pb2.OpenDescriptor:
    owner = next(
        (
            device.uuid
            for device in ledger.devices.values()
            for own in (*device.nodes, *device.dri_nodes)
            if (own.major, own.minor) == (node.major, node.minor)
        ),
        "",
    )
    return lease_pb2.OpenDescriptor(
        process=process_of(node.process), path=node.path, device_uuid=owner
    )
