"""NVML as typed functions: with its `binding_…` siblings the only files that import `pynvml`.

Exists so that symbol versions, sentinel values and the library's error classes end here: a
function returns a plain value or raises `NvmlFailure`. No policy, no `/proc`, and no state but
the loaded library may enter. The process lists, which need more care, are in `processes`.
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any, Final, NewType, ParamSpec, TypeVar

import pynvml

from gpusched.core.sample import Memory, Reading, Unavailable

T = TypeVar("T")
P = ParamSpec("P")

Handle = NewType("Handle", object)
"""NVML's handle of a device; valid until the library is shut down or the MIG device destroyed."""

INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
NOT_FOUND: Final = 6
INSUFFICIENT_SIZE: Final = 7
DRIVER_NOT_LOADED: Final = 9
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
LIBRARY_MISMATCH: Final = 18
ARGUMENT_VERSION_MISMATCH: Final = 25
UNKNOWN: Final = 999

GONE: Final = frozenset({GPU_IS_LOST, RESET_REQUIRED})  # of the device, not of one call
# Not there before 12.560; where it is, it is no NVMLError.
_MISMATCH: Final = getattr(pynvml, "NVMLLibraryMismatchError", pynvml.NVMLError)
_NAME_SIZE: Final = 1024

MOST_BYTES: Final = 1 << 52
"""Far more than any device has: what a driver says beyond it is no size."""


class NvmlFailure(Exception):
    """NVML refused a call.

    Attributes:
        code: NVML's return code (`nvmlReturn_t`).
        words: What nvidia-smi prints for it: "GPU is lost", "Insufficient Permissions".
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def use_library(library: object) -> None:
    """Put an object in the place of `libnvidia-ml.so.1`, before `start`.

    Args:
        library: Has NVML's C functions as attributes that take ctypes values; one that it lacks
            raises AttributeError, as `ctypes.CDLL` does.
    """
    pynvml.nvmlLib = library
    # pynvml remembers every function it looked up, from whichever library that was.
    pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - there is no public way


def start() -> None:
    """Load the library and initialise it; can take seconds per GPU without persistence mode.

    Once in the life of a process: a library that is replaced on disk is never loaded again.

    Raises:
        NvmlFailure: DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, LIBRARY_MISMATCH or another.
    """
    asked(pynvml.nvmlInit)


def reading(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Reading[T]:
    """Call *ask*; a refusal that concerns only this value becomes `Unavailable`.

    Raises:
        NvmlFailure: The device itself is lost or needs a reset.
    """
    try:
        return ask(*args, **kwargs)
    except NvmlFailure as failure:
        if failure.code in GONE:
            raise
        return Unavailable(failure.words)


def call(symbol: str, *arguments: object) -> int:
    """Call a C function by its exact name and give its return code.

    Raises:
        NvmlFailure: FUNCTION_NOT_FOUND, where this library does not have it.
    """
    try:
        function = getattr(pynvml.nvmlLib, symbol)
    except AttributeError:
        raise NvmlFailure(FUNCTION_NOT_FOUND, words_of(FUNCTION_NOT_FOUND)) from None
    return int(function(*arguments))


def check(code: int) -> None:
    """Raise `NvmlFailure` unless *code* is success."""
    if code != pynvml.NVML_SUCCESS:
        raise NvmlFailure(code, words_of(code))


def words_of(code: int) -> str:
    """Give NVML's words for a return code."""
    return str(pynvml.NVMLError(code))


def driver_version() -> str:
    """Give the kernel driver's version: `570.124.06`."""
    return str(asked(pynvml.nvmlSystemGetDriverVersion))


def nvml_version() -> str:
    """Give the library's version: `12.570.124.06`."""
    return str(asked(pynvml.nvmlSystemGetNVMLVersion))


def cuda_version() -> int:
    """Give the CUDA version that the driver offers: 12080 is 12.8."""
    return int(asked(pynvml.nvmlSystemGetCudaDriverVersion))


def count() -> int:
    """Give the number of GPUs, those that give no handle included."""
    return int(asked(pynvml.nvmlDeviceGetCount))


def handle(index: int) -> Handle:
    """Give the handle of the GPU at an NVML index (ascending PCI bus id)."""
    return Handle(asked(pynvml.nvmlDeviceGetHandleByIndex, index))


def uuid(device: Handle) -> str:
    """Give `GPU-…`; of a MIG device `MIG-…`, before driver 470 `MIG-GPU-…/<gi>/<ci>`."""
    return str(asked(pynvml.nvmlDeviceGetUUID, device))


def product_name(device: Handle) -> str:
    """Give NVML's name; that of a MIG device ends in ` MIG 3g.20gb`."""
    return str(asked(pynvml.nvmlDeviceGetName, device))


def minor_number(device: Handle) -> int:
    """Give N of `/dev/nvidiaN`; it need not be the index."""
    return int(asked(pynvml.nvmlDeviceGetMinorNumber, device))


def pci_bus_id(device: Handle) -> str:
    """Give the PCI bus id with an eight-digit domain: `00000000:07:00.0`."""
    return str(asked(pynvml.nvmlDeviceGetPciInfo, device).busId)


def memory(device: Handle) -> Memory:
    """Read the framebuffer in bytes.

    Where version 2 fails (no such function before driver 510; an unknown error on some WSL)
    version 1 answers: its `used` includes what the driver reserves, so `reserved` is 0.
    """
    try:
        return memory_v2(device)
    except NvmlFailure:
        read = asked(pynvml.nvmlDeviceGetMemoryInfo, device)
        return _sized(Memory(read.total, 0, read.used, read.free, reserved_apart=False))


def memory_v2(device: Handle) -> Memory:
    """Read the framebuffer in bytes by version 2 alone.

    Raises:
        NvmlFailure: NVML refuses, or gives sizes that no device has.
    """
    read = asked(pynvml.nvmlDeviceGetMemoryInfo, device, pynvml.nvmlMemory_v2)
    return _sized(Memory(read.total, read.reserved, read.used, read.free))


def _sized(memory: Memory) -> Memory:
    if max(memory.total, memory.reserved, memory.used, memory.free) > MOST_BYTES:
        raise NvmlFailure(UNKNOWN, "sizes that cannot be")
    return memory


def mig_enabled(device: Handle) -> bool:
    """Say whether the GPU is partitioned now (a pending change does not count)."""
    try:
        current, _pending = asked(pynvml.nvmlDeviceGetMigMode, device)
    except NvmlFailure as failure:
        if failure.code in {NOT_SUPPORTED, FUNCTION_NOT_FOUND}:
            return False
        raise
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def mig_handles(device: Handle) -> Iterator[tuple[int, Handle]]:
    """Give index and handle of each MIG device of a GPU; holes in the numbering are legal."""
    for index in range(asked(pynvml.nvmlDeviceGetMaxMigDeviceCount, device)):
        try:
            found = Handle(asked(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, device, index))
        except NvmlFailure as failure:
            if failure.code != NOT_FOUND:
                raise
            continue
        yield index, found


def gpu_instance(mig: Handle) -> int:
    """Give the GI id of a MIG device."""
    return int(asked(pynvml.nvmlDeviceGetGpuInstanceId, mig))


def compute_instance(mig: Handle) -> int:
    """Give the CI id of a MIG device."""
    return int(asked(pynvml.nvmlDeviceGetComputeInstanceId, mig))


def gpu_utilization(device: Handle) -> int:
    """Read the percentage of the last period in which a kernel ran."""
    return int(asked(pynvml.nvmlDeviceGetUtilizationRates, device).gpu)


def temperature(device: Handle) -> int:
    """Read the temperature of the GPU's die in degrees Celsius."""
    return int(asked(pynvml.nvmlDeviceGetTemperature, device, pynvml.NVML_TEMPERATURE_GPU))


def power(device: Handle) -> int:
    """Read the present power draw in milliwatts."""
    return int(asked(pynvml.nvmlDeviceGetPowerUsage, device))


def power_limit(device: Handle) -> int:
    """Read the power limit in effect, in milliwatts."""
    return int(asked(pynvml.nvmlDeviceGetEnforcedPowerLimit, device))


def compute_mode(device: Handle) -> int:
    """Read the compute mode: 0 default, 2 prohibited, 3 one process alone."""
    return int(asked(pynvml.nvmlDeviceGetComputeMode, device))


def persistence(device: Handle) -> bool:
    """Read whether the driver keeps the GPU initialised while nobody uses it."""
    return bool(asked(pynvml.nvmlDeviceGetPersistenceMode, device))


def process_name(pid: int) -> str:
    """Give the path or first argument of a process, without the others.

    Not by `pynvml`, which takes every name for UTF-8; a process may call itself anything.
    """
    buffer = ctypes.create_string_buffer(_NAME_SIZE)
    size = ctypes.c_uint(_NAME_SIZE)
    check(call("nvmlSystemGetProcessName", ctypes.c_uint(pid), buffer, size))
    return buffer.value.decode(errors="replace")


def asked(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function of pynvml; whatever it raises is a `NvmlFailure`.

    Raises:
        NvmlFailure: NVML refuses, lacks the function, or gives a text that is none.
    """
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise NvmlFailure(error.value, str(error)) from None
    except UnicodeDecodeError:
        raise NvmlFailure(UNKNOWN, "a text that is not UTF-8") from None
    except _MISMATCH:
        # What pynvml makes of FUNCTION_NOT_FOUND in some wrappers; not an NVMLError.
        raise NvmlFailure(FUNCTION_NOT_FOUND, words_of(FUNCTION_NOT_FOUND)) from None
