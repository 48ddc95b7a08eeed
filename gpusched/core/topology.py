"""How the GPUs of a host are joined: by PCIe, by NVLink, or not that anybody knows.

What NVML says of every pair, and what a pair is worth to a program on both. What could not be
read joins nothing. It does not change while the driver stays loaded. Choosing is `joining`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations
from types import MappingProxyType

from gpusched.core.ids import DeviceUuid

UNREAD = -1
"""In a `TopologyReading`: this could not be read of the pair."""


class CommonAncestor(IntEnum):
    """How far apart two GPUs are on PCIe, as NVML numbers it (`nvmlGpuTopologyLevel_t`)."""

    INTERNAL = 0
    SINGLE = 10
    MULTIPLE = 20
    HOST_BRIDGE = 30
    NODE = 40
    SYSTEM = 50


@dataclass(frozen=True, slots=True)
class TopologyReading:
    """What NVML says of every pair of GPUs, in flat rows: it crosses a pipe with every sample.

    The rows have one number for each pair, in the order of `itertools.combinations(gpus, 2)`.

    Attributes:
        gpus: The GPUs, in the order of NVML.
        ancestors: `CommonAncestor`, or `UNREAD`.
        nvlinks: Active NVLinks between the two, directly or through a switch, or `UNREAD`.
        peers: Whether each may access the other's memory: 1, 0, or `UNREAD`.
        doubt: The first reason why something is `UNREAD`; empty where nothing is.
    """

    gpus: tuple[DeviceUuid, ...] = ()
    ancestors: tuple[int, ...] = ()
    nvlinks: tuple[int, ...] = ()
    peers: tuple[int, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The way from one GPU to another; None is what could not be read.

    Attributes:
        ancestor: Their nearest common ancestor.
        nvlinks: Active NVLinks between them.
        peer_to_peer: Whether each may access the other's memory.
    """

    ancestor: CommonAncestor | None = None
    nvlinks: int | None = None
    peer_to_peer: bool | None = None

    @property
    def worth(self) -> int:
        """Say what the pair is worth to a program that uses both; 0 where nothing is known.

        The scale is that of NVIDIA's device plugin (go-gpuallocator, `BestEffortPolicy`): an
        NVLink is more than any way over PCIe, and every further one counts as much again.
        """
        near = 0 if self.ancestor is None else _NEAR[self.ancestor]
        return near + _NVLINK * (self.nvlinks or 0)


_NVLINK = 100
_NEAR = {
    CommonAncestor.INTERNAL: 60,
    CommonAncestor.SINGLE: 50,
    CommonAncestor.MULTIPLE: 40,
    CommonAncestor.HOST_BRIDGE: 30,
    CommonAncestor.NODE: 20,
    CommonAncestor.SYSTEM: 10,
}
# A driver may know more of them one day.
_ANCESTORS = {one.value: one for one in CommonAncestor}
_NOTHING: Mapping[DeviceUuid, int] = MappingProxyType({})
_NOT_KNOWN = Link()
_ITSELF = Link(CommonAncestor.INTERNAL)


class Topology:
    """The pairs of a reading, to be looked up.

    Args:
        reading: What NVML said. It is the caller's word that its rows have equal lengths.
    """

    def __init__(self, reading: TopologyReading) -> None:
        self.reading = reading
        pairs = combinations(reading.gpus, 2)
        rows = zip(pairs, reading.ancestors, reading.nvlinks, reading.peers, strict=False)
        self._links = {pair: _link(*numbers) for pair, *numbers in rows}
        self._worth: dict[DeviceUuid, dict[DeviceUuid, int]] = {one: {} for one in reading.gpus}
        for (one, two), link in self._links.items():
            if link.worth:
                self._worth[one][two] = self._worth[two][one] = link.worth

    def between(self, one: DeviceUuid, two: DeviceUuid) -> Link:
        """Give the way between two GPUs; instances of one GPU are on one board."""
        if one == two:
            return _ITSELF
        return self._links.get((one, two)) or self._links.get((two, one)) or _NOT_KNOWN

    def worth(self, one: DeviceUuid, two: DeviceUuid) -> int:
        """Say what a pair of different GPUs is worth; 0 where nothing is known of it."""
        return self.worth_to(one).get(two, 0)

    def joined(self, one: DeviceUuid, two: DeviceUuid) -> bool:
        """Say whether NVLink surely joins two GPUs."""
        return bool(self.between(one, two).nvlinks)

    def worth_to(self, one: DeviceUuid) -> Mapping[DeviceUuid, int]:
        """Say what a GPU is worth to each of the others of which something good is known."""
        return self._worth.get(one, _NOTHING)


UNKNOWN_TOPOLOGY = Topology(TopologyReading())


def topology_of(reading: TopologyReading, before: Topology) -> Topology:
    """Give the topology of *reading*; the very same as *before* where nothing changed."""
    return before if reading == before.reading else Topology(reading)


def _link(ancestor: int, nvlinks: int, peers: int) -> Link:
    return Link(
        _ANCESTORS.get(ancestor),
        None if nvlinks == UNREAD else nvlinks,
        None if peers == UNREAD else bool(peers),
    )
