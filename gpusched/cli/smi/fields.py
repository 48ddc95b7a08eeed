"""The names that `--query-gpu` and `--query-compute-apps` take: aliases, units, what they are.

The survey calls its values by the first name of each, but for `SURVEYED`. The list is that of
`--help-query-gpu` of 550.163, and what later branches have beside it. Source: NVIDIA's programs;
for the later ones nvidia_gpu_exporter, which compared its list with 590.48 on an H100.
"""


class Field:
    """A name to query.

    Attributes:
        name: The name, which the header prints.
        aliases: Further names for it, which the header does not print.
        unit: Unit that header and value carry; empty without one.
        meaning: What it is.
    """

    __slots__ = ("aliases", "meaning", "name", "unit")

    def __init__(self, name: str, unit: str, meaning: str) -> None:
        self.name, *self.aliases = name.split()
        self.unit = unit
        self.meaning = meaning

    @property
    def title(self) -> str:
        """What the header prints."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


_REASONS = (
    ("gpu_idle", "Nothing runs."),
    ("applications_clocks_setting", "By the setting of applications clocks."),
    ("sw_power_cap", "By the power limit."),
    ("hw_slowdown", "By the hardware: heat, or the power brake."),
    ("hw_thermal_slowdown", "By the hardware: heat."),
    ("hw_power_brake_slowdown", "By the hardware: the power brake."),
    ("sw_thermal_slowdown", "By the driver: heat."),
    ("sync_boost", "By the other cards of a sync boost group."),
)
_COUNTED = {
    *("sw_power_cap", "sync_boost", "sw_thermal_slowdown"),
    *("hw_thermal_slowdown", "hw_power_brake_slowdown"),
}
_ECC_PLACES = (
    *("device_memory", "dram", "register_file", "l1_cache", "l2_cache", "texture_memory"),
    *("cbu", "sram", "total"),
)
_SRAM = "ecc.errors.uncorrected"
_SOURCES = "ecc_errors.aggregate_uncorrectable_sram_sources"
SURVEYED = {
    f"{_SRAM}.volatile.sram.parity": "ecc_errors.volatile.sram_uncorrectable_parity",
    f"{_SRAM}.volatile.sram.secded": "ecc_errors.volatile.sram_uncorrectable_secded",
    f"{_SRAM}.aggregate.sram.parity": "ecc_errors.aggregate.sram_uncorrectable_parity",
    f"{_SRAM}.aggregate.sram.secded": "ecc_errors.aggregate.sram_uncorrectable_secded",
    f"{_SRAM}.aggregate.sram.thresholdExceeded": "ecc_errors.aggregate.sram_threshold_exceeded",
    f"{_SRAM}.aggregate.sram.l2": f"{_SOURCES}.sram_l2",
    f"{_SRAM}.aggregate.sram.sm": f"{_SOURCES}.sram_sm",
    f"{_SRAM}.aggregate.sram.mcu": f"{_SOURCES}.sram_microcontroller",
    f"{_SRAM}.aggregate.sram.pcie": f"{_SOURCES}.sram_pcie",
    f"{_SRAM}.aggregate.sram.other": f"{_SOURCES}.sram_other",
}
"""What the survey calls a value, where that is not the name to query."""


def _clock(name: str, alias: str, meaning: str) -> Field:
    return Field(f"{name} {alias}".strip(), "MHz", meaning)


def _identity() -> list[Field]:
    return [
        Field("timestamp", "", "When it was read: YYYY/MM/DD HH:MM:SS.msec."),
        Field("driver_version", "", "Version of the driver."),
        Field("kmd_version", "", "Version of the kernel's part of the driver."),
        Field("vgpu_driver_capability.heterogenous_multivGPU", "", "Of the driver."),
        Field("count", "", "How many GPUs the host has."),
        Field("name gpu_name", "", "Name of the product."),
        Field("serial gpu_serial", "", "Serial number of the board."),
        Field("uuid gpu_uuid", "", "The identity of the GPU."),
        Field("pci.bus_id gpu_bus_id", "", "PCI bus id: domain:bus:device.function."),
        Field("pci.domain", "", "PCI domain."),
        Field("pci.bus", "", "PCI bus."),
        Field("pci.device", "", "PCI device."),
        Field("pci.baseClass", "", "PCI base class."),
        Field("pci.subClass", "", "PCI sub class."),
        Field("pci.device_id", "", "PCI device and vendor."),
        Field("pci.sub_device_id", "", "PCI sub system."),
        Field("pcie.link.gen.current", "", "PCIe generation of the link now."),
        Field("pcie.link.gen.gpucurrent", "", "PCIe generation of the GPU now."),
        Field("pcie.link.gen.max", "", "The highest PCIe generation of GPU and host."),
        Field("pcie.link.gen.gpumax", "", "The highest PCIe generation of the GPU."),
        Field("pcie.link.gen.hostmax", "", "The highest PCIe generation of the host."),
        Field("pcie.link.width.current", "", "PCIe lanes now."),
        Field("pcie.link.width.max", "", "PCIe lanes at most."),
        Field("index", "", "Index of the GPU; may change with a reboot."),
    ]


def _setup() -> list[Field]:
    return [
        Field("display_mode", "", "Whether a display is connected."),
        Field("display_attached", "", "Whether a display is connected."),
        Field("display_active", "", "Whether a display is set up on the GPU."),
        Field("persistence_mode", "", "Whether the driver stays loaded without a client."),
        Field("addressing_mode", "", "HMM, ATS or None."),
        Field("accounting.mode", "", "Whether the driver keeps accounts of processes."),
        Field("accounting.buffer_size", "", "How many processes it remembers."),
        Field("driver_model.current", "", "Of Windows."),
        Field("driver_model.pending", "", "Of Windows."),
        Field("vbios_version", "", "Version of the card's BIOS."),
        Field("inforom.img inforom.image", "", "Version of the infoROM."),
        Field("inforom.oem", "", "Version of its OEM object."),
        Field("inforom.ecc", "", "Version of its ECC object."),
        Field("inforom.pwr inforom.power", "", "Version of its power object."),
        Field("inforom.checksum_validation", "", "Whether the infoROM is whole."),
        Field("gpu_recovery_action", "", "What would mend the GPU."),
        Field("reset_status.reset_required", "", "Whether the GPU needs a reset."),
        Field("reset_status.drain_and_reset_recommended", "", "Whether it should be reset."),
        Field("gom.current gpu_operation_mode.current", "", "Operation mode now."),
        Field("gom.pending gpu_operation_mode.pending", "", "Operation mode to come."),
    ]


def _state() -> list[Field]:
    reasons = [
        Field(f"clocks_event_reasons.{one} clocks_throttle_reasons.{one}", "", meaning)
        for one, meaning in (
            ("supported", "Bits of the reasons that the GPU knows."),
            ("active", "Bits of the reasons for clocks below the highest."),
            *_REASONS,
        )
    ]
    return [
        Field("fan.speed", "%", "Speed of the fan."),
        Field("pstate", "", "Performance state, P0 to P12."),
        *reasons,
        *(
            Field(f"clocks_event_reasons_counters.{one}", "us", f"How long: {meaning}")
            for one, meaning in _REASONS
            if one in _COUNTED
        ),
        Field("memory.total", "MiB", "Memory of the card."),
        Field("memory.reserved", "MiB", "Of it: what the driver keeps."),
        Field("memory.used", "MiB", "Of it: in use."),
        Field("memory.free", "MiB", "Of it: free."),
        Field("compute_mode", "", "Default, Exclusive_Process or Prohibited."),
        Field("compute_cap", "", "Compute capability."),
        Field("utilization.gpu", "%", "Time in which a kernel ran."),
        Field("utilization.memory", "%", "Time in which memory was read or written."),
        Field("utilization.encoder", "%", "Time in which the encoder ran."),
        Field("utilization.decoder", "%", "Time in which the decoder ran."),
        Field("utilization.jpeg", "%", "Time in which the JPEG engine ran."),
        Field("utilization.ofa", "%", "Time in which the optical flow engine ran."),
        Field("encoder.stats.sessionCount", "", "Sessions of the encoder."),
        Field("encoder.stats.averageFps", "", "Their frames per second."),
        Field("encoder.stats.averageLatency", "", "Their latency, in microseconds."),
        Field("temperature.gpu", "", "Temperature of the GPU, in degrees Celsius."),
        Field("temperature.gpu.tlimit", "", "Degrees below the limit."),
        Field("temperature.memory", "", "Temperature of the memory, in degrees Celsius."),
    ]


def _power_and_clocks() -> list[Field]:
    return [
        Field("power.management", "", "Whether power is managed."),
        Field("power.draw", "W", "Power of the board."),
        Field("power.draw.average", "W", "Power of the board over a second."),
        Field("power.draw.instant", "W", "Power of the board at this moment."),
        Field("power.limit", "W", "The limit that was asked for."),
        Field("enforced.power.limit", "W", "The limit that holds."),
        Field("power.default_limit", "W", "The limit that the driver starts with."),
        Field("power.min_limit", "W", "The lowest limit."),
        Field("power.max_limit", "W", "The highest limit."),
        *(
            Field(f"module.{one}", "W", "The same of the whole module.")
            for one in (
                *("power.draw.average", "power.draw.instant", "power.limit"),
                *("enforced.power.limit", "power.default_limit"),
                *("power.min_limit", "power.max_limit"),
            )
        ),
        Field("edpp_multiplier", "%", "Share of the peak of power that is allowed."),
        _clock("clocks.current.graphics", "clocks.gr", "Clock of the shaders."),
        _clock("clocks.current.sm", "clocks.sm", "Clock of the multiprocessors."),
        _clock("clocks.current.memory", "clocks.mem", "Clock of the memory."),
        _clock("clocks.current.video", "clocks.video", "Clock of the video engines."),
        _clock("clocks.applications.graphics", "clocks.applications.gr", "As set."),
        _clock("clocks.applications.memory", "clocks.applications.mem", "As set."),
        _clock("clocks.default_applications.graphics", "clocks.default_applications.gr", "Unset."),
        _clock("clocks.default_applications.memory", "clocks.default_applications.mem", "Unset."),
        _clock("clocks.max.graphics", "clocks.max.gr", "Highest clock of the shaders."),
        _clock("clocks.max.sm", "", "Highest clock of the multiprocessors."),
        _clock("clocks.max.memory", "clocks.max.mem", "Highest clock of the memory."),
    ]


def _modes_and_places() -> list[Field]:
    return [
        Field("mig.mode.current", "", "Whether MIG mode is on."),
        Field("mig.mode.pending", "", "Whether it will be after a reset."),
        Field("gsp.mode.current", "", "Whether the GSP firmware runs."),
        Field("gsp.mode.default", "", "Whether it runs by default."),
        Field("c2c.mode", "", "Whether the chip-to-chip link is on."),
        Field("protected_memory.total", "MiB", "Memory for confidential computing."),
        Field("protected_memory.used", "MiB", "Of it: in use."),
        Field("protected_memory.free", "MiB", "Of it: free."),
        Field("fabric.state", "", "State of the registration with the fabric."),
        Field("fabric.status", "", "Outcome of that registration."),
        Field("fabric.cliqueId", "", "Clique of the fabric that the GPU is in."),
        Field("fabric.clusterUuid", "", "Identity of the fabric."),
        Field("platform.chassis_serial_number", "", "Serial number of the chassis."),
        Field("platform.slot_number", "", "Slot in the chassis."),
        Field("platform.tray_index", "", "Tray in the slot."),
        Field("platform.host_id", "", "Host in the tray."),
        Field("platform.peer_type", "", "How the GPUs are connected."),
        Field("platform.module_id", "", "Module in the host."),
        Field("platform.gpu_fabric_guid", "", "Identity of the GPU in the fabric."),
        Field("hostname", "", "What an administrator calls the GPU's host."),
        Field("vgpu_device_capability.fractional_multiVgpu", "", "Of the GPU."),
        Field("vgpu_device_capability.heterogeneous_timeSlice_profile", "", "Of the GPU."),
        Field("vgpu_device_capability.heterogeneous_timeSlice_sizes", "", "Of the GPU."),
    ]


def _errors() -> list[Field]:
    counters = [
        Field(f"ecc.errors.{kind}.{span}.{place}", "", f"{kind} errors, {span}: {place}.")
        for kind in ("corrected", "uncorrected")
        for span in ("volatile", "aggregate")
        for place in _ECC_PLACES
    ]
    return [
        Field("dramEncryption.mode.current", "", "Whether memory is encrypted."),
        Field("dramEncryption.mode.pending", "", "Whether it will be after a reset."),
        Field("ecc.mode.current", "", "Whether ECC is on."),
        Field("ecc.mode.pending", "", "Whether it will be after a reboot."),
        *counters,
        *(Field(name, "", "Of the uncorrected SRAM errors.") for name in SURVEYED),
        Field("retired_pages.single_bit_ecc.count retired_pages.sbe", "", "Retired pages."),
        Field("retired_pages.double_bit.count retired_pages.dbe", "", "Retired pages."),
        Field("retired_pages.pending", "", "Whether pages wait for retirement."),
        *(
            Field(f"remapped_rows.{one}", "", "Remapped rows of memory.")
            for one in (
                *(
                    "correctable",
                    "correctable_inactive",
                    "uncorrectable",
                    "uncorrectable_inactive",
                ),
                *("pending", "failure"),
                *("histogram.max", "histogram.high", "histogram.partial"),
                *("histogram.low", "histogram.none"),
            )
        ),
    ]


GPU = [
    *_identity(),
    *_setup(),
    *_state(),
    *_errors(),
    *_power_and_clocks(),
    *_modes_and_places(),
]
"""Names for `--query-gpu`, in the order of its help."""

APPS = [
    Field("timestamp", "", "When it was read: YYYY/MM/DD HH:MM:SS.msec."),
    Field("gpu_name", "", "Name of the GPU."),
    Field("gpu_bus_id", "", "PCI bus id of the GPU."),
    Field("gpu_serial", "", "Serial number of the GPU."),
    Field("gpu_uuid", "", "The identity of the GPU, also of a process on a MIG device of it."),
    Field("pid", "", "Process id."),
    Field("process_name name", "", "Name of the process."),
    Field("used_gpu_memory used_memory", "MiB", "Device memory of the process."),
]
"""Names for `--query-compute-apps`, in the order of its help."""


def named(fields: list[Field]) -> dict[str, Field]:
    """Give the fields by each of their names."""
    return {name: one for one in fields for name in (one.name, *one.aliases)}
