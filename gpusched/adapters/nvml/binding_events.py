"""NVML's event sets and the driver's advice as typed functions; like `binding`, no policy.

Events are asked for with a timeout of 0, once per pass: a wait of its own would be a second
thread in the library, and a lost GPU answers such a wait at once, again and again.
"""

import ctypes
from dataclasses import dataclass
from typing import Final, NewType

import pynvml

from gpusched.adapters.nvml import binding

EventSet = NewType("EventSet", object)
"""NVML's handle of an event set; valid until it is freed."""

ECC_SINGLE: Final = 0x1
ECC_DOUBLE: Final = 0x2
XID: Final = 0x8
UNAVAILABLE: Final = 0x4000
RECOVERY: Final = 0x8000
WANTED: Final = ECC_SINGLE | ECC_DOUBLE | XID | UNAVAILABLE | RECOVERY
"""Bits of `nvmlEventType…` (nvml.h): faults, and that the recovery action has changed."""

# Numbers of nvml.h: a pynvml that is older than the driver does not have their names.
_RESET_STATUS: Final = 226
_DRAIN_AND_RESET_STATUS: Final = 227
_RECOVERY_ACTION: Final = 230
_NOTHING: Final = 0
_RESET: Final = 1
_DRAIN_AND_RESET: Final = 4
_TIMEOUT: Final = 10
_NO_INSTANCE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a set.

    Attributes:
        kind: Bit of its type.
        data: Of an XID its number.
        gpu_instance: GI id; None where it is not one instance's.
        compute_instance: CI id; None where it is not one instance's.
    """

    kind: int
    data: int
    gpu_instance: int | None
    compute_instance: int | None


def event_set() -> EventSet:
    """Make a set.

    Raises:
        binding.NvmlFailure: FUNCTION_NOT_FOUND on an old library, or another.
    """
    found = pynvml.c_nvmlEventSet_t()
    binding.check(binding.call("nvmlEventSetCreate", ctypes.byref(found)))
    return EventSet(found)


def free(events: EventSet) -> None:
    """Give a set back; one that the library does not know any more is gone already."""
    binding.call("nvmlEventSetFree", events)


def register(device: binding.Handle, events: EventSet) -> None:
    """Have what a GPU reports from now on put into a set, as far as it supports it.

    Raises:
        binding.NvmlFailure: NOT_SUPPORTED where it reports none of it, or another.
    """
    supported = ctypes.c_ulonglong()
    code = binding.call("nvmlDeviceGetSupportedEventTypes", device, ctypes.byref(supported))
    binding.check(code)
    kinds = supported.value & WANTED
    if not kinds:
        binding.check(binding.NOT_SUPPORTED)
    binding.check(
        binding.call("nvmlDeviceRegisterEvents", device, ctypes.c_ulonglong(kinds), events)
    )


def next_event(events: EventSet) -> Event | None:
    """Give the next event that has happened; None where there is none.

    Raises:
        binding.NvmlFailure: GPU_IS_LOST, then at every call, or another.
    """
    data = pynvml.c_nvmlEventData_t()
    # The first version of the call leaves these alone.
    data.gpuInstanceId = data.computeInstanceId = _NO_INSTANCE
    try:
        code = binding.call("nvmlEventSetWait_v2", events, ctypes.byref(data), ctypes.c_uint(0))
    except binding.NvmlFailure:
        code = binding.call("nvmlEventSetWait", events, ctypes.byref(data), ctypes.c_uint(0))
    if code == _TIMEOUT:
        return None
    binding.check(code)
    return Event(
        int(data.eventType),
        int(data.eventData),
        _instance(data.gpuInstanceId),
        _instance(data.computeInstanceId),
    )


def recovery_action(device: binding.Handle) -> int:
    """Read what the driver says would help a GPU (`nvmlDeviceGpuRecoveryAction_t`).

    Drivers that have no such advice may still say that the GPU has to be reset (1), or drained
    and then reset (4).

    Raises:
        binding.NvmlFailure: NOT_SUPPORTED where the driver has neither, or another.
    """
    fields = (
        _RECOVERY_ACTION,
        _DRAIN_AND_RESET_STATUS,
        _RESET_STATUS,
    )
    values = (pynvml.c_nvmlFieldValue_t * len(fields))()
    for place, field in enumerate(fields):
        values[place].fieldId = field
    count = ctypes.c_int(len(fields))
    binding.check(binding.call("nvmlDeviceGetFieldValues", device, count, values))
    advice, drain, reset = values
    if advice.nvmlReturn == pynvml.NVML_SUCCESS:
        return int(advice.value.uiVal)
    for flag, action in (
        (drain, _DRAIN_AND_RESET),
        (reset, _RESET),
    ):
        if flag.nvmlReturn == pynvml.NVML_SUCCESS and flag.value.uiVal:
            return action
    if pynvml.NVML_SUCCESS not in (drain.nvmlReturn, reset.nvmlReturn):
        binding.check(advice.nvmlReturn)
    return _NOTHING


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else int(number)
