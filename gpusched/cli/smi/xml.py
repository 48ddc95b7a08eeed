"""`-q -x`: the survey as XML, with the elements and the indentation of nvidia-smi.

Which elements a GPU has is in `xml_form`; here is how they are written, and what a MIG device has.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from xml.sax.saxutils import escape

from gpusched.cli.smi.cells import MISSING
from gpusched.cli.smi.screen import date_of
from gpusched.cli.smi.survey import NO_PERMISSION, NOT_FOUND, Device, Process, Survey, Value
from gpusched.cli.smi.xml_form import GPU
from gpusched.client.document import Document

_OLDEST, _V13 = 570, 580
_DEEPEST = 99
_LIKE = {
    "sram": "ecc_errors.volatile.sram_uncorrectable_parity",
    "rows": "remapped_rows.correctable",
    "tlimit": "temperature.gpu.tlimit",
}
_QUOTES = {'"': "&quot;", "'": "&apos;"}
_MIB = 1 << 20
_MILLI, _MICRO = 1000, 1_000_000
# XML 1.0 has no way to write them.
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF), "?")

_MIG = """
gpu_instance_id: gpu_instance_id
compute_instance_id: compute_instance_id
device_attributes
 shared
  multiprocessor_count: device_attributes.shared.multiprocessor_count
  copy_engine_count: device_attributes.shared.copy_engine_count
  encoder_count: device_attributes.shared.encoder_count
  decoder_count: device_attributes.shared.decoder_count
  ofa_count: device_attributes.shared.ofa_count
  jpg_count: device_attributes.shared.jpg_count
ecc_error_count
 volatile_count
  sram_uncorrectable: ecc_error_count.volatile_count.sram_uncorrectable
fb_memory_usage
 total: memory.total MiB
 reserved: memory.reserved MiB
 used: memory.used MiB
 free: memory.free MiB
bar1_memory_usage
 total: bar1_memory_usage.total MiB
 used: bar1_memory_usage.used MiB
 free: bar1_memory_usage.free MiB
"""

Special = Callable[[int, str], Iterator[str]]
"""Writes an element that is more than one value, at a depth; with what stands behind its mark."""


def xml_of(document: Document, indices: Collection[int] | None = None) -> str:
    """Give the log, with the elements of the driver's branch.

    Args:
        document: A survey, as `Node/Survey` answers.
        indices: Of the GPUs to show, which are counted with the others; None: all.
    """
    survey = Survey(document)
    version = survey.words("driver_version")
    branch = version.partition(".")[0]
    number = int(branch) if branch.isdecimal() else _OLDEST
    lines = [
        '<?xml version="1.0" ?>',
        f'<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v{13 if number >= _V13 else 12}.dtd">',
        "<nvidia_smi_log>",
        _leaf(1, "timestamp", date_of(survey)),
        _leaf(1, "driver_version", version),
        _leaf(1, "cuda_version", survey.words("cuda_version")),
        _leaf(1, "attached_gpus", str(len(survey.devices))),
    ]
    for device in survey.devices:
        if indices is None or device.index in indices:
            lines += [*_gpu(device, number), ""]
    return "\n".join([*lines, "</nvidia_smi_log>", ""])


def _gpu(device: Device, branch: int) -> Iterator[str]:
    bus = _shown(device.value("pci.bus_id"), "")
    yield f'\t<gpu id="{escape(bus)}">'
    likes = frozenset(word for word, name in _LIKE.items() if not device.value(name).missing)
    special: dict[str, Special] = {
        "mig_devices": lambda depth, _: _mig_devices(device, depth),
        "processes": lambda depth, _: _processes(device, depth),
        "supported_clocks": lambda depth, _: _supported_clocks(device, depth),
        "retired_pagelist": lambda depth, name: _page_list(device.value(name), depth),
    }
    yield from _written(_lines_of(branch, likes), device, 2, special)
    yield "\t</gpu>"


@cache
def _lines_of(branch: int, likes: frozenset[str]) -> tuple[str, ...]:
    """Give the outline of a GPU without the elements that a card of this kind does not have."""
    lines: list[str] = []
    skipped = _DEEPEST
    for line in GPU.strip("\n").split("\n"):
        level = len(line) - len(line.lstrip(" "))
        if level > skipped:
            continue
        text, *conditions = line.replace("]", "").split(" [")
        fits = all(_fits(one, branch, likes) for one in conditions)
        skipped = _DEEPEST if fits else level
        if fits:
            lines.append(text)
    return tuple(lines)


def _fits(condition: str, branch: int, likes: frozenset[str]) -> bool:
    since, dots, until = condition.partition("..")
    if dots:
        return int(since or 0) <= branch and (not until or branch < int(until))
    return (condition.removeprefix("!") in likes) != condition.startswith("!")


def _written(
    lines: Iterable[str], device: Device, depth: int, special: dict[str, Special]
) -> Iterator[str]:
    """Write an outline; an element is closed where the next line is not deeper."""
    opened: list[str] = []
    for line in lines:
        level = len(line) - len(line.lstrip(" "))
        while len(opened) > level:
            yield f"{_tabs(depth + len(opened) - 1)}</{opened.pop()}>"
        place = depth + level
        tag, mark, rest = _parted(line.strip())
        if mark == ":":
            name, _, unit = rest.partition(" ")
            yield _leaf(place, tag, _shown(device.value(name), unit))
        elif mark == "=":
            yield _leaf(place, tag, rest) if rest else _empty(place, tag)
        elif mark == "@":
            yield from special[tag](place, rest)
        else:
            yield f"{_tabs(place)}<{tag}>"
            opened.append(tag)
    while opened:
        yield f"{_tabs(depth + len(opened) - 1)}</{opened.pop()}>"


def _parted(line: str) -> tuple[str, str, str]:
    """Give the tag of a line, its mark and what stands behind that."""
    tag, _, rest = line.partition(" ")
    if tag.endswith(":"):
        return tag.removesuffix(":"), ":", rest
    return tag, rest[:1], rest[1:].strip()


def _supported_clocks(device: Device, depth: int) -> Iterator[str]:
    """Write the graphics clocks by memory clock: `1215: 1410 1395; 405: 210` in the survey."""
    value = device.value("supported_clocks")
    if value.missing:
        yield _leaf(depth, "supported_clocks", _shown(value, ""))
        return
    yield f"{_tabs(depth)}<supported_clocks>"
    for row in filter(None, value.text.split("; ")):
        memory, _, clocks = row.partition(": ")
        yield f"{_tabs(depth + 1)}<supported_mem_clock>"
        yield _leaf(depth + 2, "value", f"{memory} MHz")
        for clock in clocks.split():
            yield _leaf(depth + 2, "supported_graphics_clock", f"{clock} MHz")
        yield f"{_tabs(depth + 1)}</supported_mem_clock>"
    yield f"{_tabs(depth)}</supported_clocks>"


def _page_list(value: Value, depth: int) -> Iterator[str]:
    if value.missing:
        yield _leaf(depth, "retired_pagelist", _shown(value, ""))
        return
    yield f"{_tabs(depth)}<retired_pagelist>"
    for address in value.text.split():
        yield _leaf(depth + 1, "retired_page_address", address)
    yield f"{_tabs(depth)}</retired_pagelist>"


def _mig_devices(device: Device, depth: int) -> Iterator[str]:
    """Write the MIG devices, no deeper than the list of them (550.163)."""
    yield f"{_tabs(depth)}<mig_devices>"
    if not device.mig_devices:
        yield f"{_tabs(depth + 1)}None"
    for one in device.mig_devices:
        yield f"{_tabs(depth)}<mig_device>"
        yield _leaf(depth + 1, "index", str(one.index))
        yield from _written(_MIG.strip("\n").split("\n"), one, depth + 1, {})
        yield f"{_tabs(depth)}</mig_device>"
    yield f"{_tabs(depth)}</mig_devices>"


def _processes(device: Device, depth: int) -> Iterator[str]:
    """Write the rows; a list that could not be read is said, never an empty one."""
    devices = device.places
    unread = [one.unread.text("words") for one in devices if one.unread.fields]
    yield f"{_tabs(depth)}<processes>"
    for words in unread:
        yield f"{_tabs(depth + 1)}{_clean(f'not readable: {words}')}"
    for one in devices:
        for row in sorted(one.processes, key=lambda each: each.signed_pid):
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
        return value.text.removeprefix("0x") if unit == "hex" else value.text
    if unit == "time":
        return _moment(value.number)
    if unit == "MiB":
        return f"{-(-value.number // _MIB)} MiB"
    if unit == "W":
        return f"{value.number / _MILLI:.2f} W"
    return f"{value.number}{'' if unit == 'x' else ' '}{unit}".rstrip()


def _moment(microseconds: int) -> str:
    """Give local time to the millisecond."""
    seconds, fraction = divmod(microseconds, _MICRO)
    whole = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))
    return f"{whole}.{fraction // _MILLI:03d}"


def _leaf(depth: int, tag: str, text: str) -> str:
    return f"{_tabs(depth)}<{tag}>{_clean(text)}</{tag}>"


def _empty(depth: int, tag: str) -> str:
    return f"{_tabs(depth)}<{tag}>\n{_tabs(depth)}</{tag}>"


def _clean(text: str) -> str:
    return escape(text.translate(_CONTROL), _QUOTES)


def _tabs(depth: int) -> str:
    return "\t" * depth
