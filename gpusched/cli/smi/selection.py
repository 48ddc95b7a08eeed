"""Which GPUs are meant: `-i` takes indices, UUIDs, serial numbers and PCI bus ids, with commas.

As NVIDIA's programs do it (470.256, 535.261, 550.163): in index order, and a word that is no GPU's
is passed over beside one that is.
"""

from gpusched.cli.smi.survey import Device, Survey


class NoSuchDevice(Exception):
    """None of the GPUs is meant."""


def selected(survey: Survey, words: str | None) -> list[Device]:
    """Give the GPUs that are meant, in index order; all without words.

    Raises:
        NoSuchDevice: No word is a GPU's.
    """
    if words is None:
        return survey.devices
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    found = [one for one in survey.devices if any(_is(one, word) for word in wanted)]
    if not found:
        raise NoSuchDevice
    return found


def _is(device: Device, word: str) -> bool:
    bus = _bus(device.value("pci.bus_id").text)
    return (
        word in (device.uuid, device.value("serial").text)
        or _number(word) == device.index
        or (bus is not None and _bus(word) == bus)
    )


def _number(word: str) -> int | None:
    """Read a number in decimal, or in hexadecimal behind `0x`."""
    try:
        return int(word, 16 if word.lower().startswith("0x") else 10)
    except ValueError:
        return None


def _bus(text: str) -> tuple[int, ...] | None:
    """Read `[domain:]bus:device.function`, all of it hexadecimal; None: it is something else."""
    parts = text.replace(".", ":").split(":")
    try:
        numbers = tuple(int(one, 16) for one in parts)
    except ValueError:
        return None
    return {3: (0, *numbers), 4: numbers}.get(len(numbers))
