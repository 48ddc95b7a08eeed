"""NVML's process lists, in every layout that a driver has ever given them.

Exists because three versions of each list and one driver branch with rows of another width are
read here into one row type. What one list they make is decided in `process_lists`.
"""

import ctypes
from dataclasses import dataclass
from typing import Final, TypeAlias

from gpusched.adapters.nvml import binding
from gpusched.core.sample import ContextKind

_NAMES: Final = {
    ContextKind.COMPUTE: "nvmlDeviceGetComputeRunningProcesses",
    ContextKind.GRAPHICS: "nvmlDeviceGetGraphicsRunningProcesses",
    ContextKind.MPS: "nvmlDeviceGetMPSComputeRunningProcesses",
}
_NO_INSTANCE: Final = 0xFFFF_FFFF
_UNTOUCHED: Final = b"\xaa"
_FIELD: Final = 8  # bytes
_FIRST_ROOM: Final = 32
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One row of one list.

    Attributes:
        pid: In the PID namespace of the caller.
        memory: Bytes of device memory; None where the driver does not know them, or says what
            cannot be.
        gpu_instance: GI id, None outside of MIG.
        compute_instance: CI id, None outside of MIG.
    """

    pid: int
    memory: int | None
    gpu_instance: int | None = None
    compute_instance: int | None = None


class _RowV1(ctypes.Structure):
    _fields_ = (  # type: ignore[mutable-override]  # how ctypes is told a layout
        ("pid", ctypes.c_uint),
        ("usedGpuMemory", ctypes.c_ulonglong),
    )


class _RowV2(ctypes.Structure):
    _fields_ = (  # type: ignore[mutable-override]  # how ctypes is told a layout
        *_RowV1._fields_,
        ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
    )


class _RowProtected(ctypes.Structure):
    _fields_ = (  # type: ignore[mutable-override]  # how ctypes is told a layout
        *_RowV2._fields_,
        ("usedGpuCcProtectedMemory", ctypes.c_ulonglong),
    )


_Row: TypeAlias = type[_RowV1] | type[_RowV2]

# Newest first. The unversioned symbol is version 1, whatever the header's macro says.
_VERSIONS: Final[tuple[tuple[str, _Row], ...]] = (("_v3", _RowV2), ("_v2", _RowV2), ("", _RowV1))


def processes(device: binding.Handle, kind: ContextKind) -> tuple[ProcessRow, ...]:
    """Read one of the three lists, in NVML's order and with NVML's duplicates.

    Args:
        device: A GPU, or a MIG device.
        kind: Exactly one of the three.

    Raises:
        binding.NvmlFailure: FUNCTION_NOT_FOUND where the library has no version of the list;
            NO_PERMISSION for the list of a partitioned GPU; INSUFFICIENT_SIZE where processes
            come faster than the list can be read; UNKNOWN where the rows cannot be told apart.
    """
    for suffix, row in _VERSIONS:
        try:
            return _read(_NAMES[kind] + suffix, row, device)
        except binding.NvmlFailure as failure:
            if failure.code != binding.FUNCTION_NOT_FOUND:
                raise
    raise binding.NvmlFailure(
        binding.FUNCTION_NOT_FOUND, binding.words_of(binding.FUNCTION_NOT_FOUND)
    )


def row_width(raw: bytes, count: int, agreed: int) -> int | None:
    """Tell from a buffer how wide the rows are that a library wrote into it.

    Drivers 535.43 to 535.86 write rows of 32 bytes under the symbol whose rows have 24 before
    and after; read with the wrong width, every row but the first is garbage (go-nvml issue 75).
    The version number is no proof, where the library stopped writing is (nvitop pull request 226
    measured it on a driver).

    Args:
        raw: Was all 0xAA before the call; longer than `count` rows of 32 bytes.
        count: Rows written, more than 0.
        agreed: Width in bytes that the symbol's version promises.

    Returns:
        Bytes per row, None where no width fits.
    """
    wide = ctypes.sizeof(_RowProtected)
    for width in (agreed, wide) if agreed == ctypes.sizeof(_RowV2) else (agreed,):
        start, end = (count - 1) * width, count * width
        # The last field that every library fills; the protected memory of a wide row may be left.
        filled = start + min(width, ctypes.sizeof(_RowV2))
        written = raw[filled - _FIELD : filled].strip(_UNTOUCHED)
        if written and not raw[end:].strip(_UNTOUCHED):
            return width
    return None


def _read(symbol: str, row: _Row, device: binding.Handle) -> tuple[ProcessRow, ...]:
    room = _FIRST_ROOM
    for _ in range(1 + _RETRIES):
        # Room for the widest rows, whatever was agreed: a library must never write past the end.
        buffer = (_RowProtected * (room + 1))()
        ctypes.memset(buffer, _UNTOUCHED[0], ctypes.sizeof(buffer))
        rows = (row * room).from_buffer(buffer)
        count = ctypes.c_uint(room)
        code = binding.call(symbol, device, ctypes.byref(count), rows)
        if code != binding.INSUFFICIENT_SIZE:
            binding.check(code)
            return _rows(bytes(buffer), count.value, row)
        # More than asked for: processes may start until the next call.
        room = max(2 * room, 2 * count.value + 5)
    raise binding.NvmlFailure(
        binding.INSUFFICIENT_SIZE, "processes start faster than the list can be read"
    )


def _rows(raw: bytes, count: int, row: _Row) -> tuple[ProcessRow, ...]:
    if count == 0:
        return ()
    width = row_width(raw, count, ctypes.sizeof(row))
    if width is None:
        raise binding.NvmlFailure(
            binding.UNKNOWN,
            f"driver {binding.driver_version()} writes process rows of an unknown width",
        )
    layout = _RowProtected if width == ctypes.sizeof(_RowProtected) else row
    return tuple(_row(layout.from_buffer_copy(raw, at * width)) for at in range(count))


def _row(read: _RowV1 | _RowV2 | _RowProtected) -> ProcessRow:
    # Not available is the greatest number of all.
    memory = None if read.usedGpuMemory > binding.MOST_BYTES else int(read.usedGpuMemory)
    if isinstance(read, _RowV1):
        return ProcessRow(pid=read.pid, memory=memory)
    return ProcessRow(
        pid=read.pid,
        memory=memory,
        gpu_instance=_instance(read.gpuInstanceId),
        compute_instance=_instance(read.computeInstanceId),
    )


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else number
