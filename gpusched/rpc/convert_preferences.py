"""What a request prefers of its devices on the wire: sharing, topology, placement."""

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TypeVar

from gpusched.api.v1 import request_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import Request

K = TypeVar("K", bound=int)
V = TypeVar("V")

_SHARING = {
    request_pb2.SHARING_UNSPECIFIED: Sharing.CONFIGURED,
    request_pb2.SHARING_EXCLUSIVE: Sharing.EXCLUSIVE,
    request_pb2.SHARING_ANY: Sharing.ANY,
    request_pb2.SHARING_OWN: Sharing.OWN,
}
_TOPOLOGIES = {
    request_pb2.TOPOLOGY_UNSPECIFIED: Topology.CONFIGURED,
    request_pb2.TOPOLOGY_ANY: Topology.ANY,
    request_pb2.TOPOLOGY_SAME_NUMA_NODE: Topology.SAME_NUMA_NODE,
    request_pb2.TOPOLOGY_NVLINK: Topology.NVLINK,
}
_PLACEMENTS = {
    request_pb2.PLACEMENT_UNSPECIFIED: Placement.CONFIGURED,
    request_pb2.PLACEMENT_PACK: Placement.PACK,
    request_pb2.PLACEMENT_SPREAD: Placement.SPREAD,
    request_pb2.PLACEMENT_TOPOLOGY: Placement.TOPOLOGY,
}
_SHARING_OUT = {value: key for key, value in _SHARING.items()}
_TOPOLOGIES_OUT = {value: key for key, value in _TOPOLOGIES.items()}
_PLACEMENTS_OUT = {value: key for key, value in _PLACEMENTS.items()}


def preferring(
    request: Request, wish: request_pb2.AllocateRequest, said: Container[str]
) -> Request:
    """Give *request* with what *wish* says beside of the devices; *said* are its fields.

    Raises:
        InvalidRequest: It is wrong whatever the host.
    """
    return replace(
        request,
        min_count=wish.min_count if "min_count" in said else None,
        max_count=wish.max_count if "max_count" in said else None,
        memory_fraction=wish.memory_fraction if "memory_fraction" in said else None,
        sharing=_known("sharing", wish.sharing, _SHARING),
        allow_larger_mig=wish.allow_larger_mig_profile,
        topology=_known("topology", wish.topology, _TOPOLOGIES),
        topology_required=wish.topology_required,
        placement=_known("placement", wish.placement, _PLACEMENTS),
        affinity_key=wish.affinity_key,
    )


def preferences_of(request: Request) -> request_pb2.AllocateRequest:
    """Give a message that says nothing but what `preferring` reads."""
    return request_pb2.AllocateRequest(
        min_count=request.min_count,
        max_count=request.max_count,
        memory_fraction=request.memory_fraction,
        sharing=_SHARING_OUT[request.sharing],
        allow_larger_mig_profile=request.allow_larger_mig,
        topology=_TOPOLOGIES_OUT[request.topology],
        topology_required=request.topology_required,
        placement=_PLACEMENTS_OUT[request.placement],
        affinity_key=request.affinity_key or None,
    )


def _known(field: str, value: K, names: Mapping[K, V]) -> V:
    if value not in names:
        raise InvalidRequest(field, f"there is no value {value}")
    return names[value]
