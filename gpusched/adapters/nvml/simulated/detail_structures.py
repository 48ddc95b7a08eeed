"""What the simulated library answers from a card's details in structures and arrays."""

from collections.abc import Iterable, Mapping
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
from gpusched.adapters.nvml.simulated.detail_functions import details, number_of, numbers_of
from gpusched.adapters.nvml.simulated.details import graphics_clocks
from gpusched.adapters.nvml.simulated.field_values import field_values

_INFOROM = ("inforom_oem", "inforom_ecc", "inforom_power")
_ERRORS, _LIFETIMES = ("corrected", "uncorrected"), ("volatile", "aggregate")
_DRAM, _SRAM = "dram", "sram"
_PLACES = {2: _DRAM, 7: _SRAM}
_SOURCES = ("L2", "Sm", "Mcu", "Pcie", "Other")
_THREE_D_CONTROLLER = (3, 2)  # PCI base class and subclass
_FABRIC_VERSIONS = {2, 3}
_RETIRED = ("retired_single_bit", "retired_double_bit")


def _inforom(call: Call, which: Any, buffer: Any, length: Any) -> int:
    key = _INFOROM[number(which)] if number(which) < len(_INFOROM) else ""
    found = details(call).get(key)
    return Code.NOT_SUPPORTED if found is None else put_text(buffer, length, str(found))


def _gsp_firmware(call: Call, buffer: Any) -> int:
    """Store the driver's version: the firmware comes with it."""
    target(buffer).value = call.view.scenario.driver.encode()
    return Code.SUCCESS


def _pci_info_ext(call: Call, info: Any) -> int:
    gpu, found = call.subject.gpu, target(info)
    found.domain = int(gpu.bus_id[:8], 16)
    found.bus = int(gpu.bus_id[9:11], 16)
    found.device = int(gpu.bus_id[12:14], 16)
    found.pciDeviceId = gpu.profile.pci_device_id
    found.pciSubSystemId = gpu.profile.pci_subsystem_id
    found.baseClass, found.subClass = _THREE_D_CONTROLLER
    found.busId = gpu.bus_id.encode()
    return Code.SUCCESS


def _ecc_mode(call: Call, current: Any, pending: Any) -> int:
    now = number_of(call, "ecc")
    if now is None:
        return Code.NOT_SUPPORTED
    put(current, now)
    return put(pending, number_of(call, "ecc_pending") or 0)


def _count(call: Call, place: str, error: str, lifetime: str) -> int:
    return number_of(call, f"{place}_{error}_{lifetime}") or 0


def _total_ecc(call: Call, kind: Any, counter: Any, place: Any) -> int:
    if not number_of(call, "ecc"):
        return Code.NOT_SUPPORTED
    error, lifetime = _ERRORS[number(kind)], _LIFETIMES[number(counter)]
    return put(place, sum(_count(call, one, error, lifetime) for one in _PLACES.values()))


def _ecc_counter(call: Call, kind: Any, counter: Any, location: Any, place: Any) -> int:
    where = _PLACES.get(number(location))
    if where is None or not number_of(call, "ecc"):
        return Code.NOT_SUPPORTED
    return put(place, _count(call, where, _ERRORS[number(kind)], _LIFETIMES[number(counter)]))


def _sram_status(call: Call, status: Any) -> int:
    sources = numbers_of(call, "sram_sources")
    if sources is None or not number_of(call, "ecc"):
        return Code.NOT_SUPPORTED
    found = target(status)
    for lifetime in _LIFETIMES:
        parity = number_of(call, f"sram_parity_{lifetime}") or 0
        total = _count(call, _SRAM, "uncorrected", lifetime)
        setattr(found, f"{lifetime}UncParity", parity)
        setattr(found, f"{lifetime}UncSecDed", max(0, total - parity))
        setattr(found, f"{lifetime}Cor", _count(call, _SRAM, "corrected", lifetime))
    for name, value in zip(_SOURCES, sources, strict=True):
        setattr(found, f"aggregateUncBucket{name}", value)
    found.bThresholdExceeded = number_of(call, "sram_threshold_exceeded") or 0
    return Code.SUCCESS


def _protected_memory(_call: Call, info: Any) -> int:
    found = target(info)
    found.total = found.used = found.free = 0
    return Code.SUCCESS


def _put_all(count: Any, places: Any, values: Iterable[int]) -> int:
    """Store an array as NVML does: the count alone where there is no room for all."""
    found = list(values)
    room, target(count).value = number(target(count)), len(found)
    if places is None or room < len(found):
        return Code.INSUFFICIENT_SIZE if found else Code.SUCCESS
    for at, value in enumerate(found):
        places[at] = value
    return Code.SUCCESS


def _retired_pages(call: Call, cause: Any, count: Any, addresses: Any) -> int:
    found = numbers_of(call, _RETIRED[number(cause)])
    return Code.NOT_SUPPORTED if found is None else _put_all(count, addresses, found)


def _clock_rows(call: Call) -> tuple[tuple[int, ...], ...]:
    return cast("tuple[tuple[int, ...], ...]", details(call).get("supported_clocks", ()))


def _memory_clocks(call: Call, count: Any, clocks: Any) -> int:
    rows = _clock_rows(call)
    return _put_all(count, clocks, (row[0] for row in rows)) if rows else Code.NOT_SUPPORTED


def _graphics_clocks(call: Call, memory: Any, count: Any, clocks: Any) -> int:
    for row in _clock_rows(call):
        if row[0] == number(memory):
            return _put_all(count, clocks, graphics_clocks(row))
    return Code.NOT_FOUND


def _fabric(call: Call, info: Any) -> int:
    state = number_of(call, "fabric_state")
    if state is None:
        return Code.NOT_SUPPORTED
    found = target(info)
    version = found.version >> 24
    if version not in _FABRIC_VERSIONS:
        return Code.ARGUMENT_VERSION_MISMATCH
    cluster = bytes.fromhex(str(details(call).get("fabric_cluster", "0" * 32)).replace("-", ""))
    for at, byte in enumerate(cluster):
        found.clusterUuid[at] = byte
    found.state, found.status = state, Code.SUCCESS
    found.cliqueId = number_of(call, "fabric_clique") or 0
    found.healthMask = number_of(call, "fabric_health") or 0
    return Code.SUCCESS


OF_GPUS: Mapping[str, DeviceFunction] = {
    "nvmlDeviceGetInforomVersion": _inforom,
    "nvmlDeviceGetGspFirmwareVersion": _gsp_firmware,
    "nvmlDeviceGetPciInfoExt": _pci_info_ext,
    "nvmlDeviceGetEccMode": _ecc_mode,
    "nvmlDeviceGetTotalEccErrors": _total_ecc,
    "nvmlDeviceGetSramEccErrorStatus": _sram_status,
    "nvmlDeviceGetConfComputeProtectedMemoryUsage": _protected_memory,
    "nvmlDeviceGetRetiredPages": _retired_pages,
    "nvmlDeviceGetSupportedMemoryClocks": _memory_clocks,
    "nvmlDeviceGetSupportedGraphicsClocks": _graphics_clocks,
    "nvmlDeviceGetGpuFabricInfoV": _fabric,
    "nvmlDeviceGetFieldValues": field_values,
}
"""Functions that a MIG device's handle is refused."""

OF_ANY: Mapping[str, DeviceFunction] = {"nvmlDeviceGetMemoryErrorCounter": _ecc_counter}
"""Functions for GPUs and MIG devices."""
