"""Topologies for tests of placement: the two hosts that the simulator has built in, as values."""

from collections.abc import Callable, Sequence
from itertools import combinations

from gpusched.core.device import Device
from gpusched.core.topology import CommonAncestor, Topology, TopologyReading

NODE, SYSTEM = CommonAncestor.NODE, CommonAncestor.SYSTEM
PER_NUMA_NODE = 4


def reading_of(
    gpus: Sequence[Device],
    nvlinks: Callable[[int, int], int],
    ancestor: Callable[[int, int], int] | None = None,
) -> TopologyReading:
    """The topology of *gpus*, by the places of each pair among them."""

    def near(one: int, two: int) -> int:
        return NODE if one // PER_NUMA_NODE == two // PER_NUMA_NODE else SYSTEM

    pairs = list(combinations(range(len(gpus)), 2))
    return TopologyReading(
        gpus=tuple(one.uuid for one in gpus),
        ancestors=tuple((ancestor or near)(*pair) for pair in pairs),
        nvlinks=tuple(nvlinks(*pair) for pair in pairs),
        peers=tuple(1 for _ in pairs),
    )


def nvswitch(gpus: Sequence[Device]) -> TopologyReading:
    """All joined by 18 links through switches, four in each socket: an 8xH100."""
    return reading_of(gpus, lambda _one, _two: 18)


def paired(gpus: Sequence[Device]) -> TopologyReading:
    """A PCIe box: neighbours are joined in pairs by a bridge of 12 links, four in each socket."""
    return reading_of(gpus, lambda one, two: 12 if one // 2 == two // 2 else 0)


def flat(gpus: Sequence[Device]) -> TopologyReading:
    """No NVLink anywhere, and all under one bridge."""
    return reading_of(gpus, lambda _one, _two: 0, lambda _one, _two: CommonAncestor.HOST_BRIDGE)


def topology(reading: TopologyReading) -> Topology:
    """A reading to be looked up."""
    return Topology(reading)
