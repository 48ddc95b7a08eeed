"""How a set of devices lies: the best one out of many, as the order in force has it.

Knows which devices serve, not why. What pairs are worth is in `topology`, the search in `joining`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.joining import Choice, best
from gpusched.core.ledger import Ledger
from gpusched.core.pooling import configured
from gpusched.core.preferences import Placement, Topology
from gpusched.core.replies import Verdict
from gpusched.core.request import Request
from gpusched.core.strangers import in_the_way

Rank: TypeAlias = tuple[int, int, tuple[str, int]]
Key: TypeAlias = Callable[[Verdict, Device, int], Rank]

TOPOLOGY = "topology"

ORDERS: Mapping[str, Key] = {
    # Best fit: the device with the least room that is enough, so that others stay whole; where a
    # whole one is begun, it is the one that leaves the best pairs to others.
    "pack": lambda verdict, device, broken: (verdict.room or 0, broken, device.order),
    "spread": lambda verdict, device, broken: (-(verdict.room or 0), broken, device.order),
    TOPOLOGY: lambda verdict, device, broken: (broken, verdict.room or 0, device.order),
}
"""How devices are ordered; the third value is what they would break of pairs that are free."""


def order_of(ledger: Ledger, request: Request) -> str:
    """Name the order in force: the request's, else the configured one of shares.

    Whole devices are placed by topology unless the request says otherwise.
    """
    if request.placement is not Placement.CONFIGURED:
        return str(request.placement.value)
    configured = ledger.policy.placement
    if request.topology is Topology.ANY:
        return "pack" if configured == TOPOLOGY else configured
    return TOPOLOGY if request.exclusive else configured


@dataclass(frozen=True, slots=True)
class _Wish:
    """One try at a set: which must be in it, and whether it has to be joined by NVLink."""

    fixed: tuple[DeviceUuid, ...]
    joined: bool = False


class Arranger:
    """Chooses sets for one request.

    Args:
        ledger: The record.
        request: What is asked for.
        fitting: The verdicts on the devices that serve.
        before: Devices that are preferred to all others, the first one most.
    """

    def __init__(
        self,
        ledger: Ledger,
        request: Request,
        fitting: Mapping[DeviceUuid, Verdict],
        before: Iterable[DeviceUuid] = (),
    ) -> None:
        self._ledger = ledger
        self._request = request
        self._before = [uuid for uuid in before if uuid in fitting]
        self._broken = broken_by(ledger)
        name = order_of(ledger, request)
        self._by_topology = name == TOPOLOGY
        order = ORDERS[name]

        def key(uuid: DeviceUuid) -> tuple[bool, Rank]:
            rank = order(fitting[uuid], ledger.devices[uuid], self._broken.get(uuid, 0))
            return uuid not in request.must_include, rank

        self.ranked = sorted(fitting, key=key)

    def best(self, devices: Sequence[DeviceUuid], count: int) -> tuple[DeviceUuid, ...] | None:
        """Give the best *count* out of *devices*; None where they do not lie as is demanded.

        What must be included is, what was had before is where that can be.
        """
        musts = tuple(one for one in self._request.must_include if one in devices)
        liked = (one for one in self._before if one in devices and one not in musts)
        wished = (*musts, *liked)[:count]
        for fixed in dict.fromkeys((wished, musts)):
            found = self._lying(devices, count, fixed)
            if found is not None:
                return found
        if self._request.topology_required:
            return None
        return self._set(devices, count, _Wish(wished))

    def holds(self, devices: Sequence[DeviceUuid]) -> bool:
        """Say whether *devices* lie as the request demands."""
        if not self._request.topology_required:
            return True
        return self._lying(devices, len(devices), tuple(devices)) is not None

    def had_before(self, devices: Iterable[DeviceUuid]) -> int:
        """Count those of *devices* that are preferred to all others."""
        return sum(one in self._before for one in devices)

    def worth(self, devices: Sequence[DeviceUuid]) -> int:
        """Say what a set is worth where topology decides; else nothing."""
        if not self._by_topology:
            return 0
        return sum(self._worth(one, two) for one, two in combinations(devices, 2))

    def _lying(
        self, devices: Sequence[DeviceUuid], count: int, fixed: tuple[DeviceUuid, ...]
    ) -> tuple[DeviceUuid, ...] | None:
        """Give the best set that lies as the request prefers; None where there is none."""
        if count == 1 and self._request.topology in (Topology.NVLINK, Topology.SAME_NUMA_NODE):
            # One alone lies to nobody.
            return self._set(devices, count, _Wish(fixed))
        if self._request.topology is Topology.NVLINK:
            return self._set(devices, count, _Wish(fixed, joined=True))
        if self._request.topology is Topology.SAME_NUMA_NODE:
            found = [
                one
                for pool in self._numa_nodes(devices)
                if (one := self._set(pool, count, _Wish(fixed))) is not None
            ]
            return max(found, key=self.worth, default=None)
        return None

    def _numa_nodes(self, devices: Sequence[DeviceUuid]) -> Iterable[list[DeviceUuid]]:
        """Part devices by their NUMA node; one whose node is not known is near to nobody."""
        nodes: dict[int, list[DeviceUuid]] = {}
        for uuid in devices:
            node = self._ledger.devices[uuid].numa_node
            if node is not None:
                nodes.setdefault(node, []).append(uuid)
        return nodes.values()

    def _set(
        self, devices: Sequence[DeviceUuid], count: int, wish: _Wish
    ) -> tuple[DeviceUuid, ...] | None:
        if len(devices) < count or not set(wish.fixed) <= set(devices):
            return None
        known = bool(self._ledger.topology.reading.gpus)
        if not wish.joined and not (self._by_topology and known):
            rest = [one for one in devices if one not in wish.fixed]
            return (*wish.fixed, *rest[: count - len(wish.fixed)])
        found = best(self._choice(devices, count, wish))
        return None if found is None else tuple(devices[at] for at in found)

    def _choice(self, devices: Sequence[DeviceUuid], count: int, wish: _Wish) -> Choice:
        rows = [self._ledger.topology.worth_to(one) for one in devices]
        joined = None
        if wish.joined:
            joined = [[self._joined(one, two) for two in devices] for one in devices]
        return Choice(
            worth=[[row.get(two, 0) for two in devices] for row in rows],
            cost=[self._broken.get(one, 0) for one in devices],
            count=count,
            fixed=tuple(devices.index(one) for one in wish.fixed),
            joined=joined,
        )

    def _worth(self, one: DeviceUuid, two: DeviceUuid) -> int:
        # Instances are never in the topology: MIG has neither NVLink nor peer-to-peer access.
        return self._ledger.topology.worth(one, two)

    def _joined(self, one: DeviceUuid, two: DeviceUuid) -> bool:
        return self._ledger.topology.joined(one, two)


def broken_by(ledger: Ledger) -> Mapping[DeviceUuid, int]:
    """Say of each whole device that is free what it is worth to the other ones that are.

    So much of good pairs is broken where it is taken alone; a device that is in use breaks none,
    and devices of two pools are no pair: nobody gets both.
    """
    topology = ledger.topology
    free = {one: pool for one in topology.reading.gpus if (pool := _free_in(ledger, one))}
    return {
        one: sum(worth for two, worth in topology.worth_to(one).items() if free.get(two) == pool)
        for one, pool in free.items()
    }


def _free_in(ledger: Ledger, uuid: DeviceUuid) -> str | None:
    """Give the pool of a whole device that is free to be granted; None: it is not."""
    device, use = ledger.devices.get(uuid), ledger.uses.get(uuid)
    if device is None or device.mig_enabled or uuid in ledger.lost:
        return None
    if ledger.holding(uuid).shares or ledger.marks_of(uuid).cordon is not None:
        return None
    if use is not None and use.strangers and in_the_way(ledger, use):
        return None
    return configured(ledger, device)
