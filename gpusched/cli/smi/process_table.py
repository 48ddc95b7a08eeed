"""The process table of nvidia-smi's screen, with what it leaves out.

Rows are in the order of GPU, MIG device and PID; one process may have two. A list that could not
be read has a line that says so, and a process without a name keeps its row.
"""

from gpusched.cli.smi.cells import MISSING, as_bytes, fitted, keep_end, mib, pid_of
from gpusched.cli.smi.layouts import Layout
from gpusched.cli.smi.survey import NOT_FOUND, Device, Process

_MEMORY = 8
NOBODY = "[not found]"
"""Name of a process that is dead or in another PID namespace."""


def process_lines(devices: list[Device], layout: Layout, room: int = 0) -> list[str]:
    """Give the table.

    Args:
        devices: The GPUs.
        layout: The branch.
        room: Columns that longer process names may take beyond the branch's.
    """
    places = [(gpu, place) for gpu in devices for place in gpu.places]
    longest = max((len(name_of(one)) for _, place in places for one in place.processes), default=0)
    width = layout.processes.name
    extra = max(0, min(room, longest - width))
    inner = layout.inner + extra
    lines: list[str] = []
    for gpu, place in places:
        kinds = _kinds(place, layout)
        lines += [
            _row(gpu, one, kind, layout, width + extra)
            for one, kind in zip(_sorted(place), kinds, strict=True)
        ]
        if place.unread.fields:
            lines.append(f"{_unread(gpu, place):<{inner}}")
    return _framed(lines or [f"{'  No running processes found':<{inner}}"], layout, extra)


def name_of(process: Process) -> str:
    """Give the name, or what stands for a name that there is none of."""
    name = process.name
    if not name.missing and name.text:
        return as_bytes(name.text)
    return NOBODY if name.code in (0, NOT_FOUND) else f"[{as_bytes(name.words)}]"


def _sorted(place: Device) -> list[Process]:
    return sorted(place.processes, key=lambda one: one.signed_pid)


def _kinds(place: Device, layout: Layout) -> list[str]:
    """Give the type of each row.

    Branches before 550 go through rows and clients side by side, both by PID, and get no further
    among the clients than to the first that has no row (measured with 470.256 and 535.261).
    """
    if layout.every_client:
        return [one.kind for one in _sorted(place)]
    clients, kinds = sorted(place.mps_pids, reverse=True), list[str]()
    for one in _sorted(place):
        is_client = bool(clients) and clients[-1] == one.signed_pid
        if is_client:
            clients.pop()
        kinds.append(one.kind if is_client else one.kind_alone)
    return kinds


def _framed(rows: list[str], layout: Layout, extra: int) -> list[str]:
    inner = layout.inner + extra
    heading = "Process name"
    titles = [
        one[: (cut := layout.processes.headings[0].index(heading) + len(heading))]
        + " " * extra
        + one[cut:]
        for one in layout.processes.headings
    ]
    return [
        f"+{'-' * inner}+",
        f"|{' Processes:':<{inner}}|",
        *(f"|{one}|" for one in titles),
        f"|{'=' * inner}|",
        *(f"|{one}|" for one in rows),
        f"+{'-' * inner}+",
    ]


def _row(gpu: Device, process: Process, kind: str, layout: Layout, width: int) -> str:
    table = layout.processes
    pid = pid_of(process.signed_pid, table.longest_pid)
    name = keep_end(name_of(process), width)
    memory = MISSING if process.memory.number is None else mib(process.memory.number)
    cell = f"{memory:<{_MEMORY}}" if memory == MISSING else f"{memory:>{_MEMORY}}"
    return (
        f"{_place(gpu, process.gpu_instance, process.compute_instance)} {pid:>{table.pid}}"
        f"{kind:>7}   {name:<{width}}{fitted(cell, table.gap + _MEMORY)} "
    )


def _unread(gpu: Device, place: Device) -> str:
    gpu_instance, compute_instance = (
        (None, None)
        if place is gpu
        else (
            place.value("gpu_instance_id").number,
            place.value("compute_instance_id").number,
        )
    )
    words = as_bytes(place.unread.text("words"))
    return f"{_place(gpu, gpu_instance, compute_instance)}  not readable: {words}"


def _place(gpu: Device, gpu_instance: int | None, compute_instance: int | None) -> str:
    one, other = (
        MISSING if number is None else f"{number:>2} "
        for number in (gpu_instance, compute_instance)
    )
    return f"{gpu.index:>5}   {one}  {other}"
