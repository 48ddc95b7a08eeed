"""A library object below pynvml: NVML's C functions in Python, told what each device answers.

Smaller than the product's simulator on purpose: it knows no rules, so that a test can make it
answer what no driver should. It writes rows as bytes, as a C library does.
"""

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from tests.fakes.nvml_events import FakeEventSets, Reporting, address_of

SUCCESS = 0
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
GPU_IS_LOST = 15
UNKNOWN = 999
NOT_AVAILABLE = 0xFFFF_FFFF_FFFF_FFFF
NO_INSTANCE = 0xFFFF_FFFF

_LAYOUTS = {16: "=I4xQ", 24: "=I4xQII", 32: "=I4xQIIQ"}
_GPU_BASE = 0x1000
_MIG_STEP = 0x1000


class _Function(Protocol):
    def __call__(self, *arguments: object) -> int: ...


class _Cell(Protocol):
    value: int


class _MemoryCell(Protocol):
    total: int
    reserved: int
    used: int
    free: int


class _Reference(Protocol):
    _obj: _Cell


@dataclass
class FakeDevice:
    """A GPU or a MIG device, described by the tails of NVML's names (`nvmlDeviceGet…`).

    Attributes:
        texts: What functions that fill a buffer answer.
        numbers: What functions that fill one number answer.
        memory: Total, reserved and used bytes.
        meanwhile: What happens behind each of the next readings of its memory.
        rows: (pid, memory, GI, CI) by `Compute`, `Graphics` and `MPSCompute`.
        row_width: Bytes per row that `_v3` writes; `_v2` writes 24, the oldest 16.
        refuses: Return codes of functions that fail.
        late: How many more list calls find more processes than there was room for.
        migs: MIG devices by index, holes left out; None for a GPU that knows no MIG.
        reporting: Its events, and the driver's advice for it.
    """

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    memory: tuple[int, int, int] = (0, 0, 0)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    rows: dict[str, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    row_width: int = 24
    refuses: dict[str, int] = field(default_factory=dict)
    late: int = 0
    migs: "dict[int, FakeDevice] | None" = None
    reporting: Reporting = field(default_factory=Reporting)


def gpu(number: int, name: str = "NVIDIA L4") -> FakeDevice:
    """A GPU that answers everything; its minor is not its index."""
    return FakeDevice(
        texts={"UUID": f"GPU-{number:04d}", "Name": name, "bus": f"00000000:0{number}:00.0"},
        numbers={
            "MinorNumber": 7 - number,
            "Temperature": 40 + number,
            "PowerUsage": 30_000,
            "EnforcedPowerLimit": 72_000,
            "ComputeMode": 0,
            "PersistenceMode": 1,
            "Utilization": 55,
        },
        memory=(23034 << 20, 300 << 20, 4 << 30),
    )


def mig(number: int, gpu_instance: int, compute_instance: int = 0) -> FakeDevice:
    """A MIG device of a GPU that is called `NVIDIA A100-SXM4-40GB`."""
    return FakeDevice(
        texts={"UUID": f"MIG-{number:04d}", "Name": "NVIDIA A100-SXM4-40GB MIG 3g.20gb"},
        numbers={"GpuInstanceId": gpu_instance, "ComputeInstanceId": compute_instance},
        memory=(19968 << 20, 0, 1 << 30),
    )


def a100(**migs: FakeDevice) -> FakeDevice:
    """A partitioned GPU; `_3` is the MIG device with index 3."""
    whole = gpu(0, "NVIDIA A100-SXM4-40GB")
    whole.memory = (40960 << 20, 0, 0)
    whole.migs = {int(name[1:]): one for name, one in migs.items()}
    return whole


class FakeLibrary:
    """Answers `getattr(library, "nvml…")` as `ctypes.CDLL` does."""

    def __init__(
        self,
        *gpus: FakeDevice,
        lacks: frozenset[str] = frozenset(),
        refuses: dict[str, int] | None = None,
    ) -> None:
        self.gpus = gpus
        self.lacks = lacks
        self.refuses = refuses or {}
        self.processes = {333: b"/usr/bin/python3"}
        self.calls: list[str] = []
        self.event_sets = FakeEventSets()

    def __getattr__(self, name: str) -> _Function:
        if name in self.lacks or not name.startswith("nvml"):
            raise AttributeError(name)

        def function(*arguments: object) -> int:
            self.calls.append(name)
            if name in self.refuses:
                return self.refuses[name]
            if self.event_sets.answers(name):
                return self._on_events(name, arguments)
            if name.startswith("nvmlDeviceGet") and not name.endswith(("Count_v2", "ByIndex_v2")):
                device = self._device(arguments[0])
                return _answer(device, name.removeprefix("nvmlDeviceGet"), arguments)
            return self._system(name, arguments)

        return function

    def _on_events(self, name: str, arguments: tuple[object, ...]) -> int:
        if name.startswith("nvmlEventSet"):
            return self.event_sets.of_set(name, arguments)
        return self.event_sets.of_gpu(name, self._device(arguments[0]).reporting, arguments)

    def _system(self, name: str, arguments: tuple[object, ...]) -> int:
        if name == "nvmlInitWithFlags":
            return SUCCESS
        if name == "nvmlDeviceGetCount_v2":
            return _put(arguments[0], len(self.gpus))
        if name == "nvmlDeviceGetHandleByIndex_v2":
            index = cast("_Cell", arguments[0]).value
            refused = self.gpus[index].refuses.get("HandleByIndex", SUCCESS)
            return refused or _put_handle(arguments[1], _GPU_BASE + index)
        if name == "nvmlSystemGetProcessName":
            name_of = self.processes.get(cast("_Cell", arguments[0]).value)
            return NOT_FOUND if name_of is None else _fill(arguments[1], name_of)
        if name == "nvmlSystemGetCudaDriverVersion":
            return _put(arguments[0], 12080)
        return _fill(arguments[0], b"570.124.06")

    def _device(self, handle: object) -> FakeDevice:
        address = address_of(handle)
        index, part = (address - _GPU_BASE) % _MIG_STEP, (address - _GPU_BASE) // _MIG_STEP
        whole = self.gpus[index]
        return whole if part == 0 else (whole.migs or {})[part - 1]


def _answer(device: FakeDevice, name: str, arguments: tuple[object, ...]) -> int:
    if name in device.refuses:
        return device.refuses[name]
    if name in device.texts:
        return _fill(arguments[1], device.texts[name].encode())
    if name in device.numbers:
        return _put(arguments[-1], device.numbers[name])
    if "RunningProcesses" in name:
        return _list(device, name, arguments)
    return (_mig if "Mig" in name else _structure)(device, name, arguments)


def _structure(device: FakeDevice, name: str, arguments: tuple[object, ...]) -> int:
    target = cast("_Reference", arguments[-1])._obj
    if name == "PciInfo_v3":
        target.busId = device.texts["bus"].encode()  # type: ignore[attr-defined]  # a structure
    elif name == "UtilizationRates":
        target.gpu = device.numbers["Utilization"]  # type: ignore[attr-defined]  # a structure
    elif name.startswith("MemoryInfo"):
        _put_memory(cast("_MemoryCell", target), device.memory, name)
        if device.meanwhile:
            device.meanwhile.pop(0)()
    else:
        return NOT_SUPPORTED
    return SUCCESS


def _mig(device: FakeDevice, name: str, arguments: tuple[object, ...]) -> int:
    if device.migs is None:
        return NOT_SUPPORTED
    if name == "MigMode":
        _put(arguments[1], 1)
        return _put(arguments[2], 1)
    if name == "MaxMigDeviceCount":
        return _put(arguments[1], 7)
    index = cast("_Cell", arguments[1]).value
    if index not in device.migs:
        return NOT_FOUND
    return _put_handle(arguments[2], address_of(arguments[0]) + (1 + index) * _MIG_STEP)


def _list(device: FakeDevice, name: str, arguments: tuple[object, ...]) -> int:
    kind, _, version = name.partition("RunningProcesses")
    rows = device.rows.get(kind, [])
    count = cast("_Reference", arguments[1])._obj
    room, count.value = count.value, len(rows)
    if room < len(rows) or device.late:
        device.late = max(0, device.late - 1)
        return INSUFFICIENT_SIZE
    width = {"_v3": device.row_width, "_v2": 24}.get(version, 16)
    written = b"".join(_packed(row, width) for row in rows)
    ctypes.memmove(cast("ctypes.Array[ctypes.c_char]", arguments[2]), written, len(written))
    return SUCCESS


def _packed(row: tuple[int, int, int, int], width: int) -> bytes:
    columns = 2 if width == 16 else 4
    extra = (NOT_AVAILABLE,) if width == 32 else ()
    return struct.pack(_LAYOUTS[width], *row[:columns], *extra)


def _put_memory(target: _MemoryCell, memory: tuple[int, int, int], name: str) -> None:
    total, reserved, used = memory
    target.total, target.free = total, total - reserved - used
    if name == "MemoryInfo_v2":
        target.reserved, target.used = reserved, used
    else:
        target.used = used + reserved


def _put(reference: object, value: int) -> int:
    cast("_Reference", reference)._obj.value = value
    return SUCCESS


def _put_handle(reference: object, address: int) -> int:
    place = ctypes.byref(cast("ctypes.c_void_p", cast("_Reference", reference)._obj))
    ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))[0] = address
    return SUCCESS


def _fill(buffer: object, text: bytes) -> int:
    cast("ctypes.Array[ctypes.c_char]", buffer).value = text
    return SUCCESS
