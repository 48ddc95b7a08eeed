"""What the simulated library says of memory and processes, in the layouts of each version.

Process lists are written at the address that the caller gives, entry by entry in the layout that
the called version has, as the C library does: a caller with another layout in mind reads garbage.
Source: nvml.h; the 32-byte layout of drivers 535.43 to 535.86 from public reports.
"""

import ctypes
from collections.abc import Mapping
from typing import Any

from gpusched.adapters.nvml.simulated.calls import Call, DeviceFunction, number, target
from gpusched.adapters.nvml.simulated.codes import MEMORY_NOT_AVAILABLE, MEMORY_V2, Code
from gpusched.adapters.nvml.simulated.mig import MEMORY_SLICES
from gpusched.adapters.nvml.simulated.view import Row

_LISTS = {"Compute": "C", "Graphics": "G", "MPSCompute": "M"}
_VERSION_3 = "_v3"
_MIB = 1 << 20


class _EntryV1(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_uint), ("usedGpuMemory", ctypes.c_ulonglong))  # type: ignore[mutable-override]  # how ctypes is told


class _EntryV2(ctypes.Structure):
    _fields_ = (  # type: ignore[mutable-override]  # how ctypes is told
        *_EntryV1._fields_,
        ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
    )


class _WideEntry(ctypes.Structure):
    _fields_ = (*_EntryV2._fields_, ("protectedMemory", ctypes.c_ulonglong))  # type: ignore[mutable-override]  # how ctypes is told


_ENTRIES: Mapping[str, type[ctypes.Structure]] = {"": _EntryV1, "_v2": _EntryV2, "_v3": _EntryV2}


def _memory_v1(call: Call, info: Any) -> int:
    numbers = call.view.memory(call.subject)
    found = target(info)
    found.total = numbers.total
    found.used = numbers.used + numbers.reserved
    found.free = numbers.free
    return Code.SUCCESS


def _memory_v2(call: Call, info: Any) -> int:
    if call.subject.gpu.state.faults.no_memory_v2:
        return Code.NOT_SUPPORTED
    found = target(info)
    if found.version != MEMORY_V2:
        return Code.ARGUMENT_VERSION_MISMATCH
    numbers = call.view.memory(call.subject)
    found.total = numbers.total
    found.reserved = numbers.reserved
    found.used = numbers.used
    found.free = numbers.free
    return Code.SUCCESS


def _bar1(call: Call, info: Any) -> int:
    profile, mig = call.subject.gpu.profile, call.subject.mig
    total, used = profile.bar1, profile.bar1_used
    if mig is not None:
        # A whole MiB less than its part: 32767 MiB of 65536 for a half (NVIDIA's MIG user guide).
        total, used = total * mig.profile.memory_slices // MEMORY_SLICES - _MIB, 0
    found = target(info)
    found.bar1Total, found.bar1Used, found.bar1Free = total, used, total - used
    return Code.SUCCESS


def _process_list(letter: str, version: str) -> DeviceFunction:
    def answer(call: Call, count: Any, entries: Any) -> int:
        if call.subject.gpu.state.faults.no_permission:
            return Code.NO_PERMISSION
        rows = [row for row in call.view.rows(call.subject) if letter in row.lists]
        place = target(count)
        room, place.value = number(place), len(rows)
        if not rows:
            return Code.SUCCESS
        if entries is None or room < len(rows):
            return Code.INSUFFICIENT_SIZE
        wide = version == _VERSION_3 and call.view.scenario.process_stride != ctypes.sizeof(
            _EntryV2
        )
        layout = _WideEntry if wide else _ENTRIES[version]
        _write(ctypes.addressof(target(entries)), layout, rows)
        return Code.SUCCESS

    return answer


def _write(address: int, layout: type[ctypes.Structure], rows: list[Row]) -> None:
    size = ctypes.sizeof(layout)
    for place, row in enumerate(rows):
        entry: Any = layout.from_address(address + place * size)
        entry.pid = row.pid
        entry.usedGpuMemory = MEMORY_NOT_AVAILABLE if row.memory is None else row.memory
        if layout is not _EntryV1:
            entry.gpuInstanceId = row.gpu_instance
            entry.computeInstanceId = row.compute_instance


PROCESS_LISTS: Mapping[str, DeviceFunction] = {
    f"nvmlDeviceGet{name}RunningProcesses{version}": _process_list(letter, version)
    for name, letter in _LISTS.items()
    for version in _ENTRIES
}
"""The nine list functions."""

OF_ANY: Mapping[str, DeviceFunction] = {
    "nvmlDeviceGetMemoryInfo": _memory_v1,
    "nvmlDeviceGetMemoryInfo_v2": _memory_v2,
    "nvmlDeviceGetBAR1MemoryInfo": _bar1,
    **PROCESS_LISTS,
}
"""Functions for GPUs and MIG devices."""
