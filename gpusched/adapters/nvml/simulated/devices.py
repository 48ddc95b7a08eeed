"""Reads the `[[device]]` tables of a scenario into devices with identities of their own."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gpusched.adapters.nvml.simulated.fields import Fields
from gpusched.adapters.nvml.simulated.identity import (
    BUS_ID,
    UUID,
    bus_id,
    gpu_uuid,
    serial,
    shuffled_minors,
)
from gpusched.adapters.nvml.simulated.mig import (
    MigCut,
    does_not_fit,
    lay_out,
    read_compute_instances,
)
from gpusched.adapters.nvml.simulated.nodes import GPU_MINORS
from gpusched.adapters.nvml.simulated.profiles import Profile, find_profile, profiles
from gpusched.adapters.nvml.simulated.scenario import SimulatedDevice, initial_state
from gpusched.adapters.nvml.simulated.states import read_state

_DEVICES_PER_SWITCH = 2
_DEVICES_PER_NUMA_NODE = 4
_LAST_NVSWITCH = 15


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for all devices of a scenario.

    Attributes:
        seed: From which identities are derived.
        minors: `ascending`, `shuffled`, a list with one minor for each device, or None.
        bridged: Indices of the cards whose NVLinks lead to other cards.
    """

    seed: str
    minors: object
    bridged: frozenset[int] = frozenset()


def read_devices(fields: Fields, defaults: Defaults) -> tuple[SimulatedDevice, ...]:
    """Read all devices; what is wrong with them is in the faults of *fields*."""
    tables = fields.tables("device")
    if fields.anything("device") in (None, []):
        fields.fault("device", "there is none; write [[device]] with a profile")
    counted = [(one, _profile(one), _count(one)) for one in tables]
    minors = _minors(fields, defaults, sum(count for _, _, count in counted))
    devices: list[SimulatedDevice] = []
    for one, profile, count in counted:
        places = range(len(devices), min(len(devices) + count, len(minors)))
        devices += [_device(one, profile, at, minors[at], defaults) for at in places]
        one.finish()
    _check_unique(fields, devices)
    return tuple(devices)


def _profile(fields: Fields) -> Profile | None:
    name = fields.text("profile", "")
    profile = find_profile(name)
    if profile is None:
        known = ", ".join(profiles())
        fields.fault("profile", f"there is no profile {name!r}; there are {known}")
    return profile


def _count(fields: Fields) -> int:
    count = fields.number("count", 1, 1, GPU_MINORS[1] + 1)
    for key in ("uuid", "bus_id", "serial", "minor"):
        if count > 1 and key in fields:
            fields.fault(key, "cannot be the same for several devices; leave out count")
    return count


def _device(
    fields: Fields, known: Profile | None, index: int, minor: int, defaults: Defaults
) -> SimulatedDevice:
    # An unknown profile is a fault already; the rest is read for its own faults.
    profile = known or next(iter(profiles().values()))
    uuid = fields.text("uuid", gpu_uuid(defaults.seed, index, profile.key))
    bus = fields.text("bus_id", bus_id(index))
    if not UUID.fullmatch(uuid):
        fields.fault("uuid", f"{uuid!r} is not GPU- and a UUID in small letters")
    if not BUS_ID.fullmatch(bus):
        fields.fault("bus_id", f"{bus!r} does not look like 00000000:07:00.0")
    wanted = fields.anything("mig")
    return SimulatedDevice(
        index=index,
        profile=profile,
        uuid=uuid,
        minor=fields.number("minor", minor, 0, GPU_MINORS[1]),
        bus_id=bus,
        serial=fields.text("serial", serial(index)),
        numa=fields.number("numa", index // _DEVICES_PER_NUMA_NODE, -1),
        switch=fields.number("switch", index // _DEVICES_PER_SWITCH),
        nvswitch=_nvswitch(fields, profile, bridged=index in defaults.bridged),
        mig_enabled=wanted is not None,
        mig=lay_out(uuid, () if known is None else _cuts(fields, profile, wanted)),
        state=read_state(fields, initial_state(profile)),
    )


def _nvswitch(fields: Fields, profile: Profile, *, bridged: bool) -> int | None:
    """Read the number of the NVSwitches, or false; cards with NVLinks are on those of number 0."""
    default = 0 if profile.nvlinks and not bridged else None
    if fields.anything("nvswitch") is False:
        return None
    found = fields.number("nvswitch", default, 0, _LAST_NVSWITCH)
    if found is not None and not profile.nvlinks:
        fields.fault("nvswitch", f"{profile.key} has no NVLinks")
    return found


def _cuts(fields: Fields, profile: Profile, found: object) -> tuple[MigCut, ...]:
    if found is None:
        return ()
    if not isinstance(found, list):
        fields.fault("mig", f'{found!r} is not a list such as ["3g.40gb"]')
        return ()
    cuts = tuple(cut for one in found if (cut := _cut(fields, profile, one)) is not None)
    if why := does_not_fit(cuts):
        fields.fault("mig", why)
        return ()
    return cuts


def _cut(fields: Fields, profile: Profile, entry: object) -> MigCut | None:
    """Read `"3g.40gb"` or `{gi = "3g.40gb", ci = ["1c", "2c"]}`."""
    table = entry if isinstance(entry, dict) else {"gi": entry}
    name = table.get("gi")
    cut = profile.mig.get(name) if isinstance(name, str) else None
    if cut is None or table.keys() - {"gi", "ci"}:
        known = ", ".join(profile.mig) or f"none on {profile.key}"
        fields.fault("mig", f"{entry!r} is no MIG profile; there are {known}")
        return None
    names = table.get("ci", [f"{cut.compute_slices}c"])
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        fields.fault("mig", f"ci: {names!r} is not a list of texts")
        return None
    try:
        return MigCut(cut, read_compute_instances(names, cut))
    except ValueError as error:
        fields.fault("mig", f"ci: {names!r} {error}")
        return None


def _minors(fields: Fields, defaults: Defaults, count: int) -> tuple[int, ...]:
    wish = defaults.minors
    if count > GPU_MINORS[1] + 1:
        fields.fault("device", f"{count} devices are more than {GPU_MINORS[1] + 1}")
        return ()
    if wish in (None, "ascending"):
        return tuple(range(count))
    if wish == "shuffled":
        return shuffled_minors(defaults.seed, count)
    if isinstance(wish, list) and all(type(one) is int for one in wish) and len(wish) == count:
        if all(0 <= one <= GPU_MINORS[1] for one in wish):
            return tuple(wish)
        fields.fault("minors", f"must be from 0 to {GPU_MINORS[1]}")
    else:
        fields.fault("minors", f'is not "ascending", "shuffled" or a list of {count} numbers')
    return tuple(range(count))


def _check_unique(fields: Fields, devices: list[SimulatedDevice]) -> None:
    for minor in _repeated(one.minor for one in devices):
        fields.fault("minors", f"several devices have minor {minor}")
    for uuid in _repeated(one.uuid for one in devices):
        fields.fault("device", f"several devices have the UUID {uuid}")
    buses = [one.bus_id for one in devices]
    if buses != sorted(set(buses)):
        # NVML numbers devices in the order of their bus ids.
        fields.fault("device", "the bus ids must ascend with the index")


def _repeated(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]
