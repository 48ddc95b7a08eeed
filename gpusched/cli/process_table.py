"""The process table with nvidia-smi's columns, plus lease and user. Pure: messages in, lines out.

Sources of the layout: nvidia-smi of R570 and newer (order of columns, alignment, `N/A`, MiB
rounded down, names that keep their end). Unlike nvidia-smi, a list that could not be read is a
line of its own, and a process whose name is not known keeps its row. The last columns stand where
the terminal has room for them.
"""

from collections.abc import Sequence

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import mib
from gpusched.client.document import Document

_COLUMNS = (
    Column("GPU", right=True),
    Column("GI", right=True),
    Column("CI", right=True),
    Column("PID", right=True),
    Column("Type", right=True),
    Column("Process name", gives_way=True),
    Column("GPU Memory", right=True),
    Column("Lease"),
    Column("User"),
    Column("Peak", right=True, optional=True),
    Column("Unit or container", optional=True),
)
_KINDS = {
    "PROCESS_KIND_STRAY": "stray",
    "PROCESS_KIND_INFRASTRUCTURE": "infrastructure",
    "PROCESS_KIND_UNKNOWN": "unknown",
}


def process_lines(
    processes: Sequence[Document], unreadable: Sequence[Document], width: int | None
) -> list[str]:
    """Lay out the table.

    Args:
        processes: Messages `Process`.
        unreadable: Messages `UnreadableProcessList`: not devices without processes.
        width: Columns of the terminal; None: as wide as it needs.
    """
    rows = [_row(one) for one in sorted(processes, key=_order)]
    lines = lines_of(_COLUMNS, rows, width) if rows else []
    # The MIG devices of a GPU have the same to say.
    lines += dict.fromkeys(
        f"process list of GPU {one.number('gpu_index')} not readable: {one.text('reason')}"
        for one in unreadable
    )
    return lines or ["No running processes found"]


def _order(process: Document) -> tuple[int, int, int, int]:
    """Sort as nvidia-smi does: by GPU, MIG instances together, then by pid."""
    return (
        process.number("gpu_index"),
        process.number("gpu_instance"),
        process.number("compute_instance"),
        process.part("process").number("pid"),
    )


def _row(process: Document) -> list[str]:
    return [
        str(process.number("gpu_index")),
        _instance(process, "gpu_instance"),
        _instance(process, "compute_instance"),
        str(process.part("process").number("pid")),
        process.text("type"),
        process.part("name").text("value") or "[not found]",
        mib(process.measured("memory")),
        _lease(process),
        _user(process),
        "" if (peak := process.measured("peak_memory")) is None else mib(peak),
        _where(process),
    ]


def _instance(process: Document, name: str) -> str:
    number = process.optional(name)
    return "N/A" if number is None else str(number)


def _lease(process: Document) -> str:
    lease = process.text("lease_id")
    if lease:
        return f"{lease} (outside its mask)" if process.flag("outside_mask") else lease
    kind, leads_to = _KINDS.get(process.text("kind"), "?"), process.text("stray_consequence")
    return f"{kind} ({leads_to})" if leads_to else kind


def _user(process: Document) -> str:
    uid = process.optional("uid")
    return process.text("user") or ("?" if uid is None else str(uid))


def _where(process: Document) -> str:
    """Give the container, else the unit; that of the lease itself says nothing new."""
    unit, own = process.text("unit"), process.text("lease_id").replace("-", "_")
    return process.text("container") or ("" if own and own in unit else unit)
