"""Reads the `[[link]]` tables of a scenario: what is particular about a pair of cards."""

from collections import Counter

from gpusched.adapters.nvml.simulated.fields import Fields
from gpusched.adapters.nvml.simulated.scenario import ANCESTORS, SimulatedDevice, SimulatedLink

_MOST_LINKS = 36
_OF_A_PAIR = 2


def read_links(fields: Fields) -> tuple[SimulatedLink, ...]:
    """Read all links; what is wrong with them is in the faults of *fields*."""
    links: list[SimulatedLink] = []
    for one in fields.tables("link"):
        found = one.anything("gpus")
        nvlinks = one.number("nvlinks", 0, 0, _MOST_LINKS)
        ancestor = one.choice("ancestor", ANCESTORS, "")
        peers = one.flag("p2p", default=True)
        one.finish()
        gpus = _pair(found)
        if gpus is None:
            one.fault("gpus", f"{found!r} is not two cards such as [0, 1]")
            continue
        links.append(SimulatedLink(gpus, nvlinks, ANCESTORS.get(ancestor), peers))
    return tuple(links)


def check_links(
    fields: Fields, links: tuple[SimulatedLink, ...], devices: tuple[SimulatedDevice, ...]
) -> None:
    """Note links of cards that are not there, that are told twice, or that are too many."""
    used: Counter[int] = Counter()
    for at, link in enumerate(links):
        if link.gpus[1] >= len(devices):
            fields.fault(f"link[{at}].gpus", f"must name cards from 0 to {len(devices) - 1}")
        if link.gpus in [one.gpus for one in links[:at]]:
            fields.fault(f"link[{at}].gpus", "tells of the same two cards again")
        used.update(dict.fromkeys(link.gpus, link.nvlinks))
    for device in devices:
        count, most = used[device.index], device.profile.nvlinks
        if count > most:
            why = f"{count} NVLinks of card {device.index}; {device.profile.key} has {most}"
            fields.fault("link", why)
        if count and device.nvswitch is not None:
            fields.fault("link", f"card {device.index} is on an NVSwitch: all its NVLinks are")


def _pair(found: object) -> tuple[int, int] | None:
    listed = found if isinstance(found, list) else []
    numbers = sorted(one for one in listed if type(one) is int and one >= 0)
    if len(numbers) != _OF_A_PAIR or len(listed) != _OF_A_PAIR or numbers[0] == numbers[1]:
        return None
    return numbers[0], numbers[1]
