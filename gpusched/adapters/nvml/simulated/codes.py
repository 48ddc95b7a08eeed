"""NVML's return codes and sentinels: the part of the C header that the simulator answers with.

Written down here and not taken from the binding, because the simulator stands in for the C
library below it, and because a simulated worker must start without loading the binding. A test
compares them with the binding's. Source: nvml.h.
"""

from enum import IntEnum


class Code(IntEnum):
    """`nvmlReturn_t`, as far as the simulator answers with it."""

    SUCCESS = 0
    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    INSUFFICIENT_SIZE = 7
    DRIVER_NOT_LOADED = 9
    TIMEOUT = 10
    FUNCTION_NOT_FOUND = 13
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    DEPRECATED = 26
    UNKNOWN = 999


TEXTS = {
    Code.SUCCESS: "Success",
    Code.UNINITIALIZED: "Uninitialized",
    Code.INVALID_ARGUMENT: "Invalid Argument",
    Code.NOT_SUPPORTED: "Not Supported",
    Code.NO_PERMISSION: "Insufficient Permissions",
    Code.NOT_FOUND: "Not Found",
    Code.INSUFFICIENT_SIZE: "Insufficient Size",
    Code.DRIVER_NOT_LOADED: "Driver Not Loaded",
    Code.TIMEOUT: "Timeout",
    Code.FUNCTION_NOT_FOUND: "Function Not Found",
    Code.GPU_IS_LOST: "GPU is lost",
    Code.RESET_REQUIRED: "GPU requires reset",
    Code.LIB_RM_VERSION_MISMATCH: "Driver/library version mismatch",
    Code.ARGUMENT_VERSION_MISMATCH: "Argument version mismatch",
    Code.DEPRECATED: "Requested functionality has been deprecated",
    Code.UNKNOWN: "Unknown Error",
}

EVENTS = {
    "ecc_single": 0x1,
    "ecc_double": 0x2,
    "xid": 0x8,
    "unavailable": 0x4000,
    "recovery": 0x8000,
}
"""Bits of `nvmlEventType…` by their names in scenarios."""

NO_INSTANCE = 0xFFFFFFFF
"""GI or CI id of a process that is in no MIG instance."""

MEMORY_NOT_AVAILABLE = 0xFFFFFFFFFFFFFFFF
"""`NVML_VALUE_NOT_AVAILABLE` as the memory of a process."""

MEMORY_V2 = 0x02000028
"""Version word of `nvmlMemory_v2_t`: the size of the structure, and 2 in the highest byte."""
