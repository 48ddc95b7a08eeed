"""Which GPUs are meant: `-i` takes indices, UUIDs, serial numbers and PCI bus ids, with commas."""

from gpusched.cli.smi.survey import Device, Survey


class NoSuchDevice(Exception):
    """None of the GPUs is meant; the argument is the word."""


def selected(survey: Survey, words: str | None) -> list[Device]:
    """Give the GPUs that are meant, in index order; all without words.

    Raises:
        NoSuchDevice: A word is no GPU's.
    """
    if words is None:
        return survey.devices
    found: set[int] = set()
    for word in words.split(","):
        matching = [one.index for one in survey.devices if _is(one, word.strip())]
        if not matching:
            raise NoSuchDevice(word.strip())
        found.update(matching)
    return [one for one in survey.devices if one.index in found]


def _is(device: Device, word: str) -> bool:
    bus = device.value("pci.bus_id").text
    return bool(word) and (
        word in (str(device.index), device.uuid, device.value("serial").text)
        or (":" in word and _bus(word) == _bus(bus))
    )


def _bus(text: str) -> tuple[int, str]:
    """Give a bus id without regard to leading zeros, letters and a missing domain."""
    *domain, bus, place = text.upper().split(":") if text.count(":") else ("", "", text)
    try:
        return (int("".join(domain) or "0", 16), f"{bus}:{place}")
    except ValueError:
        return (-1, text)
