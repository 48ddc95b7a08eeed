"""The choice of devices for a request: pure, holds nothing, changes nothing.

First every device gets a verdict (`verdicts.judge`), then the choice is made among those that
serve (`choose`). Rules of order are data: `ORDERS`, by the config's name. Several devices are of
one kind (type, and MIG profile) where that is possible; how the set is chosen out of one kind is
`arranging`'s.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.arranging import Arranger
from gpusched.core.device import Device
from gpusched.core.gputype import matches
from gpusched.core.ids import DeviceUuid
from gpusched.core.ledger import Ledger
from gpusched.core.mig_size import size_of
from gpusched.core.replies import Verdict
from gpusched.core.request import Request

Preference: TypeAlias = tuple[int, bool, tuple[int, int]]
"""How welcome a kind is, the least one most: place of the type among those that are acceptable,
whether the MIG profile is another than the one asked for, and its size."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Devices that are alike, as the order in force ranks them."""

    preference: Preference
    devices: list[DeviceUuid]


def choose(
    ledger: Ledger,
    request: Request,
    verdicts: Iterable[Verdict],
    asker: int | None = None,
) -> tuple[DeviceUuid, ...] | None:
    """Pick the devices: as many as are welcome, at least as many as will do, or None.

    `count` devices of several kinds go before fewer of one kind; else one kind goes before
    several. Exactly named devices keep their order, all others are in the order of the bus.
    *asker* is the uid of who asks, for devices that a lease of his had before.
    """
    fitting = {one.device: one for one in verdicts if one.obstacle is None}
    if not fitting.keys() >= {*request.devices, *request.must_include}:
        return None
    if len(fitting) < request.least:
        return None
    if len(fitting) == request.least and not request.devices and not request.topology_required:
        return _in_order(ledger, fitting)
    arranger = Arranger(ledger, request, fitting, _before(ledger, request, asker))
    if request.devices:
        return request.devices if arranger.holds(request.devices) else None
    chosen = next(_choices(ledger, request, arranger), None)
    return None if chosen is None else _in_order(ledger, chosen)


def _choices(
    ledger: Ledger, request: Request, arranger: Arranger
) -> Iterator[tuple[DeviceUuid, ...]]:
    """Give what may be granted, the most welcome first."""
    kinds = _kinds(ledger, request, arranger.ranked)
    everything = [uuid for kind in kinds for uuid in kind.devices]
    for least in dict.fromkeys((request.count, request.least)):
        found = [
            (_rank(kind, chosen, arranger), chosen)
            for kind in kinds
            if (chosen := _most(request, arranger, kind.devices, least)) is not None
        ]
        if found:
            yield min(found)[1]
        if len(kinds) > 1 and (chosen := _most(request, arranger, everything, least)):
            yield chosen


def _most(
    request: Request, arranger: Arranger, devices: Sequence[DeviceUuid], least: int
) -> tuple[DeviceUuid, ...] | None:
    """Choose as many out of *devices* as are welcome; None where not even *least* can be had."""
    if not set(request.must_include) <= set(devices):
        return None
    for count in range(min(request.most, len(devices)), least - 1, -1):
        chosen = arranger.best(devices, count)
        if chosen is not None:
            return chosen
    return None


def _rank(
    kind: _Kind, chosen: Sequence[DeviceUuid], arranger: Arranger
) -> tuple[int, Preference, int, int, int]:
    """Say how welcome the choice out of one kind is; the least is the most welcome."""
    return (
        -arranger.had_before(chosen),
        kind.preference,
        -len(chosen),
        -arranger.worth(chosen),
        arranger.ranked.index(kind.devices[0]),
    )


def _kinds(ledger: Ledger, request: Request, ranked: Iterable[DeviceUuid]) -> list[_Kind]:
    """Put what is alike together, the most welcome kind first; the rank stays within a kind."""
    kinds: dict[tuple[str, str], _Kind] = {}
    for uuid in ranked:
        device = ledger.devices[uuid]
        profile = "" if device.mig is None else device.mig.profile
        alike = (device.gpu_type.name, profile)
        if alike not in kinds:
            kinds[alike] = _Kind(_preference(device, request), [])
        kinds[alike].devices.append(uuid)
    return sorted(kinds.values(), key=lambda kind: kind.preference)


def _preference(device: Device, request: Request) -> Preference:
    places = (at for at, one in enumerate(request.gpu_types) if matches(one, device.gpu_type))
    profile = None if device.mig is None else device.mig.profile
    size = None if profile is None else size_of(profile)
    return next(places, 0), profile != request.mig_profile, size or (0, 0)


def _before(ledger: Ledger, request: Request, asker: int | None) -> Mapping[DeviceUuid, None]:
    """Give the devices that the asker's last lease with this key had, in its order."""
    if asker is None or not request.affinity_key:
        return {}
    lease = ledger.last_with(asker, request.affinity_key)
    return {} if lease is None else {share.device: None for share in lease.shares}


def _in_order(ledger: Ledger, chosen: Iterable[DeviceUuid]) -> tuple[DeviceUuid, ...]:
    return tuple(sorted(chosen, key=lambda uuid: ledger.devices[uuid].order))
