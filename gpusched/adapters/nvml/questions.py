"""What a survey asks NVML of a GPU: one table, value by value, in the words of nvidia-smi.

With `binding` the only file that imports `pynvml`. A question gives a text or a number in its base
unit, or lets pynvml's error through; `survey` turns that into a value.
Sources: nvml.h; `nvidia-smi --help-query-gpu`; captures of `nvidia-smi -q -x`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pynvml

from gpusched.adapters.nvml.binding import Handle

Question = Callable[[Handle], str | int]

_STATES: Final = ("Disabled", "Enabled")
_YES: Final = ("No", "Yes")
_COMPUTE_MODES: Final = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
_BRANDS: Final = {5: "GeForce", 14: "NVIDIA", 15: "NVIDIA RTX", 17: "GeForce RTX"}
_ARCHITECTURES: Final = (
    *("", "", "Kepler", "Maxwell", "Pascal", "Volta", "Turing", "Ampere", "Ada Lovelace"),
    *("Hopper", "Blackwell"),
)
_VIRTUALIZATION: Final = ("None", "Pass-Through", "VGPU", "Host VGPU", "Host VSGA")
_REASONS: Final = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
    "display_clocks_setting": 0x100,
}
_CLOCKS: Final = {"graphics": 0, "sm": 1, "memory": 2, "video": 3}
_DRAM, _SRAM = 1, 7
_CORRECTED, _UNCORRECTED = 0, 1
_SPANS: Final = {"volatile": 0, "aggregate": 1}


def _text(name: str, *more: int) -> Question:
    function = getattr(pynvml, name)

    def ask(device: Handle) -> str:
        found = function(device, *more)
        return found.decode(errors="replace") if isinstance(found, bytes) else str(found)

    return ask


def _number(name: str, *more: int) -> Question:
    function = getattr(pynvml, name)
    return lambda device: int(function(device, *more))


def _word(name: str, words: tuple[str, ...], *more: int) -> Question:
    """Ask for a number that is one of *words*; a number that is none stays a number."""
    function = getattr(pynvml, name)

    def ask(device: Handle) -> str:
        found = int(function(device, *more))
        return words[found] if 0 <= found < len(words) else str(found)

    return ask


def _part(name: str, part: str | int, *more: int) -> Question:
    """Ask for one number of a structure or of a tuple."""
    function = getattr(pynvml, name)

    def ask(device: Handle) -> int:
        found: Any = function(device, *more)
        return int(getattr(found, part) if isinstance(part, str) else found[part])

    return ask


def _mode(name: str, place: int, words: tuple[str, ...] = _STATES) -> Question:
    part = _part(name, place)
    return lambda device: words[int(part(device))]


def _memory(part: str) -> Question:
    """Ask memory version 2; where it fails, version 1, whose used includes the reserved."""

    def ask(device: Handle) -> int:
        try:
            found: Any = pynvml.nvmlDeviceGetMemoryInfo(device, pynvml.nvmlMemory_v2)
        except pynvml.NVMLError:
            if part == "reserved":
                raise
            found = pynvml.nvmlDeviceGetMemoryInfo(device)
        return int(getattr(found, part))

    return ask


def _reason(bit: int) -> Question:
    def ask(device: Handle) -> str:
        found = int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(device))
        return "Active" if found & bit else "Not Active"

    return ask


def _pci(part: str, width: int) -> Question:
    """Ask for a part of the PCI address, in hexadecimal digits without `0x`."""
    ask = _part("nvmlDeviceGetPciInfo", part)
    return lambda device: f"{ask(device):0{width}X}"


def _bus_id(device: Handle) -> str:
    return str(pynvml.nvmlDeviceGetPciInfo(device).busId)


def _capability(device: Handle) -> str:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(device)
    return f"{major}.{minor}"


def _brand(device: Handle) -> str:
    brand = int(pynvml.nvmlDeviceGetBrand(device))
    return _BRANDS.get(brand, f"brand {brand}")


def _board_id(device: Handle) -> str:
    return hex(pynvml.nvmlDeviceGetBoardId(device))


IDENTITY: Final[Mapping[str, Question]] = {
    "name": _text("nvmlDeviceGetName"),
    "uuid": _text("nvmlDeviceGetUUID"),
    "serial": _text("nvmlDeviceGetSerial"),
    "minor_number": _number("nvmlDeviceGetMinorNumber"),
    "product_brand": _brand,
    "product_architecture": _word("nvmlDeviceGetArchitecture", _ARCHITECTURES),
    "compute_cap": _capability,
    "vbios_version": _text("nvmlDeviceGetVbiosVersion"),
    "board_id": _board_id,
    "board_part_number": _text("nvmlDeviceGetBoardPartNumber"),
    "multigpu_board": _word("nvmlDeviceGetMultiGpuBoard", _YES),
    "platformInfo.module_id": _number("nvmlDeviceGetModuleId"),
    "inforom.img": _text("nvmlDeviceGetInforomImageVersion"),
    "inforom.oem": _text("nvmlDeviceGetInforomVersion", 0),
    "inforom.ecc": _text("nvmlDeviceGetInforomVersion", 1),
    "inforom.pwr": _text("nvmlDeviceGetInforomVersion", 2),
    "pci.bus_id": _bus_id,
    "pci.domain": _pci("domain", 4),
    "pci.bus": _pci("bus", 2),
    "pci.device": _pci("device", 2),
    "pci.device_id": _pci("pciDeviceId", 8),
    "pci.sub_device_id": _pci("pciSubSystemId", 8),
    "gsp_firmware_version": _text("nvmlDeviceGetGspFirmwareVersion"),
    "gpu_virtualization_mode.virtualization_mode": _word(
        "nvmlDeviceGetVirtualizationMode", _VIRTUALIZATION
    ),
}

SETUP: Final[Mapping[str, Question]] = {
    "persistence_mode": _word("nvmlDeviceGetPersistenceMode", _STATES),
    "display_active": _word("nvmlDeviceGetDisplayActive", _STATES),
    "display_mode": _word("nvmlDeviceGetDisplayMode", _STATES),
    "compute_mode": _word("nvmlDeviceGetComputeMode", _COMPUTE_MODES),
    "accounting.mode": _word("nvmlDeviceGetAccountingMode", _STATES),
    "accounting.buffer_size": _number("nvmlDeviceGetAccountingBufferSize"),
    "ecc.mode.current": _mode("nvmlDeviceGetEccMode", 0),
    "ecc.mode.pending": _mode("nvmlDeviceGetEccMode", 1),
    "mig.mode.current": _mode("nvmlDeviceGetMigMode", 0),
    "mig.mode.pending": _mode("nvmlDeviceGetMigMode", 1),
    "power.limit": _number("nvmlDeviceGetPowerManagementLimit"),
    "enforced.power.limit": _number("nvmlDeviceGetEnforcedPowerLimit"),
    "power.default_limit": _number("nvmlDeviceGetPowerManagementDefaultLimit"),
    "power.min_limit": _part("nvmlDeviceGetPowerManagementLimitConstraints", 0),
    "power.max_limit": _part("nvmlDeviceGetPowerManagementLimitConstraints", 1),
    "pcie.link.gen.max": _number("nvmlDeviceGetMaxPcieLinkGeneration"),
    "pcie.link.gen.gpumax": _number("nvmlDeviceGetGpuMaxPcieLinkGeneration"),
    "pcie.link.width.max": _number("nvmlDeviceGetMaxPcieLinkWidth"),
    "max_customer_boost_clocks.graphics_clock": _number("nvmlDeviceGetMaxCustomerBoostClock", 0),
    **{
        f"clocks.max.{name}": _number("nvmlDeviceGetMaxClockInfo", kind)
        for name, kind in _CLOCKS.items()
    },
    **{
        f"clocks.{ours}.{name}": _number(function, _CLOCKS[name])
        for ours, function in (
            ("applications", "nvmlDeviceGetApplicationsClock"),
            ("default_applications", "nvmlDeviceGetDefaultApplicationsClock"),
        )
        for name in ("graphics", "memory")
    },
    **{
        f"temperature.{name}": _number("nvmlDeviceGetTemperatureThreshold", kind)
        for name, kind in (
            ("gpu_temp_max_threshold", 0),
            ("gpu_temp_slow_threshold", 1),
            ("gpu_temp_max_mem_threshold", 2),
            ("gpu_temp_max_gpu_threshold", 3),
        )
    },
}

STATE: Final[Mapping[str, Question]] = {
    "fan.speed": _number("nvmlDeviceGetFanSpeed"),
    "pstate": lambda device: f"P{pynvml.nvmlDeviceGetPerformanceState(device)}",
    "temperature.gpu": _number("nvmlDeviceGetTemperature", 0),
    "power.draw": _number("nvmlDeviceGetPowerUsage"),
    "pcie.link.gen.current": _number("nvmlDeviceGetCurrPcieLinkGeneration"),
    "pcie.link.width.current": _number("nvmlDeviceGetCurrPcieLinkWidth"),
    "pci.replay_counter": _number("nvmlDeviceGetPcieReplayCounter"),
    "pci.tx_util": _number("nvmlDeviceGetPcieThroughput", 0),
    "pci.rx_util": _number("nvmlDeviceGetPcieThroughput", 1),
    "utilization.gpu": _part("nvmlDeviceGetUtilizationRates", "gpu"),
    "utilization.memory": _part("nvmlDeviceGetUtilizationRates", "memory"),
    "utilization.encoder": _part("nvmlDeviceGetEncoderUtilization", 0),
    "utilization.decoder": _part("nvmlDeviceGetDecoderUtilization", 0),
    "utilization.jpeg": _part("nvmlDeviceGetJpgUtilization", 0),
    "utilization.ofa": _part("nvmlDeviceGetOfaUtilization", 0),
    "encoder.stats.sessionCount": _part("nvmlDeviceGetEncoderStats", 0),
    "encoder.stats.averageFps": _part("nvmlDeviceGetEncoderStats", 1),
    "encoder.stats.averageLatency": _part("nvmlDeviceGetEncoderStats", 2),
    "fbc_stats.session_count": _part("nvmlDeviceGetFBCStats", "sessionsCount"),
    "fbc_stats.average_fps": _part("nvmlDeviceGetFBCStats", "averageFPS"),
    "fbc_stats.average_latency": _part("nvmlDeviceGetFBCStats", "averageLatency"),
    **{
        f"clocks.current.{name}": _number("nvmlDeviceGetClockInfo", kind)
        for name, kind in _CLOCKS.items()
    },
    **{f"clocks_event_reasons.{name}": _reason(bit) for name, bit in _REASONS.items()},
}

ERRORS: Final[Mapping[str, Question]] = {
    **{
        f"ecc.errors.{kind}.{span}.total": _number("nvmlDeviceGetTotalEccErrors", bit, counter)
        for kind, bit in (("corrected", _CORRECTED), ("uncorrected", _UNCORRECTED))
        for span, counter in _SPANS.items()
    },
    **{
        f"ecc.errors.{kind}.{span}.{place}": _number(
            "nvmlDeviceGetMemoryErrorCounter", bit, counter, location
        )
        for kind, bit in (("corrected", _CORRECTED), ("uncorrected", _UNCORRECTED))
        for span, counter in _SPANS.items()
        for place, location in (("dram", _DRAM), ("sram", _SRAM))
    },
    "remapped_rows.remapped_row_corr": _part("nvmlDeviceGetRemappedRows", 0),
    "remapped_rows.remapped_row_unc": _part("nvmlDeviceGetRemappedRows", 1),
    "remapped_rows.remapped_row_pending": _mode("nvmlDeviceGetRemappedRows", 2, _YES),
    "remapped_rows.remapped_row_failure": _mode("nvmlDeviceGetRemappedRows", 3, _YES),
    **{
        f"remapped_rows.row_remapper_histogram.row_remapper_histogram_{name}": _part(
            "nvmlDeviceGetRowRemapperHistogram", name
        )
        for name in ("max", "high", "partial", "low", "none")
    },
    "retired_pages.pending": _word("nvmlDeviceGetRetiredPagesPendingStatus", _YES),
}

MEMORY: Final[Mapping[str, Question]] = {
    **{f"memory.{name}": _memory(name) for name in ("total", "reserved", "used", "free")},
    "bar1_memory_usage.total": _part("nvmlDeviceGetBAR1MemoryInfo", "bar1Total"),
    "bar1_memory_usage.used": _part("nvmlDeviceGetBAR1MemoryInfo", "bar1Used"),
    "bar1_memory_usage.free": _part("nvmlDeviceGetBAR1MemoryInfo", "bar1Free"),
}
"""Also of a MIG device."""

OF_MIG: Final[Mapping[str, Question]] = {
    "name": _text("nvmlDeviceGetName"),
    "uuid": _text("nvmlDeviceGetUUID"),
    "gpu_instance_id": _number("nvmlDeviceGetGpuInstanceId"),
    "compute_instance_id": _number("nvmlDeviceGetComputeInstanceId"),
    **{
        f"device_attributes.shared.{ours}": _part("nvmlDeviceGetAttributes", theirs)
        for ours, theirs in (
            ("multiprocessor_count", "multiprocessorCount"),
            ("copy_engine_count", "sharedCopyEngineCount"),
            ("encoder_count", "sharedEncoderCount"),
            ("decoder_count", "sharedDecoderCount"),
            ("ofa_count", "sharedOfaCount"),
            ("jpg_count", "sharedJpegCount"),
        )
    },
    "ecc_error_count.volatile_count.sram_uncorrectable": _number(
        "nvmlDeviceGetMemoryErrorCounter", _UNCORRECTED, 0, _SRAM
    ),
    **MEMORY,
}

OF_GPU: Final[Mapping[str, Question]] = {**IDENTITY, **SETUP, **STATE, **ERRORS, **MEMORY}
