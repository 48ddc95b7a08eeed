"""The choice of devices for a request: pure, holds nothing, changes nothing.

First every device gets a verdict (`verdicts.judge`), then the choice is made among those that
serve (`choose`). Rules of order are data: `ORDERS`, by the config's name.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Verdict
from gpusched.core.request import Request

Key = Callable[[Verdict, Device], tuple[int, tuple[str, int]]]

ORDERS: Mapping[str, Key] = {
    # Best fit: the device with the least room that is enough, so that others stay whole.
    "pack": lambda verdict, device: (verdict.room or 0, device.order),
    "spread": lambda verdict, device: (-(verdict.room or 0), device.order),
}
"""How devices are ordered. Whole devices have no room, so they go by the order of the bus."""


def choose(
    ledger: Ledger, request: Request, verdicts: Iterable[Verdict]
) -> tuple[DeviceUuid, ...] | None:
    """Pick the devices: all that were asked for, or None.

    Exactly named devices keep their order. Several devices are of one type where that is
    possible. Devices that must be included come first.
    """
    fitting = {one.device: one for one in verdicts if one.obstacle is None}
    if not fitting.keys() >= {*request.devices, *request.must_include}:
        return None
    if request.devices:
        return request.devices
    ranked = _ranked(ledger, request, fitting)
    if len(ranked) < request.count:
        return None
    chosen = _of_one_type(ledger, ranked, request) or ranked[: request.count]
    return tuple(sorted(chosen, key=lambda uuid: ledger.devices[uuid].order))


def _ranked(
    ledger: Ledger, request: Request, fitting: Mapping[DeviceUuid, Verdict]
) -> list[DeviceUuid]:
    order = ORDERS[ledger.policy.placement]

    def key(uuid: DeviceUuid) -> tuple[bool, tuple[int, tuple[str, int]]]:
        device = ledger.devices[uuid]
        return uuid not in request.must_include, order(fitting[uuid], device)

    return sorted(fitting, key=key)


def _of_one_type(
    ledger: Ledger, ranked: list[DeviceUuid], request: Request
) -> list[DeviceUuid] | None:
    """Find the best-ranked devices that are all of one type, must_include among them."""

    def type_name(uuid: DeviceUuid) -> str:
        return ledger.devices[uuid].gpu_type.name

    # sorted() is stable: within a type the rank stays.
    groups = [list(group) for _, group in groupby(sorted(ranked, key=type_name), key=type_name)]
    whole = [
        group[: request.count]
        for group in groups
        if len(group) >= request.count
        # They rank first, so where they are all of the choice it is the same without this rule.
        and set(request.must_include) <= set(group)  # pragma: no mutate
    ]
    return min(whole, key=lambda group: ranked.index(group[0])) if whole else None
