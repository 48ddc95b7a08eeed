"""What `nvidia-smi -q` calls the elements of `nvidia-smi -q -x`, and its sections for `-d`.

As 550.163 and captures of 570 to 590 have them; one label ends in a space there. An element
without a label here is called by its own name.
"""

LABELS = {
    "accounting_mode": "Accounting Mode",
    "accounting_mode_buffer_size": "Accounting Mode Buffer Size",
    "addressing_mode": "Addressing Mode",
    "applications_clocks": "Applications Clocks",
    "atomic_caps_inbound": "Atomic Caps Inbound",
    "atomic_caps_outbound": "Atomic Caps Outbound",
    "average_fps": "Average FPS",
    "average_latency": "Average Latency",
    "average_power_draw": "Average Power Draw",
    "bandwidth": "Bandwidth",
    "bar1_memory_usage": "BAR1 Memory Usage",
    "board_id": "Board ID",
    "bridge_chip_fw": "Firmware",
    "bridge_chip_type": "Type",
    "c2c_mode": "GPU C2C Mode",
    "cc_protected_memory_usage": "Conf Compute Protected Memory Usage",
    "clock_policy": "Clock Policy",
    "cliqueId": "CliqueId",
    "clusterUuid": "ClusterUUID",
    "compute_instance_id": "Compute Instance ID",
    "copy_engine_count": "Copy Engine count",
    "current_dm": "Current",
    "current_dram_encryption": "Current",
    "current_ecc": "Current",
    "current_gom": "Current",
    "current_link_gen": "Current",
    "current_link_width": "Current",
    "current_mig": "Current",
    "decoder_count": "Decoder count",
    "device_current_link_gen": "Device Current",
    "drain_and_reset_recommended": "Drain and Reset Recommended",
    "dram_correctable": "DRAM Correctable",
    "dram_encryption_mode": "DRAM Encryption Mode",
    "dram_uncorrectable": "DRAM Uncorrectable",
    "ecc_error_count": "ECC Errors",
    "ecc_errors": "ECC Errors",
    "ecc_mode": "ECC Mode",
    "ecc_object": "ECC Object",
    "egm": "EGM",
    "encoder_count": "Encoder count",
    "fb_memory_usage": "FB Memory Usage",
    "fbc_stats": "FBC Stats",
    "gpu_fabric_guid": "GPU Fabric GUID",
    "gpu_fru_part_number": "FRU Part Number",
    "gpu_instance_id": "GPU Instance ID",
    "gpu_memory_power_readings": "GPU Memory Power Readings ",
    "gpu_operation_mode": "GPU Operation Mode",
    "gpu_part_number": "GPU Part Number",
    "gpu_power_readings": "GPU Power Readings",
    "gpu_recovery_action": "GPU Recovery Action",
    "gpu_reset_status": "GPU Reset Status",
    "gpu_target_temperature": "GPU Target Temperature",
    "gpu_temp": "GPU Current Temp",
    "gpu_temp_max_gpu_threshold": "GPU Max Operating Temp",
    "gpu_temp_max_gpu_tlimit_threshold": "GPU Max Operating T.Limit Temp",
    "gpu_temp_max_mem_threshold": "Memory Max Operating Temp",
    "gpu_temp_max_mem_tlimit_threshold": "Memory Max Operating T.Limit Temp",
    "gpu_temp_max_threshold": "GPU Shutdown Temp",
    "gpu_temp_max_tlimit_threshold": "GPU Shutdown T.Limit Temp",
    "gpu_temp_slow_threshold": "GPU Slowdown Temp",
    "gpu_temp_slow_tlimit_threshold": "GPU Slowdown T.Limit Temp",
    "gpu_temp_tlimit": "GPU T.Limit Temp",
    "gpu_util": "GPU",
    "gpu_virtualization_mode": "GPU Virtualization Mode",
    "graphics_clock": "Graphics",
    "graphics_volt": "Graphics",
    "gsp_firmware_version": "GSP Firmware Version",
    "host_id": "Host ID",
    "host_vgpu_mode": "Host VGPU Mode",
    "ibmnpu": "IBMNPU",
    "img_version": "Image Version",
    "inforom_bbx_flush": "Inforom BBX Object Flush",
    "instant_power_draw": "Instantaneous Power Draw",
    "jpeg_util": "JPEG",
    "jpg_count": "JPG count",
    "link_widths": "Link Width",
    "max_device_link_gen": "Device Max",
    "max_host_link_gen": "Host Max",
    "max_link_gen": "Max",
    "max_link_width": "Max",
    "mem_clock": "Memory",
    "memory_temp": "Memory Current Temp",
    "mig_mode": "MIG Mode",
    "mig_device": "MIG Device",
    "module_id": "Module Id",
    "multigpu_board": "MultiGPU Board",
    "multiprocessor_count": "Multiprocessor count",
    "oem_object": "OEM Object",
    "ofa_count": "OFA count",
    "ofa_util": "OFA",
    "pci": "PCI",
    "pci_base_class": "Base Classcode",
    "pci_bridge_chip": "Bridge Chip",
    "pci_bus": "Bus",
    "pci_bus_id": "Bus Id",
    "pci_device": "Device",
    "pci_device_id": "Device Id",
    "pci_domain": "Domain",
    "pci_gpu_link_info": "GPU Link Info",
    "pci_sub_class": "Sub Classcode",
    "pci_sub_system_id": "Sub System Id",
    "pcie_gen": "PCIe Generation",
    "pdi": "GPU PDI",
    "pending_blacklist": "Pending Page Blacklist",
    "pending_dm": "Pending",
    "pending_dram_encryption": "Pending",
    "pending_ecc": "Pending",
    "pending_gom": "Pending",
    "pending_mig": "Pending",
    "pid": "Process ID",
    "platformInfo": "Platform Info",
    "power_profiles": "Workload Power Profiles",
    "power_profile_enforced_profiles": "Enforced Profiles",
    "power_profile_requested_profiles": "Requested Profiles",
    "process_name": "Name",
    "pwr_object": "Power Management Object",
    "remapped_row_corr": "Correctable Error",
    "remapped_row_failure": "Remapping Failure Occurred",
    "remapped_row_pending": "Pending",
    "remapped_row_unc": "Uncorrectable Error",
    "replay_counter": "Replays Since Reset",
    "replay_rollover_counter": "Replay Number Rollovers",
    "route_recovery_in_progress": "Route Recovery in progress",
    "row_remapper_histogram": "Bank Remap Availability Histogram",
    "rx_util": "Rx Throughput",
    "serial": "Serial Number",
    "session_count": "Active Sessions",
    "sm_clock": "SM",
    "sram_correctable": "SRAM Correctable",
    "sram_l2": "SRAM L2",
    "sram_microcontroller": "SRAM Microcontroller",
    "sram_other": "SRAM Other",
    "sram_pcie": "SRAM PCIE",
    "sram_sm": "SRAM SM",
    "sram_threshold_exceeded": "SRAM Threshold Exceeded",
    "sram_uncorrectable": "SRAM Uncorrectable",
    "sram_uncorrectable_parity": "SRAM Uncorrectable Parity",
    "sram_uncorrectable_secded": "SRAM Uncorrectable SEC-DED",
    "aggregate_uncorrectable_sram_sources": "Aggregate Uncorrectable SRAM Sources",
    "tpc_repair_pending": "TPC Repair Pending",
    "tx_util": "Tx Throughput",
    "used_memory": "Used GPU Memory",
    "uuid": "GPU UUID",
    "vbios_version": "VBIOS Version",
    "vgpu_heterogeneous_mode": "vGPU Heterogeneous Mode",
    "video_clock": "Video",
    "volatile_count": "Volatile",
}
"""By element, where it is not the element's own name."""

OF_A_PROCESS = {
    "gpu_instance_id": "GPU instance ID",
    "compute_instance_id": "Compute instance ID",
}
"""By element of a process, where a MIG device has another."""

BAR1_OF_MIG = "BAR1 Memory"

REASONS = {
    "gpu_idle": "Idle",
    "applications_clocks_setting": "Applications Clocks Setting",
    "sw_power_cap": "SW Power Cap",
    "hw_slowdown": "HW Slowdown",
    "hw_thermal_slowdown": "    HW Thermal Slowdown",
    "hw_power_brake_slowdown": "    HW Power Brake Slowdown",
    "sync_boost": "Sync Boost",
    "sw_thermal_slowdown": "SW Thermal Slowdown",
    "display_clocks_setting": "Display Clock Setting",
}
COUNTERS = {
    "sw_power_cap": "SW Power Capping",
    "sync_boost": "Sync Boost",
    "sw_therm_slowdown": "SW Thermal Slowdown",
    "hw_therm_slowdown": "HW Thermal Slowdown",
    "hw_power_brake": "HW Power Braking",
}
LABELS |= {f"clocks_event_reason_{name}": label for name, label in REASONS.items()}
LABELS |= {f"clocks_event_reasons_counters_{name}": label for name, label in COUNTERS.items()}
LABELS |= {
    f"row_remapper_histogram_{one}": one.capitalize()
    for one in ("max", "high", "partial", "low", "none")
}
LABELS |= {f"{one}_util": one.capitalize() for one in ("memory", "encoder", "decoder")}

HEXADECIMAL = frozenset(
    {
        *("pci_bus", "pci_device", "pci_domain", "pci_base_class", "pci_sub_class"),
        *("pci_device_id", "pci_sub_system_id"),
    }
)
"""Elements whose text has `0x` before it where XML has none."""

LEFT_OUT = frozenset(
    {
        *("supported_gpu_target_temp", "power_state", "supported_clocks"),
        *("pending_retirement", "accounted_processes"),
    }
)
"""Elements that the text does not have."""

SECTIONS = {
    "MEMORY": "fb_memory_usage bar1_memory_usage cc_protected_memory_usage",
    "UTILIZATION": "utilization encoder_stats fbc_stats",
    "ECC": "ecc_mode ecc_errors",
    "TEMPERATURE": "temperature",
    "POWER": "gpu_power_readings gpu_memory_power_readings module_power_readings"
    " power_smoothing power_profiles",
    "CLOCK": "clocks applications_clocks default_applications_clocks deferred_clocks max_clocks"
    " max_customer_boost_clocks clock_policy",
    "COMPUTE": "compute_mode",
    "PIDS": "processes",
    "PERFORMANCE": "performance_state clocks_event_reasons clocks_event_reasons_counters"
    " sparse_operation_mode",
    "SUPPORTED_CLOCKS": "supported_clocks",
    "PAGE_RETIREMENT": "retired_pages",
    "ACCOUNTING": "accounting_mode accounting_mode_buffer_size",
    "ENCODER_STATS": "encoder_stats",
    "FBC_STATS": "fbc_stats",
    "ROW_REMAPPER": "remapped_rows",
    "SUPPORTED_GPU_TARGET_TEMP": "supported_gpu_target_temp",
    "VOLTAGE": "voltage",
    "RESET_STATUS": "gpu_reset_status",
    "GSP_FIRMWARE_VERSION": "gsp_firmware_version",
}
"""Elements of a GPU by the word for `-d`."""


def label_of(element: str) -> str:
    """Give what the text calls an element."""
    return LABELS.get(element) or " ".join(
        one.capitalize() for one in element.replace("_", " ").split()
    )
