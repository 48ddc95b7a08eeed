"""The ways from one GPU to the others on the wire."""

from gpusched.api.v1 import device_pb2
from gpusched.core.device import Device
from gpusched.core.sample import Unavailable
from gpusched.core.topology import CommonAncestor, Link, Topology
from gpusched.rpc.convert_reading import flag_of

_ANCESTORS = {
    None: device_pb2.COMMON_ANCESTOR_UNSPECIFIED,
    CommonAncestor.INTERNAL: device_pb2.COMMON_ANCESTOR_INTERNAL,
    CommonAncestor.SINGLE: device_pb2.COMMON_ANCESTOR_SINGLE,
    CommonAncestor.MULTIPLE: device_pb2.COMMON_ANCESTOR_MULTIPLE,
    CommonAncestor.HOST_BRIDGE: device_pb2.COMMON_ANCESTOR_HOST_BRIDGE,
    CommonAncestor.NODE: device_pb2.COMMON_ANCESTOR_NODE,
    CommonAncestor.SYSTEM: device_pb2.COMMON_ANCESTOR_SYSTEM,
}


def links_of(device: Device, topology: Topology) -> list[device_pb2.TopologyLink]:
    """Give the ways from *device* to the other GPUs; none of a MIG instance or a lost GPU."""
    gpus = topology.reading.gpus
    if device.mig is not None or device.uuid not in gpus:
        return []
    doubt = Unavailable(topology.reading.doubt or "not read")
    return [
        _link(one, topology.between(device.uuid, one), doubt) for one in gpus if one != device.uuid
    ]


def _link(peer: str, link: Link, doubt: Unavailable) -> device_pb2.TopologyLink:
    return device_pb2.TopologyLink(
        peer_uuid=peer,
        common_ancestor=_ANCESTORS[link.ancestor],
        nvlinks=link.nvlinks or 0,
        nvlinks_unread=link.nvlinks is None,
        peer_to_peer=flag_of(doubt if link.peer_to_peer is None else link.peer_to_peer),
    )
