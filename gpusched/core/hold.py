"""What is kept for requests that wait: devices that come free are not given to who came later.

Pure values and rules; `queue` finds out what has to be kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.waiting import Key, Order


@dataclass(frozen=True, slots=True)
class Hold:
    """A memory domain is kept for a request.

    Attributes:
        key: For which one.
        order: Its place in the order of service.
        until: When it can surely begin, by the time limits of what is in its way (CLOCK_BOOTTIME);
            None: that is not known.
        over: Where leases were told to end for it: what the highest of their classes is worth. No
            request of such a class gets it either, though it came first. None: there were none.
    """

    key: Key
    order: Order
    until: Instant | None
    over: int | None = None

    def keeps_from(self, order: Order, value: int) -> bool:
        """Say whether it is kept from a request in this place, of a class of this value."""
        if self.order <= order:
            return self.order < order
        return self.over is not None and value <= self.over


Holds: TypeAlias = Mapping[str, Hold]
"""By memory domain; where several requests need one it is kept for the first of them."""

NOTHING_KEPT: Holds = MappingProxyType({})


def kept_from(holds: Holds, domain: str, order: Order, value: int) -> bool:
    """Say whether a memory domain is kept from a request in this place, of this class value."""
    hold = holds.get(domain)
    return hold is not None and hold.keeps_from(order, value)


def not_kept(
    holds: Holds,
    verdicts: Iterable[Verdict],
    devices: Mapping[DeviceUuid, Device],
    order: Order,
    value: int,
) -> list[Verdict]:
    """Give the *verdicts* on devices that are not kept from a request, taken or free."""
    return [
        one
        for one in verdicts
        if not kept_from(holds, devices[one.device].memory_domain, order, value)
    ]


def free_of(
    holds: Holds,
    verdicts: Iterable[Verdict],
    devices: Mapping[DeviceUuid, Device],
    order: Order,
    value: int,
    ends: Instant | None,
) -> tuple[Verdict, ...]:
    """Give the *verdicts* without what is kept for others.

    Args:
        holds: What is kept.
        verdicts: Of devices, as if nobody waited.
        devices: The inventory.
        order: Place of the request in the order of service: what is kept for itself, or for later
            ones, is free.
        value: What its class is worth.
        ends: When a lease of it will surely have ended; None: nobody knows.
    """
    if not holds:
        return tuple(verdicts)
    after: list[Verdict] = []
    for one in verdicts:
        hold = holds.get(devices[one.device].memory_domain) if one.obstacle is None else None
        if hold is None or not hold.keeps_from(order, value) or _passes(hold, ends):
            after.append(one)
        else:
            sentence = "kept for a request that waits longer"
            after.append(replace(one, obstacle=Obstacle.KEPT, sentence=sentence, room=0))
    return tuple(after)


def _passes(hold: Hold, ends: Instant | None) -> bool:
    """Say whether a lease is over before the device can be used by whom it is kept for."""
    return hold.until is not None and ends is not None and ends <= hold.until
