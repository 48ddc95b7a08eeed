"""The values of a survey that NVML gives in structures, and those that take more than one call."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gpusched.adapters.nvml import binding, binding_values
from gpusched.adapters.nvml import survey_words as words
from gpusched.adapters.nvml.asked import NOT_SUPPORTED, Asked, failed, structure
from gpusched.core.survey import SurveyValue

_PCI_INFO_EXT_V1: Final = 0x1000040  # nvmlPciInfoExt_v1: version 1 of 64 bytes
_OTHER_VERSION: Final = frozenset(
    {binding.FUNCTION_NOT_FOUND, binding.ARGUMENT_VERSION_MISMATCH, binding.INVALID_ARGUMENT}
)
_REASONS: Final = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "display_clocks_setting": 0x100,
}
# Name, shift and width in bits of the health mask, words.
_HEALTH: Final = (
    ("bandwidth", 0, 2, words.BANDWIDTH),
    ("route_recovery_in_progress", 2, 2, words.TRUE),
    ("route_unhealthy", 4, 2, words.TRUE),
    ("access_timeout_recovery", 6, 2, words.TRUE),
    ("incorrect_configuration", 8, 4, words.CONFIGURATION),
    ("partition_assigned", 12, 2, words.TRUE),
)
_SRAM: Final = {
    "volatile.sram_uncorrectable_parity": "volatileUncParity",
    "volatile.sram_uncorrectable_secded": "volatileUncSecDed",
    "aggregate.sram_uncorrectable_parity": "aggregateUncParity",
    "aggregate.sram_uncorrectable_secded": "aggregateUncSecDed",
    "aggregate_uncorrectable_sram_sources.sram_l2": "aggregateUncBucketL2",
    "aggregate_uncorrectable_sram_sources.sram_sm": "aggregateUncBucketSm",
    "aggregate_uncorrectable_sram_sources.sram_microcontroller": "aggregateUncBucketMcu",
    "aggregate_uncorrectable_sram_sources.sram_pcie": "aggregateUncBucketPcie",
    "aggregate_uncorrectable_sram_sources.sram_other": "aggregateUncBucketOther",
}
_ATTRIBUTES: Final = {
    "multiprocessor_count": "multiprocessorCount",
    "copy_engine_count": "sharedCopyEngineCount",
    "encoder_count": "sharedEncoderCount",
    "decoder_count": "sharedDecoderCount",
    "ofa_count": "sharedOfaCount",
    "jpg_count": "sharedJpegCount",
}


def _memory(device: binding.Handle) -> Sequence[SurveyValue]:
    """Read the framebuffer; version 1 does not know what the driver reserves."""
    try:
        read = binding.memory_v2(device)
    except binding.NvmlFailure as failure:
        if failure.code in binding.GONE:
            raise
        old = binding.memory(device)
        return old.total, failed(failure), old.used, old.free
    return read.total, read.reserved, read.used, read.free


def _pci(info: Any) -> Sequence[SurveyValue]:
    bus = info.busId.decode() if isinstance(info.busId, bytes) else str(info.busId)
    return (
        bus,
        f"0x{info.domain:04X}",
        f"0x{info.bus:02X}",
        f"0x{info.device:02X}",
        f"0x{info.pciDeviceId:08X}",
        f"0x{info.pciSubSystemId:08X}",
    )


def _pci_class(device: binding.Handle) -> Sequence[SurveyValue]:
    found = binding_values.filled(
        "nvmlDeviceGetPciInfoExt", "nvmlPciInfoExt_v1_t", device, _PCI_INFO_EXT_V1
    )
    return f"0x{found.baseClass:X}", f"0x{found.subClass:X}"


def _event_reasons(device: binding.Handle) -> Sequence[SurveyValue]:
    """Read why the clocks are as they are; until driver 535 this was called throttling."""
    try:
        mask = int(binding_values.ask("nvmlDeviceGetCurrentClocksEventReasons", device))
    except binding.NvmlFailure as failure:
        if failure.code != binding.FUNCTION_NOT_FOUND:
            raise
        mask = int(binding_values.ask("nvmlDeviceGetCurrentClocksThrottleReasons", device))
    each = (words.ACTIVE(int(bool(mask & bit))) for bit in _REASONS.values())
    return f"0x{mask:016x}", *each


def _supported_clocks(device: binding.Handle) -> Sequence[SurveyValue]:
    """Give the graphics clocks in megahertz by memory clock: `1215: 1410 1395; 405: 210`."""
    rows = []
    for memory in binding_values.ask("nvmlDeviceGetSupportedMemoryClocks", device):
        clocks = binding_values.ask("nvmlDeviceGetSupportedGraphicsClocks", device, memory)
        rows.append(f"{memory}: {' '.join(map(str, clocks))}")
    return ("; ".join(rows),)


def _sram(device: binding.Handle) -> Sequence[SurveyValue]:
    found = binding_values.filled(
        "nvmlDeviceGetSramEccErrorStatus", "c_nvmlEccSramErrorStatus_v1_t", device
    )
    numbers = (int(getattr(found, name)) for name in _SRAM.values())
    return *numbers, words.YES(int(bool(found.bThresholdExceeded)))


def _platform(device: binding.Handle) -> Sequence[SurveyValue]:
    found = binding_values.filled("nvmlDeviceGetPlatformInfo", "c_nvmlPlatformInfo_v2_t", device)
    return (
        found.chassisSerialNumber.decode(errors="replace"),
        ord(found.slotNumber),
        ord(found.trayIndex),
        ord(found.hostId),
        "Switch Connected" if ord(found.peerType) else "Direct Connected",
        bytes(found.ibGuid).hex(),
    )


def _fabric(device: binding.Handle) -> Sequence[SurveyValue]:
    """Read what the GPU knows of its NVLink fabric; version 2 has no summary."""
    function = "nvmlDeviceGetGpuFabricInfoV"
    try:
        found = binding_values.filled(function, "c_nvmlGpuFabricInfo_v3_t", device)
        summary = int(found.healthSummary)
    except binding.NvmlFailure as failure:
        if failure.code not in _OTHER_VERSION:
            raise
        found, summary = binding_values.filled(function, "c_nvmlGpuFabricInfo_v2_t", device), 0
    if not found.state:
        return (NOT_SUPPORTED,) * (5 + len(_HEALTH))
    cluster = bytes(found.clusterUuid).hex()
    return (
        words.FABRIC_STATE(found.state),
        "Success" if found.status == 0 else binding.words_of(found.status),
        int(found.cliqueId),
        "-".join(cluster[at:to] for at, to in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))),
        words.FABRIC_SUMMARY(summary) if summary else NOT_SUPPORTED,
        *_health(found.healthMask),
    )


def _health(mask: int) -> Iterator[SurveyValue]:
    for _name, shift, width, words_of in _HEALTH:
        number = mask >> shift & (1 << width) - 1
        yield words_of(number) if number else NOT_SUPPORTED


MEMORY: Final = (
    Asked(tuple(f"memory.{name}" for name in ("total", "reserved", "used", "free")), _memory),
    structure(
        tuple(f"bar1_memory_usage.{name}" for name in ("total", "used", "free")),
        "nvmlDeviceGetBAR1MemoryInfo",
        lambda found: (found.bar1Total, found.bar1Used, found.bar1Free),
    ),
)
"""Of a GPU and of a MIG device, in bytes."""

OF_GPUS: Final[tuple[Asked, ...]] = (
    structure(
        tuple(
            f"pci.{name}"
            for name in ("bus_id", "domain", "bus", "device", "device_id", "sub_device_id")
        ),
        "nvmlDeviceGetPciInfo",
        _pci,
    ),
    Asked(("pci.baseClass", "pci.subClass"), _pci_class),
    *MEMORY,
    structure(
        tuple(f"protected_memory.{name}" for name in ("total", "used", "free")),
        "nvmlDeviceGetConfComputeProtectedMemoryUsage",
        lambda found: (found.total, found.used, found.free),
    ),
    structure(
        ("utilization.gpu", "utilization.memory"),
        "nvmlDeviceGetUtilizationRates",
        lambda found: (found.gpu, found.memory),
    ),
    structure(
        tuple(f"fbc_stats.{name}" for name in ("session_count", "average_fps", "average_latency")),
        "nvmlDeviceGetFBCStats",
        lambda found: (found.sessionsCount, found.averageFPS, found.averageLatency),
    ),
    structure(
        ("compute_cap",),
        "nvmlDeviceGetCudaComputeCapability",
        lambda found: (f"{found[0]}.{found[1]}",),
    ),
    structure(
        tuple(
            f"remapped_rows.histogram.{name}" for name in ("max", "high", "partial", "low", "none")
        ),
        "nvmlDeviceGetRowRemapperHistogram",
        lambda found: (found.max, found.high, found.partial, found.low, found.none),
    ),
    structure(
        ("c2c.mode",),
        "nvmlDeviceGetC2cModeInfoV",
        lambda found: (words.ENABLED(found.isC2cEnabled),),
    ),
    # Microseconds since the epoch, and microseconds.
    structure(
        ("inforom_bbx_flush.latest_timestamp", "inforom_bbx_flush.latest_duration"),
        "nvmlDeviceGetLastBBXFlushTime",
        tuple,
    ),
    Asked(
        ("clocks_event_reasons.active", *(f"clocks_event_reasons.{name}" for name in _REASONS)),
        _event_reasons,
    ),
    Asked(("supported_clocks",), _supported_clocks),
    Asked(
        (
            *(f"ecc_errors.{name}" for name in _SRAM),
            "ecc_errors.aggregate.sram_threshold_exceeded",
        ),
        _sram,
    ),
    Asked(
        tuple(
            f"platform.{name}"
            for name in (
                "chassis_serial_number",
                "slot_number",
                "tray_index",
                "host_id",
                "peer_type",
                "gpu_fabric_guid",
            )
        ),
        _platform,
    ),
    Asked(
        (
            *(f"fabric.{name}" for name in ("state", "status", "cliqueId", "clusterUuid")),
            "fabric.health.summary",
            *(f"fabric.health.{name}" for name, *_ in _HEALTH),
        ),
        _fabric,
    ),
    Asked(
        ("capabilities.egm",),
        lambda device: (
            words.egm(
                binding_values.filled(
                    "nvmlDeviceGetCapabilities", "c_nvmlDeviceCapabilities_v1_t", device
                ).capMask
            ),
        ),
    ),
)
"""Of a GPU."""

ATTRIBUTES: Final = structure(
    tuple(f"device_attributes.shared.{name}" for name in _ATTRIBUTES),
    "nvmlDeviceGetAttributes",
    lambda found: tuple(int(getattr(found, name)) for name in _ATTRIBUTES.values()),
)
"""Of a MIG device."""
