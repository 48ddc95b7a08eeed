"""The elements of a GPU in `nvidia-smi -q -x`, as the 570 branch has them.

An outline: an element with others in it has a line of its own; `tag: value unit` is an element
that shows a value of the survey; `tag = words` one that always says the same on Linux, or that the
survey does not read.
Source: captures of `nvidia-smi -q -x`, DTD nvsmi_device_v12.
"""

GPU = """
product_name: name
product_brand: product_brand
product_architecture: product_architecture
display_mode: display_mode
display_active: display_active
persistence_mode: persistence_mode
addressing_mode = N/A
mig_mode
 current_mig: mig.mode.current
 pending_mig: mig.mode.pending
mig_devices @
accounting_mode: accounting.mode
accounting_mode_buffer_size: accounting.buffer_size
driver_model
 current_dm = N/A
 pending_dm = N/A
serial: serial
uuid: uuid
minor_number: minor_number
vbios_version: vbios_version
multigpu_board: multigpu_board
board_id: board_id
board_part_number: board_part_number
gpu_part_number = N/A
gpu_fru_part_number = N/A
platformInfo
 chassis_serial_number = N/A
 slot_number = N/A
 tray_index = N/A
 host_id = N/A
 peer_type = N/A
 module_id: platformInfo.module_id
 gpu_fabric_guid = N/A
inforom_version
 img_version: inforom.img
 oem_object: inforom.oem
 ecc_object: inforom.ecc
 pwr_object: inforom.pwr
inforom_bbx_flush
 latest_timestamp = N/A
 latest_duration = N/A
gpu_operation_mode
 current_gom = N/A
 pending_gom = N/A
c2c_mode = N/A
gpu_virtualization_mode
 virtualization_mode: gpu_virtualization_mode.virtualization_mode
 host_vgpu_mode = N/A
 vgpu_heterogeneous_mode = N/A
gpu_reset_status
 reset_required = Requested functionality has been deprecated
 drain_and_reset_recommended = Requested functionality has been deprecated
gpu_recovery_action: gpu_recovery_action
gsp_firmware_version: gsp_firmware_version
ibmnpu
 relaxed_ordering_mode = N/A
pci
 pci_bus: pci.bus
 pci_device: pci.device
 pci_domain: pci.domain
 pci_base_class = 3
 pci_sub_class = 2
 pci_device_id: pci.device_id
 pci_bus_id: pci.bus_id
 pci_sub_system_id: pci.sub_device_id
 pci_gpu_link_info
  pcie_gen
   max_link_gen: pcie.link.gen.max
   current_link_gen: pcie.link.gen.current
   device_current_link_gen: pcie.link.gen.current
   max_device_link_gen: pcie.link.gen.gpumax
   max_host_link_gen = N/A
  link_widths
   max_link_width: pcie.link.width.max x
   current_link_width: pcie.link.width.current x
 pci_bridge_chip
  bridge_chip_type = N/A
  bridge_chip_fw = N/A
 replay_counter: pci.replay_counter
 replay_rollover_counter = 0
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
 total = 0 MiB
 used = 0 MiB
 free = 0 MiB
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
 current_dram_encryption = N/A
 pending_dram_encryption = N/A
ecc_mode
 current_ecc: ecc.mode.current
 pending_ecc: ecc.mode.pending
ecc_errors
 volatile
  sram_correctable: ecc.errors.corrected.volatile.sram
  sram_uncorrectable: ecc.errors.uncorrected.volatile.sram
  dram_correctable: ecc.errors.corrected.volatile.dram
  dram_uncorrectable: ecc.errors.uncorrected.volatile.dram
 aggregate
  sram_correctable: ecc.errors.corrected.aggregate.sram
  sram_uncorrectable: ecc.errors.uncorrected.aggregate.sram
  dram_correctable: ecc.errors.corrected.aggregate.dram
  dram_uncorrectable: ecc.errors.uncorrected.aggregate.dram
retired_pages
 multiple_single_bit_retirement
  retired_count = N/A
  retired_pagelist = N/A
 double_bit_retirement
  retired_count = N/A
  retired_pagelist = N/A
 pending_blacklist: retired_pages.pending
 pending_retirement: retired_pages.pending
remapped_rows
 remapped_row_corr: remapped_rows.remapped_row_corr
 remapped_row_unc: remapped_rows.remapped_row_unc
 remapped_row_pending: remapped_rows.remapped_row_pending
 remapped_row_failure: remapped_rows.remapped_row_failure
 row_remapper_histogram
  row_remapper_histogram_max: remapped_rows.row_remapper_histogram.row_remapper_histogram_max bank(s)
  row_remapper_histogram_high: remapped_rows.row_remapper_histogram.row_remapper_histogram_high bank(s)
  row_remapper_histogram_partial: remapped_rows.row_remapper_histogram.row_remapper_histogram_partial bank(s)
  row_remapper_histogram_low: remapped_rows.row_remapper_histogram.row_remapper_histogram_low bank(s)
  row_remapper_histogram_none: remapped_rows.row_remapper_histogram.row_remapper_histogram_none bank(s)
temperature
 gpu_temp: temperature.gpu C
 gpu_temp_tlimit: temperature.gpu.tlimit C
 gpu_temp_max_threshold: temperature.gpu_temp_max_threshold C
 gpu_temp_slow_threshold: temperature.gpu_temp_slow_threshold C
 gpu_temp_max_gpu_threshold: temperature.gpu_temp_max_gpu_threshold C
 gpu_target_temperature = N/A
 memory_temp: temperature.memory C
 gpu_temp_max_mem_threshold: temperature.gpu_temp_max_mem_threshold C
supported_gpu_target_temp
 gpu_target_temp_min = N/A
 gpu_target_temp_max = N/A
gpu_power_readings
 power_state: pstate
 average_power_draw: power.draw.average W
 instant_power_draw: power.draw W
 current_power_limit: enforced.power.limit W
 requested_power_limit: power.limit W
 default_power_limit: power.default_limit W
 min_power_limit: power.min_limit W
 max_power_limit: power.max_limit W
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
 graphics_clock: max_customer_boost_clocks.graphics_clock MHz
clock_policy
 auto_boost = N/A
 auto_boost_default = N/A
processes @
accounted_processes =
"""  # noqa: E501 - names of NVIDIA's

MIG = """
gpu_instance_id: gpu_instance_id
compute_instance_id: compute_instance_id
device_attributes
 shared
  multiprocessor_count: device_attributes.shared.multiprocessor_count
  copy_engine_count: device_attributes.shared.copy_engine_count
  encoder_count: device_attributes.shared.encoder_count
  decoder_count: device_attributes.shared.decoder_count
  ofa_count: device_attributes.shared.ofa_count
  jpg_count: device_attributes.shared.jpg_count
ecc_error_count
 volatile_count
  sram_uncorrectable: ecc_error_count.volatile_count.sram_uncorrectable
fb_memory_usage
 total: memory.total MiB
 reserved: memory.reserved MiB
 used: memory.used MiB
 free: memory.free MiB
bar1_memory_usage
 total: bar1_memory_usage.total MiB
 used: bar1_memory_usage.used MiB
 free: bar1_memory_usage.free MiB
"""
