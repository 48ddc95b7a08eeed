"""The MIG table of nvidia-smi's screen, there when a GPU is in MIG mode."""

from gpusched.cli.smi.cells import MISSING, fitted, mib, shown
from gpusched.cli.smi.device_table import rule
from gpusched.cli.smi.layouts import Layout
from gpusched.cli.smi.survey import Device

_SHARED = "device_attributes.shared"
_ENGINES = (
    ("copy_engine_count", 3),
    ("encoder_count", 4),
    ("decoder_count", 5),
    ("ofa_count", 5),
    ("jpg_count", 5),
)
_AMOUNT = 8
"""Width of an amount; one that is longer takes of the space behind it, in 550 and later."""

_UNCORRECTABLE = "ecc_error_count.volatile_count.sram_uncorrectable"


def mig_lines(devices: list[Device], layout: Layout) -> list[str]:
    """Give the table with the MIG devices of these GPUs; empty when none is in MIG mode."""
    partitioned = [one for one in devices if one.partitioned]
    if not partitioned:
        return []
    lines = [
        "",
        f"+{'-' * layout.inner}+",
        f"|{' MIG devices:':<{layout.inner}}|",
        f"+{rule('-', layout.mig_columns)}+",
        *(f"|{one}|" for one in layout.mig.headings),
        f"|{rule('=', layout.mig_columns)}|",
    ]
    found = [(gpu, one) for gpu in partitioned for one in gpu.mig_devices]
    if not found:
        return [
            *lines,
            f"|{'  No MIG devices found':<{layout.inner}}|",
            f"+{'-' * layout.inner}+",
        ]
    for place, (gpu, one) in enumerate(found):
        follower = found[place + 1] if place + 1 < len(found) else None
        preceding = found[place - 1] if place else None
        joined = follower is not None and _same_memory((gpu, one), follower)
        alone = preceding is None or not _same_memory(preceding, (gpu, one))
        lines += _rows(gpu, one, layout, memory=alone)
        lines.append(_below(layout, joined=joined))
    return lines


def _same_memory(one: tuple[Device, Device], other: tuple[Device, Device]) -> bool:
    """Say whether two are compute instances of one GPU instance, which share its memory."""
    return one[0].index == other[0].index and _instance(one[1]) == _instance(other[1])


def _instance(device: Device) -> str:
    return shown(device.value("gpu_instance_id"))


def _below(layout: Layout, *, joined: bool) -> str:
    one, two, *rest = layout.mig_columns
    mark = " " if joined else "-"
    return f"+{'-' * one}+{mark * two}+{rule('-', tuple(rest))}+"


def _rows(gpu: Device, device: Device, layout: Layout, *, memory: bool) -> list[str]:
    part = shown(device.value("compute_instance_id"))
    who = f" {gpu.index:>2}{_instance(device):>5}{part:>4}{device.index:>4}  "
    cores = shown(device.value(f"{_SHARED}.multiprocessor_count"))
    wrong = shown(device.value(_UNCORRECTABLE))
    engines = "".join(
        f"{shown(device.value(f'{_SHARED}.{name}')):>{width}}" for name, width in _ENGINES
    )
    blank = " " * layout.mig_columns[1]
    held = _memory(device, "memory", layout) if memory else blank
    window = _memory(device, "bar1_memory_usage", layout) if memory else blank
    one, _, three, four = layout.mig_columns
    return [
        f"|{who}|{held}|{cores:>3}{wrong:>7} |{engines} |",
        f"|{' ' * one}|{window}|{' ' * three}|{' ' * four}|",
    ]


def _memory(device: Device, name: str, layout: Layout) -> str:
    widths = layout.mig.memory if name == "memory" else layout.mig.bar1
    used, total = device.value(f"{name}.used"), device.value(f"{name}.total")
    width = layout.mig_columns[1]
    if used.number is None or total.number is None:
        return fitted(MISSING + " " * widths[2], width)
    amount = mib(used.number, ceil=layout.ceil)
    before = " " * (widths[0] - _AMOUNT)
    cell = f"{before}{amount:>{_AMOUNT}} / {mib(total.number):>{widths[1]}}"
    return fitted(f"{cell:<{width}}", width)
