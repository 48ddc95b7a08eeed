"""What the simulated library says of a device beside memory and processes."""

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

from gpusched.adapters.nvml.simulated.calls import (
    Call,
    DeviceFunction,
    number,
    put,
    put_handle,
    put_text,
    target,
)
from gpusched.adapters.nvml.simulated.codes import EVENTS, Code
from gpusched.adapters.nvml.simulated.detail_functions import number_of
from gpusched.adapters.nvml.simulated.view import Subject

_BRANDS = {"nvidia": 14, "geforce": 5}
_ARCHITECTURES = {"turing": 6, "ampere": 7, "ada": 8, "hopper": 9, "blackwell": 10}
_MIG_DEVICES = 7


def _name(subject: Subject) -> str:
    name = str(subject.gpu.state.details["product_name"])
    return name if subject.mig is None else f"{name} MIG {subject.mig.name}"


_TEXTS: Mapping[str, Callable[[Subject], str]] = {
    "nvmlDeviceGetSerial": lambda one: one.gpu.serial,
    "nvmlDeviceGetVbiosVersion": lambda one: one.gpu.profile.vbios,
}
_TEXTS_OF_ANY: Mapping[str, Callable[[Subject], str]] = {
    "nvmlDeviceGetName": _name,
    "nvmlDeviceGetUUID": lambda one: one.uuid,
}
_NUMBERS: Mapping[str, Callable[[Subject], int | None]] = {
    "nvmlDeviceGetMinorNumber": lambda one: one.gpu.minor,
    "nvmlDeviceGetBrand": lambda one: _BRANDS[one.gpu.profile.brand],
    "nvmlDeviceGetArchitecture": lambda one: _ARCHITECTURES[one.gpu.profile.architecture],
    "nvmlDeviceGetBoardId": lambda one: int(one.gpu.bus_id[9:11] + one.gpu.bus_id[12:14], 16),
    "nvmlDeviceGetPowerUsage": lambda one: one.gpu.state.power,
    "nvmlDeviceGetEnforcedPowerLimit": lambda one: one.gpu.state.power_limit,
    "nvmlDeviceGetPowerManagementLimit": lambda one: one.gpu.state.power_limit,
    "nvmlDeviceGetPowerManagementDefaultLimit": lambda one: one.gpu.profile.power.default,
    "nvmlDeviceGetComputeMode": lambda one: one.gpu.state.compute_mode,
    "nvmlDeviceGetPowerManagementMode": lambda _: 1,
    "nvmlDeviceGetPersistenceMode": lambda one: int(one.gpu.state.persistence),
    "nvmlDeviceGetSupportedEventTypes": lambda _: sum(EVENTS.values()),
    "nvmlDeviceGetMaxMigDeviceCount": lambda one: _MIG_DEVICES if one.gpu.profile.mig else 0,
}
_NUMBERS_OF_ANY: Mapping[str, Callable[[Subject], int | None]] = {
    "nvmlDeviceGetIndex": lambda one: one.index if one.mig is None else one.mig_index,
    "nvmlDeviceIsMigDeviceHandle": lambda one: int(one.mig is not None),
    "nvmlDeviceGetGpuInstanceId": lambda one: None if one.mig is None else one.mig.gpu_instance,
    "nvmlDeviceGetComputeInstanceId": lambda one: (
        None if one.mig is None else one.mig.compute_instance
    ),
}


def _text_function(value: Callable[[Subject], str]) -> DeviceFunction:
    def answer(call: Call, buffer: Any, length: Any) -> int:
        return put_text(buffer, length, value(call.subject))

    return answer


def _number_function(value: Callable[[Subject], int | None]) -> DeviceFunction:
    def answer(call: Call, place: Any) -> int:
        found = value(call.subject)
        return Code.NOT_SUPPORTED if found is None else put(place, found)

    return answer


def _pci_info(call: Call, info: Any) -> int:
    gpu = call.subject.gpu
    found = target(info)
    found.domain = int(gpu.bus_id[:8], 16)
    found.bus = int(gpu.bus_id[9:11], 16)
    found.device = int(gpu.bus_id[12:14], 16)
    found.pciDeviceId = gpu.profile.pci_device_id
    found.pciSubSystemId = gpu.profile.pci_subsystem_id
    found.busId = gpu.bus_id.encode()
    found.busIdLegacy = gpu.bus_id[4:].encode()
    return Code.SUCCESS


def _temperature(call: Call, sensor: Any, place: Any) -> int:
    if number(sensor) != 0:
        return Code.INVALID_ARGUMENT
    return put(place, call.subject.gpu.state.temperature)


def _utilization(call: Call, rates: Any) -> int:
    if call.subject.gpu.mig_enabled:
        return Code.NOT_SUPPORTED
    found = target(rates)
    found.gpu = call.subject.gpu.state.utilization
    found.memory = call.subject.gpu.state.memory_utilization
    return Code.SUCCESS


def _power_limits(call: Call, least: Any, greatest: Any) -> int:
    power = call.subject.gpu.profile.power
    put(least, power.least)
    return put(greatest, power.greatest)


def _clock(call: Call, clock_type: Any, place: Any) -> int:
    found = call.subject.gpu.profile.clocks.by_type(number(clock_type))
    return Code.INVALID_ARGUMENT if found is None else put(place, found)


def _max_clock(call: Call, clock_type: Any, place: Any) -> int:
    found = call.subject.gpu.profile.max_clocks.by_type(number(clock_type))
    return Code.INVALID_ARGUMENT if found is None else put(place, found)


def _capability(call: Call, major: Any, minor: Any) -> int:
    put(major, call.subject.gpu.profile.capability[0])
    return put(minor, call.subject.gpu.profile.capability[1])


def _mig_mode(call: Call, current: Any, pending: Any) -> int:
    if not call.subject.gpu.profile.mig:
        return Code.NOT_SUPPORTED
    enabled = int(call.subject.gpu.mig_enabled)
    put(current, enabled)
    pending_mode = number_of(call, "mig_pending")
    return put(pending, enabled if pending_mode is None else pending_mode)


def _mig_handle(call: Call, index: Any, place: Any) -> int:
    devices = call.subject.gpu.mig
    if not call.subject.gpu.mig_enabled:
        return Code.NOT_SUPPORTED
    if number(index) >= _MIG_DEVICES:
        return Code.INVALID_ARGUMENT
    if number(index) >= len(devices):
        return Code.NOT_FOUND
    return put_handle(place, call.handles.of(devices[number(index)].uuid))


def _mig_parent(call: Call, place: Any) -> int:
    if call.subject.mig is None:
        return Code.INVALID_ARGUMENT
    return put_handle(place, call.handles.of(call.subject.gpu.uuid))


def _mig_attributes(call: Call, attributes: Any) -> int:
    mig = call.subject.mig
    if mig is None:
        return Code.NOT_SUPPORTED
    found = target(attributes)
    ctypes.memset(ctypes.addressof(found), 0, ctypes.sizeof(found))
    share = mig.compute_slices / mig.profile.compute_slices
    found.multiprocessorCount = int(mig.profile.multiprocessors * share)
    found.sharedCopyEngineCount = mig.profile.compute_slices
    found.sharedDecoderCount = mig.profile.decoders
    found.sharedJpegCount = mig.profile.jpeg_engines
    found.sharedOfaCount = mig.profile.flow_engines
    found.gpuInstanceSliceCount = mig.profile.compute_slices
    found.computeInstanceSliceCount = mig.compute_slices
    found.memorySizeMB = mig.profile.memory >> 20
    return Code.SUCCESS


OF_GPUS: Mapping[str, DeviceFunction] = {
    **{name: _text_function(value) for name, value in _TEXTS.items()},
    **{name: _number_function(value) for name, value in _NUMBERS.items()},
    "nvmlDeviceGetPciInfo_v3": _pci_info,
    "nvmlDeviceGetTemperature": _temperature,
    "nvmlDeviceGetUtilizationRates": _utilization,
    "nvmlDeviceGetPowerManagementLimitConstraints": _power_limits,
    "nvmlDeviceGetClockInfo": _clock,
    "nvmlDeviceGetMaxClockInfo": _max_clock,
    "nvmlDeviceGetCudaComputeCapability": _capability,
    "nvmlDeviceGetMigMode": _mig_mode,
    "nvmlDeviceGetMigDeviceHandleByIndex": _mig_handle,
}
"""Functions that a MIG device's handle is refused."""

OF_ANY: Mapping[str, DeviceFunction] = {
    **{name: _text_function(value) for name, value in _TEXTS_OF_ANY.items()},
    **{name: _number_function(value) for name, value in _NUMBERS_OF_ANY.items()},
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": _mig_parent,
    "nvmlDeviceGetAttributes_v2": _mig_attributes,
}
"""Functions for GPUs and MIG devices."""
