"""Specification: `-q -x` for what the captures do not have: faults, MIG, other branches."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from gpusched.cli.smi.xml import xml_of
from gpusched.client.document import Document
from tests.fakes.surveyed import surveyed


def gpus(scenario: str) -> list[Element]:
    log = fromstring(xml_of(Document(surveyed(scenario))))  # noqa: S314 - our own text
    return log.findall("gpu")


def test_a_lost_gpu() -> None:
    """Every value of a lost GPU says that it is lost, and the next GPU is whole."""
    lost, whole = gpus('[[device]]\nprofile = "L4"\nfaults = { lost = true }\n' + L4)
    assert lost.findtext("product_name") == "GPU is lost"
    assert lost.findtext("ecc_errors/volatile/dram_correctable") == "GPU is lost"
    assert (lost.findtext("processes") or "").strip() == "not readable: GPU is lost"
    assert whole.findtext("product_name") == "NVIDIA L4"


def test_a_list_that_may_not_be_read() -> None:
    """A process list that is refused is said, and is no empty one."""
    (one,) = gpus('[[device]]\nprofile = "L4"\nfaults = { no_permission = true }\n')
    assert (one.findtext("processes") or "").strip() == "not readable: Insufficient Permissions"


def test_a_partitioned_gpu() -> None:
    """Instances have their place, their engines and their memory; processes say theirs, and a
    name with marks of XML is read back as it was.
    """
    (one,) = gpus(
        '[[device]]\nprofile = "A100-40GB"\nmig = ["3g.20gb"]\n'
        '[[process]]\npid = 4\ngi = 1\nci = 0\nname = "/a<b>&\\u0007"\nmemory = "1GiB"\n'
    )
    instance = one.find("mig_devices/mig_device")
    assert instance is not None
    assert instance.findtext("gpu_instance_id") == "1"
    assert instance.findtext("device_attributes/shared/multiprocessor_count") == "42"
    assert instance.findtext("fb_memory_usage/used") == "1024 MiB"
    row = one.find("processes/process_info")
    assert row is not None
    assert [each.text for each in row] == ["1", "0", "4", "C", "/a<b>&?", "1024 MiB"]


def test_retired_pages() -> None:
    """Each retired page has its address."""
    (one,) = gpus('[[device]]\nprofile = "T4"\ndetails = { retired_double_bit = [4096, 8192] }\n')
    pages = one.find("retired_pages/double_bit_retirement")
    assert pages is not None
    assert pages.findtext("retired_count") == "2"
    addresses = [each.text for each in pages.findall("retired_pagelist/retired_page_address")]
    assert addresses == ["0x0000000000001000", "0x0000000000002000"]


@pytest.mark.parametrize(
    ("driver", "there", "absent"),
    [
        ("535.216.01", ["gpu_reset_status", "voltage"], ["pdi", "edpp_multiplier"]),
        ("580.105.08", ["pdi", "display_attached"], ["voltage", "edpp_multiplier"]),
        ("610.43.02", ["pdi", "edpp_multiplier"], ["voltage", "gpu_reset_status"]),
    ],
)
def test_branches(driver: str, there: list[str], absent: list[str]) -> None:
    """A branch before the first that was captured is like that one, one after the last like it."""
    (one,) = gpus(f'driver = "{driver}"\n{L4}')
    assert [one.find(tag) is None for tag in there] == [False] * len(there)
    assert [one.find(tag) is None for tag in absent] == [True] * len(absent)


def test_one_call_that_fails() -> None:
    """A refusal that is no lack of the value is printed in the words of NVML."""
    faults = "faults = { errors = { nvmlDeviceGetFieldValues = 999, nvmlDeviceGetSerial = 3 } }"
    (one,) = gpus(f'[[device]]\nprofile = "H100"\n{faults}\n')
    assert one.findtext("temperature/memory_temp") == "Unknown Error"
    assert one.findtext("serial") == "N/A"
    assert one.findtext("temperature/gpu_temp") == "29 C"


L4 = '[[device]]\nprofile = "L4"\n'
