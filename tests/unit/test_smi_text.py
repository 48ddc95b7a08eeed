"""The text of `nvidia-smi -q`, made from the XML of `-q -x`."""

import pytest

from gpusched.cli.smi.labels import SECTIONS
from gpusched.cli.smi.text import UnknownSection, text_lines, wanted_of

LOG = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<timestamp>Sun Nov 22 15:29:36 2026</timestamp>
	<driver_version>570.133.20</driver_version>
	<cuda_version>12.8</cuda_version>
	<attached_gpus>2</attached_gpus>
	<gpu id="00000000:06:00.0">
		<product_name>NVIDIA A100-SXM4-40GB</product_name>
		<mig_devices>
			None
		</mig_devices>
		<pci>
			<pci_bus>06</pci_bus>
			<pci_gpu_link_info>
				<link_widths>
					<max_link_width>16x</max_link_width>
				</link_widths>
			</pci_gpu_link_info>
		</pci>
		<clocks_event_reasons>
			<clocks_event_reason_hw_slowdown>Not Active</clocks_event_reason_hw_slowdown>
			<clocks_event_reason_hw_thermal_slowdown>Active</clocks_event_reason_hw_thermal_slowdown>
		</clocks_event_reasons>
		<fb_memory_usage>
			<total>40960 MiB</total>
		</fb_memory_usage>
		<retired_pages>
			<multiple_single_bit_retirement>
				<retired_count>N/A</retired_count>
			</multiple_single_bit_retirement>
			<pending_blacklist>No</pending_blacklist>
		</retired_pages>
		<power_state>P0</power_state>
		<supported_clocks>
			<supported_mem_clock>
				<value>5 MHz</value>
			</supported_mem_clock>
		</supported_clocks>
		<processes>
			<process_info>
				<gpu_instance_id>N/A</gpu_instance_id>
				<compute_instance_id>N/A</compute_instance_id>
				<pid>333</pid>
				<type>C+G</type>
				<process_name>/usr/bin/gnome-shell</process_name>
				<used_memory>9999 MiB</used_memory>
			</process_info>
			<process_info>
				<pid>7</pid>
				<used_memory>N/A</used_memory>
			</process_info>
		</processes>
	</gpu>
	<gpu id="00000000:07:00.0">
		<processes>
		</processes>
	</gpu>
</nvidia_smi_log>
"""
TEXT = """
==============NVSMI LOG==============

Timestamp                                 : Sun Nov 22 15:29:36 2026
Driver Version                            : 570.133.20
CUDA Version                              : 12.8

Attached GPUs                             : 2
GPU 00000000:06:00.0
    Product Name                          : NVIDIA A100-SXM4-40GB
    PCI
        Bus                               : 0x06
        GPU Link Info
            Link Width
                Max                       : 16x
    Clocks Event Reasons
        HW Slowdown                       : Not Active
            HW Thermal Slowdown           : Active
    FB Memory Usage
        Total                             : 40960 MiB
    Retired Pages
        Single Bit ECC                    : N/A
        Double Bit ECC                    : N/A
        Pending Page Blacklist            : No
    Processes
        GPU instance ID                   : N/A
        Compute instance ID               : N/A
        Process ID                        : 333
            Type                          : C+G
            Name                          : /usr/bin/gnome-shell
            Used GPU Memory               : 9999 MiB
        Process ID                        : 7
            Used GPU Memory               : Not available in WDDM driver model

GPU 00000000:07:00.0
    Processes                             : None

"""


def test_text() -> None:
    """Every element has its label, in the order of the XML; processes have a narrower column."""
    assert "\n".join(text_lines(LOG)) + "\n" == TEXT


def test_sections() -> None:
    """`-d` shows the parts that it names, of every GPU."""
    lines = text_lines(LOG, wanted_of("MEMORY,PIDS"))
    assert "    FB Memory Usage" in lines
    assert "    Processes" in lines
    assert not any("Product Name" in one or "Clocks" in one for one in lines)
    assert any("Value" in one for one in text_lines(LOG, wanted_of("SUPPORTED_CLOCKS")))


@pytest.mark.parametrize(("driver", "colon"), [("550.163.01", 42), ("580.142", 55), ("", 55)])
def test_the_place_of_the_colons(driver: str, colon: int) -> None:
    """Before branch 580 they stood further left; those of processes stand there still."""
    lines = text_lines(LOG.replace("570.133.20", driver))
    assert {one.index(": ") for one in lines if ": " in one} == {42, colon}


def test_sections_are_words_in_any_case() -> None:
    """As NVIDIA's programs take them."""
    assert wanted_of("memory,Pids") == wanted_of("MEMORY,PIDS")


def test_an_unknown_section_is_told() -> None:
    """A word that is no section is named."""
    assert all(wanted_of(one) for one in SECTIONS)
    with pytest.raises(UnknownSection, match="WEATHER"):
        wanted_of("MEMORY,WEATHER")
