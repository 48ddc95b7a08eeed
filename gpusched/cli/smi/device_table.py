"""The device table of nvidia-smi's screen, three lines for each GPU."""

from gpusched.cli.smi.cells import (
    ERROR,
    MISSING,
    as_bytes,
    fitted,
    gap_of,
    hidden,
    keep_start,
    mib,
    shown,
    state_of,
)
from gpusched.cli.smi.layouts import Layout
from gpusched.cli.smi.survey import Device, Survey

_NAME = "gpusched  "
"""Stands where nvidia-smi names itself, and is as wide."""

_COMPUTE_MODES = {"Exclusive_Process": "E. Process", "Exclusive_Thread": "E. Thread"}
_NO_STATE = "Unknown"
_BUS_ID = 16
_MILLI = 1000


def head(survey: Survey, layout: Layout) -> list[str]:
    """Give the table's head; the version behind our name is the driver's, as with nvidia-smi."""
    driver = survey.words("driver_version")
    own, version = layout.version
    title = (
        f" {_NAME} {driver:<{own}}Driver Version: {driver:<{version}}"
        f"CUDA Version: {survey.words('cuda_version')}"
    )
    return [
        f"+{'-' * layout.inner}+",
        f"|{title:<{layout.inner}}|",
        f"|{rule('-', layout.columns)}+",
        *(f"|{one}|" for one in layout.headings),
        f"|{rule('=', layout.columns)}|",
    ]


def rule(mark: str, columns: tuple[int, ...]) -> str:
    """Give a line across the columns, without its ends."""
    return "+".join(mark * width for width in columns)


def rows(device: Device, layout: Layout) -> list[str]:
    """Give the lines of a GPU and the rule below them."""
    first, second, third = (
        (_identity(device, layout), _bus(device, layout), f"{_ecc(device):>20}"),
        (_state(device, layout), _memory(device, layout), _use(device)),
        ("", "", f"{_mig(device):>20}"),
    )
    return [_line(one, layout) for one in (first, second, third)] + [
        f"+{rule('-', layout.columns)}+"
    ]


def _line(cells: tuple[str, str, str], layout: Layout) -> str:
    left, middle, right = cells
    one, two, three = layout.columns
    return f"|{left:<{one}}|{middle:<{two}}| {right:>{three - 2}} |"


def _identity(device: Device, layout: Layout) -> str:
    table = layout.devices
    name = keep_start(shown(device.value("name")), table.name)
    persistence = state_of(device.value("persistence_mode"))
    gap = table.off + (persistence == MISSING)
    state = f"{persistence:<3}{' ' * gap}"
    start = f" {device.index:>3}  {name:<{table.name}}"
    return f"{start}{state:>{layout.columns[0] - len(start)}}"


def _bus(device: Device, layout: Layout) -> str:
    bus = shown(device.value("pci.bus_id"))
    display = state_of(device.value("display_active"))
    return f"{' ' * layout.devices.bus}{bus:<{_BUS_ID}}{display:>4}"


def _ecc(device: Device) -> str:
    mode = device.value("ecc.mode.current")
    if mode.missing:
        return gap_of(mode)
    if mode.text == "Disabled":
        return "Off"
    return (
        "On"
        if device.partitioned
        else shown(device.value("ecc.errors.uncorrected.volatile.total"))
    )


def _state(device: Device, layout: Layout) -> str:
    fan = shown(device.value("fan.speed"), "%")
    heat = shown(device.value("temperature.gpu"), "C")
    level = shown(device.value("pstate"))
    # What is missing stands one column further left than a state; no state is an error.
    level = {MISSING: f"{MISSING} ", ERROR: f"{ERROR} ", _NO_STATE: f"{ERROR} "}.get(level, level)
    return f"{fan:>4}{heat:>6}{level:>6}{_power(device, layout)} "


def _power(device: Device, layout: Layout) -> str:
    table = layout.devices
    draw, limit = device.value("power.draw"), device.value("enforced.power.limit")
    # NVIDIA's programs show no draw below a watt.
    usage = gap_of(draw) if draw.number is None else f"{max(1, draw.number // _MILLI)}W"
    cap = shown(limit, "W", _MILLI) + " " * (table.behind_cap if limit.missing else 0)
    width = table.usage + len(" / ") + table.cap
    return fitted(f"{usage:>{table.usage}} / {cap:>{table.cap}}", width)


def _memory(device: Device, layout: Layout) -> str:
    used, total = device.value("memory.used"), device.value("memory.total")
    table, width = layout.devices, layout.columns[1]
    if used.number is not None and total.number is not None:
        amount = mib(used.number, ceil=layout.ceil)
        return fitted(f"{amount:>{table.used}} / {mib(total.number):>{table.total}} ", width)
    missing = used if used.missing else total
    if hidden(missing):
        return fitted(MISSING + " " * table.missing_memory, width)
    return f" {as_bytes(missing.words)}"


def _use(device: Device) -> str:
    busy = shown(device.value("utilization.gpu"), "%")
    mode = shown(device.value("compute_mode"))
    return f"{busy:>7}{_COMPUTE_MODES.get(mode, mode):>13}"


def _mig(device: Device) -> str:
    mode, pending = device.value("mig.mode.current"), device.value("mig.mode.pending")
    text = shown(mode)
    changes = not mode.missing and not pending.missing and pending.text != mode.text
    return f"{pending.text}*" if changes else text
