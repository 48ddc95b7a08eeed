"""The grant on the wire: a lease with every name and variable that a worker may need of it.

The hot path of the daemon: what does not change of a device is turned into messages once.
"""

from collections.abc import Sequence

from gpusched.api.v1 import device_pb2, lease_pb2
from gpusched.core.cooperative import limits_of
from gpusched.core.device import Device, DeviceNode
from gpusched.core.enforcement import HELD, Level
from gpusched.core.enforcing import mask_for, sharers
from gpusched.core.ids import DeviceUuid, Moment
from gpusched.core.kit import kit_inside, kit_of
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Attachment
from gpusched.core.request import Enforce, MaskFormat
from gpusched.core.sample import NodeReading
from gpusched.core.share import Share
from gpusched.rpc.call import Call
from gpusched.rpc.convert_enforcement import attachment_of, attachment_warnings, enforcement_of
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_request import MASK_FORMATS_OUT
from gpusched.rpc.host import Host


class GrantWriter:
    """Writes grants.

    Args:
        host: What every grant tells of the host.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._control: tuple[tuple[DeviceNode, ...], list[device_pb2.DeviceNode]] = ((), [])
        self._constant: dict[DeviceUuid, tuple[Device, lease_pb2.GrantedDevice]] = {}

    def grant_of(
        self,
        lease: Lease,
        ledger: Ledger,
        now: Moment,
        call: Call,
        mask_format: MaskFormat | None = None,
        *,
        attachment: Attachment | None = None,
    ) -> lease_pb2.Grant:
        """Give the grant of *lease*, which is usable, as *call* may see it.

        Args:
            lease: Whose.
            ledger: Where its devices stand.
            now: The present moment.
            call: Who gets it.
            mask_format: Instead of the one the request asked for.
            attachment: What attaching the caller did, where it did that as well.
        """
        here = [one for uuid, one in ledger.devices.items() if uuid not in ledger.lost]
        socket, extra = self._host.socket, self._host.extra_environment
        chosen, held = _naming(lease, ledger, mask_format)
        kit = kit_of(lease, here, socket, mask_format=chosen, isolated=held)
        inside = kit_inside(lease, here, socket, mask_format=mask_format)
        return lease_pb2.Grant(
            lease=lease_of(lease, ledger, now, call),
            devices=[self._device(share, at, ledger) for at, share in enumerate(lease.shares)],
            control_nodes=self._control_of(ledger) if lease.shares else (),
            environment={**kit.environment, **extra},
            container_environment={**inside.environment, **extra},
            mask_format=MASK_FORMATS_OUT[kit.mask_format],
            enforcement=enforcement_of(lease, ledger),
            cooperative_limits=limits_of(lease.limit, _devices(lease, ledger)),
            attachment=None if attachment is None else attachment_of(attachment, ledger),
            warnings=[*kit.warnings, *attachment_warnings(attachment)],
            denied_nodes=_denied(lease, ledger) if lease.level is Level.LANDLOCK else (),
            socket=socket,
            node=self._host.node,
        )

    def _control_of(self, ledger: Ledger) -> list[device_pb2.DeviceNode]:
        reading = None if ledger.sample is None else ledger.sample.reading
        nodes = reading.control_nodes if isinstance(reading, NodeReading) else ()
        if nodes != self._control[0]:
            self._control = (nodes, nodes_of(nodes))
        return self._control[1]

    def _device(self, share: Share, place: int, ledger: Ledger) -> lease_pb2.GrantedDevice:
        granted = lease_pb2.GrantedDevice()
        device = ledger.devices.get(share.device)
        if device is None:
            granted.uuid = share.device
        else:
            granted.CopyFrom(self._constant_of(device))
        granted.relative_index = place
        granted.exclusive = share.exclusive
        if share.memory is not None:
            granted.memory_limit_bytes = share.memory
        return granted

    def _constant_of(self, device: Device) -> lease_pb2.GrantedDevice:
        known = self._constant.get(device.uuid)
        if known is not None and known[0] is device:
            return known[1]
        made = lease_pb2.GrantedDevice(
            uuid=device.uuid,
            index=device.index,
            minor=device.minor,
            pci_bus_id=device.pci_bus_id,
            nodes=nodes_of(device.nodes),
            gpu_type=device.gpu_type.name,
        )
        self._constant[device.uuid] = (device, made)
        return made


def _devices(lease: Lease, ledger: Ledger) -> list[Device]:
    """Give the devices of a lease; none where one of them is not known."""
    found = [ledger.devices.get(share.device) for share in lease.shares]
    return [one for one in found if one is not None] if None not in found else []


def nodes_of(nodes: Sequence[DeviceNode]) -> list[device_pb2.DeviceNode]:
    """Give device nodes."""
    return [
        device_pb2.DeviceNode(path=one.path, major=one.major, minor=one.minor) for one in nodes
    ]


def _naming(
    lease: Lease, ledger: Ledger, wanted: MaskFormat | None
) -> tuple[MaskFormat | None, bool]:
    """Say how to name devices, and whether CUDA counts those of the lease alone.

    It does where the kernel denies the others. Before a process is attached it does not yet,
    and in a cgroup with another lease it counts that one's too: only a UUID is right then.
    """
    free = (wanted or lease.request.mask_format) is MaskFormat.AUTO
    if lease.entered is not None:
        shared = free and bool(sharers(ledger, lease))
        return (MaskFormat.UUID if shared else wanted), lease.level in HELD
    to_be_held = lease.request.enforce is not Enforce.ADVISORY and ledger.ability.level in HELD
    return (MaskFormat.UUID if free and to_be_held else wanted), False


def _denied(lease: Lease, ledger: Ledger) -> list[device_pb2.DeviceNode]:
    """Give the nodes of devices that are not leased."""
    mask = mask_for(ledger, [lease])
    if mask is None:
        return []
    known = {
        node for device in ledger.devices.values() for node in (*device.nodes, *device.dri_nodes)
    }
    known.update(ledger.governed.control)
    denied = [one for one in known if not mask.allows(one.major, one.minor)]
    return nodes_of(sorted(denied, key=lambda one: one.path))
