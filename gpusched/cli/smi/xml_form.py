"""The elements of a GPU in `nvidia-smi -q -x`, as the branches 570, 580 and 595 have them.

An outline: an element with others in it has a line of its own; `tag: value unit` is an element
that shows a value of the survey, `tag @` one that takes more than that, and `tag = words` one that
says the same in every capture and for which NVML has no public call. In brackets, of an element
and all in it: `[580..]` from that driver branch on, `[..580]` before it, `[word]` where the card
is like that, `[!word]` where it is not. `sram`: it tells the kinds of SRAM errors apart; `rows`:
it remaps rows; `tlimit`: its limits of temperature are distances from one.
Source: captures of `nvidia-smi -q -x`, DTD nvsmi_device_v12 (570) and v13.
"""

GPU = """
product_name: name
product_brand: product_brand
product_architecture: product_architecture
display_mode: display_mode [..580]
display_mode = Requested functionality has been deprecated [580..]
display_attached: display_attached [580..]
display_active: display_active
persistence_mode: persistence_mode
addressing_mode: addressing_mode
mig_mode
 current_mig: mig.mode.current
 pending_mig: mig.mode.pending
mig_devices @
accounting_mode: accounting.mode
accounting_mode_buffer_size: accounting.buffer_size
driver_model
 current_dm: driver_model.current
 pending_dm: driver_model.pending
serial: serial
uuid: uuid
pdi: pdi [580..]
minor_number: minor_number
vbios_version: vbios_version
multigpu_board: multigpu_board
board_id: board_id
board_part_number: board_part_number
gpu_part_number = N/A
gpu_fru_part_number = N/A
platformInfo
 chassis_serial_number: platform.chassis_serial_number
 slot_number: platform.slot_number
 tray_index: platform.tray_index
 host_id: platform.host_id
 peer_type: platform.peer_type
 module_id: platform.module_id
 gpu_fabric_guid: platform.gpu_fabric_guid
inforom_version
 img_version: inforom.img
 oem_object: inforom.oem
 ecc_object: inforom.ecc
 pwr_object: inforom.pwr
inforom_bbx_flush
 latest_timestamp: inforom_bbx_flush.latest_timestamp time
 latest_duration: inforom_bbx_flush.latest_duration us
gpu_operation_mode
 current_gom: gom.current
 pending_gom: gom.pending
c2c_mode: c2c.mode
gpu_virtualization_mode
 virtualization_mode: gpu_virtualization_mode.virtualization_mode
 host_vgpu_mode: gpu_virtualization_mode.host_vgpu_mode
 vgpu_heterogeneous_mode: gpu_virtualization_mode.vgpu_heterogeneous_mode
gpu_reset_status [..580]
 reset_required: reset_status.reset_required
 drain_and_reset_recommended: reset_status.drain_and_reset_recommended
gpu_recovery_action: gpu_recovery_action
gsp_firmware_version: gsp_firmware_version
ibmnpu
 relaxed_ordering_mode = N/A
pci
 pci_bus: pci.bus hex
 pci_device: pci.device hex
 pci_domain: pci.domain hex
 pci_base_class: pci.baseClass hex
 pci_sub_class: pci.subClass hex
 pci_device_id: pci.device_id hex
 pci_bus_id: pci.bus_id
 pci_sub_system_id: pci.sub_device_id hex
 pci_gpu_link_info
  pcie_gen
   max_link_gen: pcie.link.gen.max
   current_link_gen: pcie.link.gen.current
   device_current_link_gen: pcie.link.gen.gpucurrent
   max_device_link_gen: pcie.link.gen.gpumax
   max_host_link_gen = N/A
  link_widths
   max_link_width: pcie.link.width.max x
   current_link_width: pcie.link.width.current x
 pci_bridge_chip
  bridge_chip_type = N/A
  bridge_chip_fw = N/A
 replay_counter: pci.replay_counter
 replay_rollover_counter: pci.replay_rollover_counter
 tx_util: pci.tx_util KB/s
 rx_util: pci.rx_util KB/s
 atomic_caps_outbound = N/A
 atomic_caps_inbound = N/A
fan_speed: fan.speed %
performance_state: pstate
clocks_event_reasons
 clocks_event_reason_gpu_idle: clocks_event_reasons.gpu_idle
 clocks_event_reason_applications_clocks_setting: clocks_event_reasons.applications_clocks_setting
 clocks_event_reason_sw_power_cap: clocks_event_reasons.sw_power_cap
 clocks_event_reason_hw_slowdown: clocks_event_reasons.hw_slowdown
 clocks_event_reason_hw_thermal_slowdown: clocks_event_reasons.hw_thermal_slowdown
 clocks_event_reason_hw_power_brake_slowdown: clocks_event_reasons.hw_power_brake_slowdown
 clocks_event_reason_sync_boost: clocks_event_reasons.sync_boost
 clocks_event_reason_sw_thermal_slowdown: clocks_event_reasons.sw_thermal_slowdown
 clocks_event_reason_display_clocks_setting: clocks_event_reasons.display_clocks_setting
clocks_event_reasons_counters [580..]
 clocks_event_reasons_counters_sw_power_cap: clocks_event_reasons_counters.sw_power_cap us
 clocks_event_reasons_counters_sync_boost: clocks_event_reasons_counters.sync_boost us
 clocks_event_reasons_counters_sw_therm_slowdown: clocks_event_reasons_counters.sw_thermal_slowdown us
 clocks_event_reasons_counters_hw_therm_slowdown: clocks_event_reasons_counters.hw_thermal_slowdown us
 clocks_event_reasons_counters_hw_power_brake: clocks_event_reasons_counters.hw_power_brake_slowdown us
sparse_operation_mode = N/A
fb_memory_usage
 total: memory.total MiB
 reserved: memory.reserved MiB
 used: memory.used MiB
 free: memory.free MiB
bar1_memory_usage
 total: bar1_memory_usage.total MiB
 used: bar1_memory_usage.used MiB
 free: bar1_memory_usage.free MiB
cc_protected_memory_usage
 total: protected_memory.total MiB
 used: protected_memory.used MiB
 free: protected_memory.free MiB
compute_mode: compute_mode
utilization
 gpu_util: utilization.gpu %
 memory_util: utilization.memory %
 encoder_util: utilization.encoder %
 decoder_util: utilization.decoder %
 jpeg_util: utilization.jpeg %
 ofa_util: utilization.ofa %
encoder_stats
 session_count: encoder.stats.sessionCount
 average_fps: encoder.stats.averageFps
 average_latency: encoder.stats.averageLatency
fbc_stats
 session_count: fbc_stats.session_count
 average_fps: fbc_stats.average_fps
 average_latency: fbc_stats.average_latency
dram_encryption_mode
 current_dram_encryption: dramEncryption.mode.current
 pending_dram_encryption: dramEncryption.mode.pending
ecc_mode
 current_ecc: ecc.mode.current
 pending_ecc: ecc.mode.pending
ecc_errors
 volatile
  sram_correctable: ecc.errors.corrected.volatile.sram
  sram_uncorrectable: ecc.errors.uncorrected.volatile.sram [!sram]
  sram_uncorrectable_parity: ecc_errors.volatile.sram_uncorrectable_parity [sram]
  sram_uncorrectable_secded: ecc_errors.volatile.sram_uncorrectable_secded [sram]
  dram_correctable: ecc.errors.corrected.volatile.dram
  dram_uncorrectable: ecc.errors.uncorrected.volatile.dram
 aggregate
  sram_correctable: ecc.errors.corrected.aggregate.sram
  sram_uncorrectable: ecc.errors.uncorrected.aggregate.sram [!sram]
  sram_uncorrectable_parity: ecc_errors.aggregate.sram_uncorrectable_parity [sram]
  sram_uncorrectable_secded: ecc_errors.aggregate.sram_uncorrectable_secded [sram]
  dram_correctable: ecc.errors.corrected.aggregate.dram
  dram_uncorrectable: ecc.errors.uncorrected.aggregate.dram
  sram_threshold_exceeded: ecc_errors.aggregate.sram_threshold_exceeded [sram]
 aggregate_uncorrectable_sram_sources [sram]
  sram_l2: ecc_errors.aggregate_uncorrectable_sram_sources.sram_l2
  sram_sm: ecc_errors.aggregate_uncorrectable_sram_sources.sram_sm
  sram_microcontroller: ecc_errors.aggregate_uncorrectable_sram_sources.sram_microcontroller
  sram_pcie: ecc_errors.aggregate_uncorrectable_sram_sources.sram_pcie
  sram_other: ecc_errors.aggregate_uncorrectable_sram_sources.sram_other
 channel_repair_pending: ecc_errors.channel_repair_pending [580..] [sram]
 tpc_repair_pending: ecc_errors.tpc_repair_pending [580..] [sram]
 unrepairable_memory: ecc_errors.unrepairable_memory [590..] [sram]
retired_pages
 multiple_single_bit_retirement
  retired_count: retired_pages.single_bit_ecc.count
  retired_pagelist @ retired_pages.single_bit_ecc.addresses
 double_bit_retirement
  retired_count: retired_pages.double_bit.count
  retired_pagelist @ retired_pages.double_bit.addresses
 pending_blacklist: retired_pages.pending
 pending_retirement: retired_pages.pending
remapped_rows = N/A [!rows]
remapped_rows [rows]
 remapped_row_corr: remapped_rows.correctable
 remapped_row_corr_inactive: remapped_rows.correctable_inactive [590..]
 remapped_row_unc: remapped_rows.uncorrectable
 remapped_row_unc_inactive: remapped_rows.uncorrectable_inactive [590..]
 remapped_row_pending: remapped_rows.pending
 remapped_row_failure: remapped_rows.failure
 row_remapper_histogram
  row_remapper_histogram_max: remapped_rows.histogram.max bank(s)
  row_remapper_histogram_high: remapped_rows.histogram.high bank(s)
  row_remapper_histogram_partial: remapped_rows.histogram.partial bank(s)
  row_remapper_histogram_low: remapped_rows.histogram.low bank(s)
  row_remapper_histogram_none: remapped_rows.histogram.none bank(s)
temperature
 gpu_temp: temperature.gpu C
 gpu_temp_tlimit: temperature.gpu.tlimit C
 gpu_temp_max_threshold: temperature.gpu_temp_max_threshold C [!tlimit]
 gpu_temp_slow_threshold: temperature.gpu_temp_slow_threshold C [!tlimit]
 gpu_temp_max_gpu_threshold: temperature.gpu_temp_max_gpu_threshold C [!tlimit]
 gpu_temp_max_tlimit_threshold: temperature.gpu_temp_max_tlimit_threshold C [tlimit]
 gpu_temp_slow_tlimit_threshold: temperature.gpu_temp_slow_tlimit_threshold C [tlimit]
 gpu_temp_max_gpu_tlimit_threshold: temperature.gpu_temp_max_gpu_tlimit_threshold C [tlimit]
 gpu_target_temperature: temperature.gpu_target_temperature C
 memory_temp: temperature.memory C
 gpu_temp_max_mem_threshold: temperature.gpu_temp_max_mem_threshold C [!tlimit]
 gpu_temp_max_mem_tlimit_threshold: temperature.gpu_temp_max_mem_tlimit_threshold C [tlimit]
supported_gpu_target_temp
 gpu_target_temp_min: supported_gpu_target_temp.gpu_target_temp_min C
 gpu_target_temp_max: supported_gpu_target_temp.gpu_target_temp_max C
gpu_power_readings
 power_state: gpu_power_readings.power_state
 average_power_draw: power.draw.average W
 instant_power_draw: power.draw.instant W
 current_power_limit: enforced.power.limit W
 requested_power_limit: power.limit W
 default_power_limit: power.default_limit W
 min_power_limit: power.min_limit W
 max_power_limit: power.max_limit W
gpu_memory_power_readings
 average_power_draw: gpu_memory_power_readings.average_power_draw W
 instant_power_draw: gpu_memory_power_readings.instant_power_draw W
module_power_readings
 power_state: gpu_power_readings.power_state
 average_power_draw: module.power.draw.average W
 instant_power_draw: module.power.draw.instant W
 current_power_limit: module.enforced.power.limit W
 requested_power_limit: module.power.limit W
 default_power_limit: module.power.default_limit W
 min_power_limit: module.power.min_limit W
 max_power_limit: module.power.max_limit W
power_smoothing = N/A
power_profiles
 power_profile_requested_profiles = N/A
 power_profile_enforced_profiles = N/A
edpp_multiplier: edpp_multiplier [590..]
clocks
 graphics_clock: clocks.current.graphics MHz
 sm_clock: clocks.current.sm MHz
 mem_clock: clocks.current.memory MHz
 video_clock: clocks.current.video MHz
applications_clocks
 graphics_clock: clocks.applications.graphics MHz
 mem_clock: clocks.applications.memory MHz
default_applications_clocks
 graphics_clock: clocks.default_applications.graphics MHz
 mem_clock: clocks.default_applications.memory MHz
deferred_clocks
 mem_clock = N/A
max_clocks
 graphics_clock: clocks.max.graphics MHz
 sm_clock: clocks.max.sm MHz
 mem_clock: clocks.max.memory MHz
 video_clock: clocks.max.video MHz
max_customer_boost_clocks
 graphics_clock: max_customer_boost_clocks.graphics MHz
clock_policy
 auto_boost: clock_policy.auto_boost
 auto_boost_default: clock_policy.auto_boost_default
voltage [..580]
 graphics_volt = N/A
fabric
 state: fabric.state
 status: fabric.status
 cliqueId: fabric.cliqueId
 clusterUuid: fabric.clusterUuid
 health
  summary: fabric.health.summary [580..]
  bandwidth: fabric.health.bandwidth
  route_recovery_in_progress: fabric.health.route_recovery_in_progress
  route_unhealthy: fabric.health.route_unhealthy
  access_timeout_recovery: fabric.health.access_timeout_recovery
  incorrect_configuration: fabric.health.incorrect_configuration [580..]
  partition_assigned: fabric.health.partition_assigned [590..]
supported_clocks @
processes @
accounted_processes =
capabilities
 egm: capabilities.egm
"""  # noqa: E501 - names of NVIDIA's
