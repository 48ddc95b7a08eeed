"""Which call of NVML gives which values of a survey, as far as one call gives plain ones.

One table: field → how it is asked → in what unit. Values that lie in structures are in
`survey_structures`, NVML's numbered fields in `survey_field_ids`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from gpusched.adapters.nvml import survey_words as words
from gpusched.adapters.nvml.asked import Asked, alike, first, one, several, structure

_CLOCKS: Final = {"graphics": 0, "sm": 1, "memory": 2, "video": 3}
_LOCATIONS: Final = {
    ("dram", "device_memory"): 2,
    ("register_file",): 3,
    ("l1_cache",): 0,
    ("l2_cache",): 1,
    ("texture_memory",): 4,
    ("cbu",): 6,
    ("sram",): 7,
}
_ERRORS: Final = {"corrected": 0, "uncorrected": 1}
_COUNTERS: Final = {"volatile": 0, "aggregate": 1}


def _decoded(text: str | bytes) -> str:
    """Give a text that pynvml may leave as bytes."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


_IDENTITY: Final = (
    one("index", "nvmlDeviceGetIndex"),
    one("name", "nvmlDeviceGetName", make=str),
    one("product_brand", "nvmlDeviceGetBrand", make=words.BRAND),
    one("product_architecture", "nvmlDeviceGetArchitecture", make=words.ARCHITECTURE),
    one("serial", "nvmlDeviceGetSerial", make=str),
    one("uuid", "nvmlDeviceGetUUID", make=str),
    one("pdi", "nvmlDeviceGetPdi", make=lambda number: f"0x{number:016x}"),
    one("minor_number", "nvmlDeviceGetMinorNumber"),
    one("vbios_version", "nvmlDeviceGetVbiosVersion", make=str),
    one("multigpu_board", "nvmlDeviceGetMultiGpuBoard", make=words.YES),
    one("board_id", "nvmlDeviceGetBoardId", make=hex),
    one("board_part_number", "nvmlDeviceGetBoardPartNumber", make=str),
    one("platform.module_id", "nvmlDeviceGetModuleId"),
    one("inforom.img", "nvmlDeviceGetInforomImageVersion", make=str),
    one("inforom.oem", "nvmlDeviceGetInforomVersion", 0, make=str),
    one("inforom.ecc", "nvmlDeviceGetInforomVersion", 1, make=str),
    one("inforom.pwr", "nvmlDeviceGetInforomVersion", 2, make=str),
    one("gsp_firmware_version", "nvmlDeviceGetGspFirmwareVersion", make=_decoded),
)
_MODES: Final = (
    # Whether a display is connected; nvidia-smi called that "Display Mode" until driver 580.
    structure(
        ("display_attached", "display_mode"),
        "nvmlDeviceGetDisplayMode",
        lambda shown: (words.YES(shown), words.ENABLED(shown)),
    ),
    one("display_active", "nvmlDeviceGetDisplayActive", make=words.ENABLED),
    one("persistence_mode", "nvmlDeviceGetPersistenceMode", make=words.ENABLED),
    one("addressing_mode", "nvmlDeviceGetAddressingMode", make=words.ADDRESSING),
    one("accounting.mode", "nvmlDeviceGetAccountingMode", make=words.ENABLED),
    one("accounting.buffer_size", "nvmlDeviceGetAccountingBufferSize"),
    one("compute_mode", "nvmlDeviceGetComputeMode", make=words.COMPUTE_MODE),
    several(("mig.mode.current", "mig.mode.pending"), "nvmlDeviceGetMigMode", make=words.ENABLED),
    several(("ecc.mode.current", "ecc.mode.pending"), "nvmlDeviceGetEccMode", make=words.ENABLED),
    several(
        ("driver_model.current", "driver_model.pending"),
        "nvmlDeviceGetDriverModel",
        make=words.DRIVER_MODEL,
    ),
    several(
        ("gom.current", "gom.pending"),
        "nvmlDeviceGetGpuOperationMode",
        make=words.OPERATION_MODE,
    ),
    several(
        ("dramEncryption.mode.current", "dramEncryption.mode.pending"),
        "nvmlDeviceGetDramEncryptionMode",
        make=words.ENABLED,
    ),
    one(
        "gpu_virtualization_mode.virtualization_mode",
        "nvmlDeviceGetVirtualizationMode",
        make=words.VIRTUALIZATION,
    ),
    one(
        "gpu_virtualization_mode.host_vgpu_mode",
        "nvmlDeviceGetHostVgpuMode",
        make=words.HOST_VGPU,
    ),
    one(
        "gpu_virtualization_mode.vgpu_heterogeneous_mode",
        "nvmlDeviceGetVgpuHeterogeneousMode",
        make=words.ENABLED,
    ),
    several(
        ("clock_policy.auto_boost", "clock_policy.auto_boost_default"),
        "nvmlDeviceGetAutoBoostedClocksEnabled",
        make=words.ON,
    ),
)
_STATE: Final = (
    one("pstate", "nvmlDeviceGetPerformanceState", make=words.performance_state),
    one(
        "gpu_power_readings.power_state",
        "nvmlDeviceGetPowerState",
        make=words.performance_state,
    ),
    one("fan.speed", "nvmlDeviceGetFanSpeed"),  # percent
    one("temperature.gpu", "nvmlDeviceGetTemperature", 0),  # degrees Celsius, as all of them
    one("temperature.gpu.tlimit", "nvmlDeviceGetMarginTemperature"),
    one("temperature.gpu_temp_max_threshold", "nvmlDeviceGetTemperatureThreshold", 0),
    one("temperature.gpu_temp_slow_threshold", "nvmlDeviceGetTemperatureThreshold", 1),
    one("temperature.gpu_temp_max_mem_threshold", "nvmlDeviceGetTemperatureThreshold", 2),
    one("temperature.gpu_temp_max_gpu_threshold", "nvmlDeviceGetTemperatureThreshold", 3),
    one("supported_gpu_target_temp.gpu_target_temp_min", "nvmlDeviceGetTemperatureThreshold", 4),
    one("temperature.gpu_target_temperature", "nvmlDeviceGetTemperatureThreshold", 5),
    one("supported_gpu_target_temp.gpu_target_temp_max", "nvmlDeviceGetTemperatureThreshold", 6),
    one("power.management", "nvmlDeviceGetPowerManagementMode", make=words.ENABLED),
    one("power.draw", "nvmlDeviceGetPowerUsage"),  # milliwatts, as all of them
    one("power.limit", "nvmlDeviceGetPowerManagementLimit"),
    one("enforced.power.limit", "nvmlDeviceGetEnforcedPowerLimit"),
    one("power.default_limit", "nvmlDeviceGetPowerManagementDefaultLimit"),
    several(
        ("power.min_limit", "power.max_limit"), "nvmlDeviceGetPowerManagementLimitConstraints"
    ),
    first("utilization.encoder", "nvmlDeviceGetEncoderUtilization"),  # percent, as all of them
    first("utilization.decoder", "nvmlDeviceGetDecoderUtilization"),
    first("utilization.jpeg", "nvmlDeviceGetJpgUtilization"),
    first("utilization.ofa", "nvmlDeviceGetOfaUtilization"),
    several(
        ("encoder.stats.sessionCount", "encoder.stats.averageFps", "encoder.stats.averageLatency"),
        "nvmlDeviceGetEncoderStats",
    ),
)
_PCIE: Final = (
    one("pcie.link.gen.max", "nvmlDeviceGetMaxPcieLinkGeneration"),
    one("pcie.link.gen.gpumax", "nvmlDeviceGetGpuMaxPcieLinkGeneration"),
    alike(
        ("pcie.link.gen.current", "pcie.link.gen.gpucurrent"),
        "nvmlDeviceGetCurrPcieLinkGeneration",
    ),
    one("pcie.link.width.max", "nvmlDeviceGetMaxPcieLinkWidth"),
    one("pcie.link.width.current", "nvmlDeviceGetCurrPcieLinkWidth"),
    one("pci.replay_counter", "nvmlDeviceGetPcieReplayCounter"),
    one("pci.tx_util", "nvmlDeviceGetPcieThroughput", 0),  # KB/s, over 20 ms
    one("pci.rx_util", "nvmlDeviceGetPcieThroughput", 1),
)
_PAGES: Final = (
    structure(
        ("retired_pages.single_bit_ecc.count", "retired_pages.single_bit_ecc.addresses"),
        "nvmlDeviceGetRetiredPages",
        lambda pages: (len(pages), _addresses(pages)),
        0,
    ),
    structure(
        ("retired_pages.double_bit.count", "retired_pages.double_bit.addresses"),
        "nvmlDeviceGetRetiredPages",
        lambda pages: (len(pages), _addresses(pages)),
        1,
    ),
    one("retired_pages.pending", "nvmlDeviceGetRetiredPagesPendingStatus", make=words.YES),
    structure(
        tuple(
            f"remapped_rows.{each}"
            for each in ("correctable", "uncorrectable", "pending", "failure")
        ),
        "nvmlDeviceGetRemappedRows",
        lambda rows: (rows[0], rows[1], words.YES(rows[2]), words.YES(rows[3])),
    ),
    several(
        ("ecc_errors.channel_repair_pending", "ecc_errors.tpc_repair_pending"),
        "nvmlDeviceGetRepairStatus",
        make=words.YES,
    ),
    one(
        "ecc_errors.unrepairable_memory",
        "nvmlDeviceGetUnrepairableMemoryFlag_v1",
        make=words.YES,
    ),
)


def _addresses(pages: Iterable[int]) -> str:
    return " ".join(f"0x{page:016x}" for page in pages)


def _clocks() -> Iterator[Asked]:
    """Give the clocks, in megahertz."""
    for name, number in _CLOCKS.items():
        yield one(f"clocks.current.{name}", "nvmlDeviceGetClockInfo", number)
        yield one(f"clocks.max.{name}", "nvmlDeviceGetMaxClockInfo", number)
    for name in ("graphics", "memory"):
        number = _CLOCKS[name]
        yield one(f"clocks.applications.{name}", "nvmlDeviceGetApplicationsClock", number)
        yield one(
            f"clocks.default_applications.{name}",
            "nvmlDeviceGetDefaultApplicationsClock",
            number,
        )
    yield one("max_customer_boost_clocks.graphics", "nvmlDeviceGetMaxCustomerBoostClock", 0)


def _ecc_counts() -> Iterator[Asked]:
    """Give the counters of ECC errors by kind, lifetime and place."""
    for error, kind in _ERRORS.items():
        for counter, lifetime in _COUNTERS.items():
            prefix = f"ecc.errors.{error}.{counter}"
            for places, location in _LOCATIONS.items():
                names = [f"{prefix}.{place}" for place in places]
                function = "nvmlDeviceGetMemoryErrorCounter"
                yield alike(names, function, kind, lifetime, location)
            yield one(f"{prefix}.total", "nvmlDeviceGetTotalEccErrors", kind, lifetime)


CALLS: Final[tuple[Asked, ...]] = (
    *_IDENTITY,
    *_MODES,
    *_STATE,
    *_PCIE,
    *_PAGES,
    *_clocks(),
    *_ecc_counts(),
)
"""Of a GPU."""
