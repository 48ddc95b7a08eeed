"""Names of processes, as `nvmlSystemGetProcessName` tells them."""

from pathlib import Path
from typing import Any

from gpusched.adapters.nvml.simulated.calls import number
from gpusched.adapters.nvml.simulated.codes import Code


def real_name(pid: int) -> str | None:
    """Give the first word of a real process's command line; None where it has none."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return command.split(b"\0")[0].decode(errors="surrogateescape") or None


def put_name(buffer: Any, length: Any, name: str) -> int:
    """Store a name, cut off where the buffer ends: NVML does not refuse long names."""
    data = name.encode(errors="surrogateescape")[: number(length) - 1]
    buffer.value = data
    return Code.SUCCESS
