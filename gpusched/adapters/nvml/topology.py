"""How the GPUs are joined, read once for the GPUs that are there: NVML says it pair by pair.

A call that fails makes its pair unknown and takes nothing else down, also where the GPU turns out
to be lost: whether it is, the sampler finds out by itself.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from gpusched.adapters.nvml import binding, binding_topology
from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.topology import UNREAD, TopologyReading

MOST_GPUS: Final = 64
"""Of more GPUs than any host has, as a simulator may show, the pairs would be too many."""

_TOO_MANY: Final = f"not read of more than {MOST_GPUS} GPUs"
_NO_LINK: Final = frozenset({binding.NOT_SUPPORTED, binding.INVALID_ARGUMENT})

Gpu = tuple[Device, binding.Handle]


@dataclass(slots=True)
class _Links:
    """Where the active NVLinks of one GPU lead.

    Attributes:
        peers: How many lead to each bus id.
        switched: How many lead to a switch.
        known: Whether all of them could be read.
    """

    peers: Counter[str] = field(default_factory=Counter)
    switched: int = 0
    known: bool = True


class TopologyReader:
    """Reads the topology of one driver load; anew whenever other GPUs answer than before."""

    def __init__(self) -> None:
        self._read = TopologyReading()

    def of(self, gpus: Sequence[Gpu]) -> TopologyReading:
        """Give the topology of the GPUs that answer, whole ones and partitioned ones."""
        uuids = tuple(device.uuid for device, _ in gpus)
        if uuids != self._read.gpus:
            self._read = (
                TopologyReading(uuids, doubt=_TOO_MANY)
                if len(gpus) > MOST_GPUS
                else _Reading().of(gpus)
            )
        return self._read


class _Reading:
    """One reading, with the first thing that went wrong."""

    def __init__(self) -> None:
        self._doubt = ""

    def of(self, gpus: Sequence[Gpu]) -> TopologyReading:
        pairs = list(combinations(gpus, 2))
        buses = frozenset(device.pci_bus_id for device, _ in gpus)
        links = {device.uuid: self._links(handle, buses) for device, handle in gpus}
        return TopologyReading(
            gpus=tuple(device.uuid for device, _ in gpus),
            ancestors=tuple(
                self._ask(lambda a, b: binding_topology.common_ancestor(a[1], b[1]), one, two)
                for one, two in pairs
            ),
            nvlinks=tuple(_joined(one[0], two[0], links) for one, two in pairs),
            peers=tuple(
                self._ask(lambda a, b: int(binding_topology.peer_to_peer(a[1], b[1])), one, two)
                for one, two in pairs
            ),
            doubt=self._doubt,
        )

    def _ask(self, ask: Callable[[Gpu, Gpu], int], one: Gpu, two: Gpu) -> int:
        try:
            return ask(one, two)
        except binding.NvmlFailure as failure:
            self._note(failure)
            return UNREAD

    def _note(self, failure: binding.NvmlFailure) -> None:
        self._doubt = self._doubt or failure.words

    def _links(self, handle: binding.Handle, buses: frozenset[str]) -> _Links:
        """Follow the NVLinks of one GPU to their other ends."""
        found = _Links()
        for link in range(binding_topology.MAX_LINKS):
            try:
                if binding_topology.link_active(handle, link):
                    self._follow(handle, link, buses, found)
            except binding.NvmlFailure as failure:
                if failure.code in _NO_LINK:
                    break  # it has no NVLink, or no more of them
                self._note(failure)
                found.known = False
                break
        return found

    def _follow(
        self, handle: binding.Handle, link: int, buses: frozenset[str], found: _Links
    ) -> None:
        """Enter what is at the other end.

        An NVSwitch has a bus id of its own, or none (`ffffffff…`), so what is no GPU of this host
        is a switch, unless the driver says that it is something else.
        """
        try:
            bus = binding_topology.remote_bus_id(handle, link)
        except binding.NvmlFailure as failure:
            if failure.code in binding.GONE:
                raise
            bus = ""
        if bus in buses:
            found.peers[bus] += 1
            return
        kind = binding.reading(binding_topology.remote_type, handle, link)
        if kind == binding_topology.REMOTE_SWITCH:
            found.switched += 1
        elif bus and (not isinstance(kind, int) or kind == binding_topology.REMOTE_UNKNOWN):
            found.switched += 1  # an older driver does not know the kind


def _joined(one: Device, two: Device, links: Mapping[DeviceUuid, _Links]) -> int:
    """Count the NVLinks between two GPUs; all that are on a switch are joined through it."""
    here, there = links[one.uuid], links[two.uuid]
    if not (here.known and there.known):
        return UNREAD
    direct = min(here.peers[two.pci_bus_id], there.peers[one.pci_bus_id])
    return direct + min(here.switched, there.switched)
