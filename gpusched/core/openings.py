"""Where something may be free: an index, so that a decision need not look at every device.

Kept with the leases. It names too many devices, never too few: what it names is judged before
anything is granted. What is on devices without a lease, marks, and readings are no matter here.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Protocol, TypeAlias

from gpusched.core.device import Device
from gpusched.core.ids import LeaseId
from gpusched.core.request import Request
from gpusched.core.selection import NO_DEVICES, Kind, kind_of, selection_of, unsuitable

MOST_SELECTIONS = 4096
"""Selections that are remembered; clients can think of any number."""

Alike: TypeAlias = dict[Kind, list[Device]]


class Held(Protocol):
    """What is promised of a memory domain."""

    @property
    def shares(self) -> Collection[object]:
        """The shares."""
        ...

    @property
    def exclusive(self) -> LeaseId | None:
        """The lease that has the domain for itself."""
        ...


class Openings:
    """Devices on which something may be free, by kind.

    Args:
        devices: The inventory.
        held: Gives what is promised of a memory domain.

    Attributes:
        joined: Whether any two devices allocate from one memory.
    """

    def __init__(self, devices: Iterable[Device], held: Callable[[str], Held]) -> None:
        self._alike: Alike = {}
        self._domains: dict[str, list[Device]] = {}
        self._free: Alike = {}
        self._shared: Alike = {}
        self._kinds: dict[Hashable, frozenset[Kind]] = {}
        for device in devices:
            if not device.mig_enabled:
                self._alike.setdefault(kind_of(device), []).append(device)
                self._domains.setdefault(device.memory_domain, []).append(device)
        self.joined = any(len(one) > 1 for one in self._domains.values())
        for domain in self._domains:
            self.follow(domain, held(domain))

    def follow(self, domain: str, held: Held) -> None:
        """Take note of what is promised of a memory domain now."""
        free, shared = not held.shares, bool(held.shares) and held.exclusive is None
        for device in self._domains.get(domain, ()):
            _note(self._free, device, within=free)
            _note(self._shared, device, within=shared)

    def kinds(self, request: Request) -> frozenset[Kind]:
        """Give the kinds of the devices that *request* can mean."""
        selection = selection_of(request)
        found = self._kinds.get(selection)
        if found is None:
            if len(self._kinds) >= MOST_SELECTIONS:
                self._kinds.clear()
            found = self._kinds[selection] = frozenset(
                kind
                for kind, devices in self._alike.items()
                if selection != NO_DEVICES
                and any(unsuitable(one, request) is None for one in devices)
            )
        return found

    def of_kind(self, kind: Kind) -> Iterator[Device]:
        """Give the devices of a kind on which something may be free for anybody."""
        yield from self._free.get(kind, ())
        yield from self._shared.get(kind, ())

    def to(self, request: Request) -> Iterator[list[Device]]:
        """Give the devices on which something may be free for *request*, kind by kind.

        Those in one list are of one kind, in the order of the bus.
        """
        for kind in self.kinds(request):
            yield self._free.get(kind, [])
            if not request.exclusive:
                yield self._shared.get(kind, [])

    def names(self) -> tuple[Alike, Alike]:
        """Give all that it names: where nothing is promised, and where shares are."""
        return self._free, self._shared


def _order(device: Device) -> tuple[str, int]:
    return device.order


def _note(alike: Alike, device: Device, *, within: bool) -> None:
    kind = kind_of(device)
    devices = alike.get(kind, [])
    at = bisect_left(devices, device.order, key=_order)
    there = at < len(devices) and devices[at] is device
    if within and not there:
        alike.setdefault(kind, devices).insert(at, device)
    elif there and not within:
        del devices[at]
        if not devices:
            del alike[kind]
