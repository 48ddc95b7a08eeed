"""`-q -x`: the survey as XML, with the elements and the indentation of nvidia-smi.

Which elements there are is in `xml_form`; here is how they are written.
"""

from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

from gpusched.cli.smi.cells import MISSING
from gpusched.cli.smi.screen import date_of
from gpusched.cli.smi.survey import NO_PERMISSION, NOT_FOUND, Device, Process, Survey, Value
from gpusched.cli.smi.xml_form import GPU, MIG
from gpusched.client.document import Document

_MIB = 1 << 20
_MILLI = 1000
# XML 1.0 has no way to write them.
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF), "?")
_HEAD = (
    '<?xml version="1.0" ?>',
    '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">',
    "<nvidia_smi_log>",
)

Special = Callable[[int], Iterator[str]]
"""Writes an element that is more than one value, at a depth."""


def xml_of(document: Document) -> str:
    """Give the log.

    Args:
        document: A survey, as `Node/Survey` answers.
    """
    survey = Survey(document)
    lines = [
        *_HEAD,
        _leaf(1, "timestamp", date_of(survey)),
        _leaf(1, "driver_version", survey.words("driver_version")),
        _leaf(1, "cuda_version", survey.words("cuda_version")),
        _leaf(1, "attached_gpus", str(len(survey.devices))),
    ]
    for device in survey.devices:
        lines += [*_gpu(device), ""]
    return "\n".join([*lines, "</nvidia_smi_log>", ""])


def _gpu(device: Device) -> Iterator[str]:
    bus = _shown(device.value("pci.bus_id"), "")
    yield f'\t<gpu id="{escape(bus)}">'
    yield from _written(
        GPU,
        device,
        2,
        {
            "mig_devices": lambda depth: _mig_devices(device, depth),
            "processes": lambda depth: _processes(device, depth),
        },
    )
    yield "\t</gpu>"


def _written(form: str, device: Device, depth: int, special: dict[str, Special]) -> Iterator[str]:
    """Write an outline; an element is closed where the next line is not deeper."""
    opened: list[str] = []
    for line in form.strip("\n").split("\n"):
        level = len(line) - len(line.lstrip(" "))
        while len(opened) > level:
            yield f"{_tabs(depth + len(opened) - 1)}</{opened.pop()}>"
        place = depth + level
        tag, _, rest = line.strip().partition(": ")
        if rest:
            name, _, unit = rest.partition(" ")
            yield _leaf(place, tag, _shown(device.value(name), unit))
        elif " =" in tag:
            tag, _, words = tag.partition(" =")
            yield _leaf(place, tag, words.strip()) if words else _empty(place, tag)
        elif tag.endswith(" @"):
            yield from special[tag.removesuffix(" @")](place)
        else:
            yield f"{_tabs(place)}<{tag}>"
            opened.append(tag)
    while opened:
        yield f"{_tabs(depth + len(opened) - 1)}</{opened.pop()}>"


def _mig_devices(device: Device, depth: int) -> Iterator[str]:
    yield f"{_tabs(depth)}<mig_devices>"
    if not device.mig_devices:
        yield f"{_tabs(depth + 1)}None"
    for one in device.mig_devices:
        yield f"{_tabs(depth + 1)}<mig_device>"
        yield _leaf(depth + 2, "index", str(one.index))
        yield from _written(MIG, one, depth + 2, {})
        yield f"{_tabs(depth + 1)}</mig_device>"
    yield f"{_tabs(depth)}</mig_devices>"


def _processes(device: Device, depth: int) -> Iterator[str]:
    """Write the rows; a list that could not be read is said, never an empty one."""
    devices = device.mig_devices if device.partitioned else [device]
    unread = [one.unread.text("words") for one in devices if one.unread.fields]
    yield f"{_tabs(depth)}<processes>"
    for words in unread:
        yield f"{_tabs(depth + 1)}{_clean(f'not readable: {words}')}"
    for one in devices:
        for row in sorted(one.processes, key=lambda each: each.pid):
            yield from _process(row, depth + 1)
    yield f"{_tabs(depth)}</processes>"


def _process(row: Process, depth: int) -> Iterator[str]:
    name = "[not found]" if row.name.code == NOT_FOUND else _shown(row.name, "")
    values = {
        "gpu_instance_id": MISSING if row.gpu_instance is None else str(row.gpu_instance),
        "compute_instance_id": (
            MISSING if row.compute_instance is None else str(row.compute_instance)
        ),
        "pid": str(row.pid),
        "type": row.kind,
        "process_name": name,
        "used_memory": (
            MISSING if row.memory.number is None else f"{row.memory.number // _MIB} MiB"
        ),
    }
    yield f"{_tabs(depth)}<process_info>"
    yield from (_leaf(depth + 1, tag, text) for tag, text in values.items())
    yield f"{_tabs(depth)}</process_info>"


def _shown(value: Value, unit: str) -> str:
    """Give a value with its unit; sizes in whole MiB, rounded up, as nvidia-smi has them here."""
    if value.missing:
        return MISSING if value.not_there or value.code == NO_PERMISSION else value.words
    if value.number is None:
        return value.text
    if unit == "MiB":
        return f"{-(-value.number // _MIB)} MiB"
    if unit == "W":
        return f"{value.number / _MILLI:.2f} W"
    return f"{value.number}{'' if unit == 'x' else ' '}{unit}".rstrip()


def _leaf(depth: int, tag: str, text: str) -> str:
    return f"{_tabs(depth)}<{tag}>{_clean(text)}</{tag}>"


def _empty(depth: int, tag: str) -> str:
    return f"{_tabs(depth)}<{tag}>\n{_tabs(depth)}</{tag}>"


def _clean(text: str) -> str:
    return escape(text.translate(_CONTROL))


def _tabs(depth: int) -> str:
    return "\t" * depth
