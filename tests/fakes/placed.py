"""Hosts of eight GPUs of which some are held, and the places that leases got there."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.device import Device
from gpusched.core.ids import RequestId
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.preferences import Placement, Topology
from gpusched.core.request import Request
from gpusched.core.topology import TopologyReading
from tests.fakes.builders import A, device
from tests.fakes.host import Host, places

EIGHT = [replace(device(place), numa_node=place // 4) for place in range(8)]
NVLINK = Request(A, topology=Topology.NVLINK, topology_required=True)
ONE_NODE = Request(A, topology=Topology.SAME_NUMA_NODE, topology_required=True)
PACK = Request(A, placement=Placement.PACK)


def host_of(
    topology: TopologyReading,
    devices: Sequence[Device] = tuple(EIGHT),
    taken: Sequence[int] = (),
    policy: Policy | None = None,
) -> Host:
    """A host whose GPUs are joined so, with those at the places *taken* held."""
    host = Host(*devices, policy=policy, topology=topology)
    for place in taken:
        host.grant(Request(RequestId(f"taken {place}"), devices=(devices[place].uuid,)))
    return host


def on(lease: Lease) -> list[int]:
    """The places on the bus of the GPUs that a lease has."""
    return [int(uuid.removeprefix("GPU-")) for uuid in places(lease)]
