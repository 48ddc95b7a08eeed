"""What the simulated library answers from a card's details, through the C functions' pointers."""

from collections.abc import Mapping
from typing import Any, cast

from gpusched.adapters.nvml.simulated.calls import (
    Call,
    DeviceFunction,
    number,
    put,
    put_text,
    target,
)
from gpusched.adapters.nvml.simulated.codes import Code
from gpusched.adapters.nvml.simulated.details import Details

_TEXTS = {
    "nvmlDeviceGetBoardPartNumber": "board_part_number",
    "nvmlDeviceGetInforomImageVersion": "inforom_image",
}
_NUMBERS = {
    "nvmlDeviceGetMultiGpuBoard": "multigpu_board",
    "nvmlDeviceGetModuleId": "module_id",
    "nvmlDeviceGetDisplayMode": "display_attached",
    "nvmlDeviceGetDisplayActive": "display_active",
    "nvmlDeviceGetAccountingMode": "accounting",
    "nvmlDeviceGetAccountingBufferSize": "accounting_buffer",
    "nvmlDeviceGetVirtualizationMode": "virtualization_mode",
    "nvmlDeviceGetFanSpeed": "fan_speed",
    "nvmlDeviceGetPerformanceState": "performance_state",
    "nvmlDeviceGetPowerState": "performance_state",
    "nvmlDeviceGetCurrPcieLinkGeneration": "pcie_generation",
    "nvmlDeviceGetMaxPcieLinkGeneration": "pcie_generation_max",
    "nvmlDeviceGetGpuMaxPcieLinkGeneration": "pcie_generation_max",
    "nvmlDeviceGetCurrPcieLinkWidth": "pcie_width",
    "nvmlDeviceGetMaxPcieLinkWidth": "pcie_width_max",
    "nvmlDeviceGetPcieReplayCounter": "replay_counter",
    "nvmlDeviceGetCurrentClocksEventReasons": "event_reasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons": "event_reasons",
    "nvmlDeviceGetRetiredPagesPendingStatus": "retired_pending",
}
_SEVERAL = {
    "nvmlDeviceGetLastBBXFlushTime": "inforom_flush",
    "nvmlDeviceGetEncoderStats": "encoder_stats",
    "nvmlDeviceGetRemappedRows": "remapped_rows",
}
# Of a number behind the handle: the detail for each.
_CHOSEN = {
    "nvmlDeviceGetTemperatureThreshold": (
        "shutdown_temperature",
        "slowdown_temperature",
        "max_memory_temperature",
        "max_gpu_temperature",
    ),
    "nvmlDeviceGetPcieThroughput": ("pcie_tx", "pcie_rx"),
    "nvmlDeviceGetMaxCustomerBoostClock": ("boost_clock",),
}
_CLOCKS = {
    "nvmlDeviceGetApplicationsClock": "application_clocks",
    "nvmlDeviceGetDefaultApplicationsClock": "default_application_clocks",
}
_SAMPLED = {
    "nvmlDeviceGetEncoderUtilization": "encoder_utilization",
    "nvmlDeviceGetDecoderUtilization": "decoder_utilization",
    "nvmlDeviceGetJpgUtilization": "jpeg_utilization",
    "nvmlDeviceGetOfaUtilization": "ofa_utilization",
}
_SAMPLING_MICROSECONDS = 167000
# By place in the structure, behind its version word where it has one.
_STRUCTURES = {
    "nvmlDeviceGetMarginTemperature": ("marginTemperature", "temperature_margin"),
    "nvmlDeviceGetAddressingMode": ("value", "addressing_mode"),
    "nvmlDeviceGetPdi": ("value", "pdi"),
    "nvmlDeviceGetC2cModeInfoV": ("isC2cEnabled", "c2c"),
    "nvmlDeviceGetCapabilities": ("capMask", "egm"),
    "nvmlDeviceGetUnrepairableMemoryFlag_v1": ("unrepairableMemory", "unrepairable_memory"),
}
_LISTS = {
    "nvmlDeviceGetFBCStats": (
        "fbc_stats",
        ("sessionsCount", "averageFPS", "averageLatency"),
    ),
    "nvmlDeviceGetRowRemapperHistogram": (
        "remapped_histogram",
        ("max", "high", "partial", "low", "none"),
    ),
    "nvmlDeviceGetRepairStatus": (
        "repair_pending",
        ("bChannelRepairPending", "bTpcRepairPending"),
    ),
}
_NOT_THERE = (
    "nvmlDeviceGetDriverModel_v2",
    "nvmlDeviceGetGpuOperationMode",
    "nvmlDeviceGetDramEncryptionMode",
    "nvmlDeviceGetHostVgpuMode",
    "nvmlDeviceGetVgpuHeterogeneousMode",
    "nvmlDeviceGetAutoBoostedClocksEnabled",
    "nvmlDeviceGetPlatformInfo",
    "nvmlDeviceGetAccountingPids",
    "nvmlDeviceGetAccountingStats",
)
# Since which driver branch a function answers DEPRECATED: captures of 580 and 595 tell.
_DEPRECATED = {
    "nvmlDeviceGetPowerState": 590,
    "nvmlDeviceGetApplicationsClock": 590,
    "nvmlDeviceGetDefaultApplicationsClock": 590,
}
_GRAPHICS, _MEMORY = 0, 2


def details(call: Call) -> Details:
    """Give the details of the card that is asked about."""
    return call.subject.gpu.state.details


def numbers_of(call: Call, key: str) -> tuple[int, ...] | None:
    """Give a detail that is a list of numbers; None where there is none."""
    found = details(call).get(key)
    return cast("tuple[int, ...]", found) if isinstance(found, tuple) else None


def branch_of(call: Call) -> int:
    """Give the driver's branch: 580 of 580.105.08."""
    return int(call.view.scenario.driver.split(".")[0])


def number_of(call: Call, key: str) -> int | None:
    """Give a detail that is a number; None where there is none."""
    found = details(call).get(key)
    return found if isinstance(found, int) else None


def _put(place: Any, value: int | None) -> int:
    return Code.NOT_SUPPORTED if value is None else put(place, value)


def _text(key: str) -> DeviceFunction:
    def answer(call: Call, buffer: Any, length: Any) -> int:
        found = details(call).get(key)
        return Code.NOT_SUPPORTED if found is None else put_text(buffer, length, str(found))

    return answer


def _number(key: str) -> DeviceFunction:
    return lambda call, place: _put(place, number_of(call, key))


def _several(key: str) -> DeviceFunction:
    def answer(call: Call, *places: Any) -> int:
        found = numbers_of(call, key)
        if found is None:
            return Code.NOT_SUPPORTED
        for place, value in zip(places, found, strict=True):
            put(place, value)
        return Code.SUCCESS

    return answer


def _chosen(keys: tuple[str, ...]) -> DeviceFunction:
    def answer(call: Call, which: Any, place: Any) -> int:
        if number(which) >= len(keys):
            return Code.NOT_SUPPORTED
        return _put(place, number_of(call, keys[number(which)]))

    return answer


def _clock(key: str) -> DeviceFunction:
    def answer(call: Call, clock_type: Any, place: Any) -> int:
        found = numbers_of(call, key)
        if found is None:
            return Code.NOT_SUPPORTED
        by_type = dict(zip((_GRAPHICS, _MEMORY), found, strict=True))
        return _put(place, by_type.get(number(clock_type)))

    return answer


def _sampled(key: str) -> DeviceFunction:
    def answer(call: Call, place: Any, period: Any) -> int:
        put(period, _SAMPLING_MICROSECONDS)
        return _put(place, None if call.subject.gpu.mig_enabled else number_of(call, key))

    return answer


def _structure(member: str, key: str) -> DeviceFunction:
    def answer(call: Call, place: Any) -> int:
        found = number_of(call, key)
        if found is None:
            return Code.NOT_SUPPORTED
        setattr(target(place), member, found)
        return Code.SUCCESS

    return answer


def _list(key: str, members: tuple[str, ...]) -> DeviceFunction:
    def answer(call: Call, place: Any) -> int:
        found = numbers_of(call, key)
        if found is None:
            return Code.NOT_SUPPORTED
        for member, value in zip(members, found, strict=True):
            setattr(target(place), member, value)
        return Code.SUCCESS

    return answer


def _not_supported(_call: Call, *_arguments: Any) -> int:
    return Code.NOT_SUPPORTED


def _until(branch: int, answer: DeviceFunction) -> DeviceFunction:
    def answer_or_not(call: Call, *arguments: Any) -> int:
        return Code.DEPRECATED if branch_of(call) >= branch else answer(call, *arguments)

    return answer_or_not


_ALL: Mapping[str, DeviceFunction] = {
    **{name: _text(key) for name, key in _TEXTS.items()},
    **{name: _number(key) for name, key in _NUMBERS.items()},
    **{name: _several(key) for name, key in _SEVERAL.items()},
    **{name: _chosen(keys) for name, keys in _CHOSEN.items()},
    **{name: _clock(key) for name, key in _CLOCKS.items()},
    **{name: _sampled(key) for name, key in _SAMPLED.items()},
    **{name: _structure(member, key) for name, (member, key) in _STRUCTURES.items()},
    **{name: _list(key, members) for name, (key, members) in _LISTS.items()},
    **dict.fromkeys(_NOT_THERE, _not_supported),
}

OF_GPUS: Mapping[str, DeviceFunction] = {
    **_ALL,
    **{name: _until(branch, _ALL[name]) for name, branch in _DEPRECATED.items()},
}
"""Functions that a MIG device's handle is refused."""
