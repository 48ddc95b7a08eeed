"""Specification: the XML of a simulated host is that of the card it was read off."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from gpusched.cli.smi.xml import xml_of
from gpusched.client.document import Document
from tests.fakes.surveyed import surveyed

CAPTURES = Path(__file__).parents[1] / "data" / "nvidia_smi"

PROFILES = {"a100": "A100-40GB", "h100": "H100", "l40s": "L40S", "t4": "T4"}

NOT_READ = {
    "timestamp": "when it was read",
    "addressing_mode": "no public call on these drivers",
    "gpu_part_number": "no public call",
    "gpu_recovery_action": "a field value, read with the health of a device",
    "temperature.gpu_temp_tlimit": "read by a call of newer drivers",
    "temperature.memory_temp": "a field value",
    "gpu_power_readings.average_power_draw": "a field value",
    "inforom_bbx_flush.latest_timestamp": "no public call",
    "inforom_bbx_flush.latest_duration": "no public call",
    "c2c_mode": "read by a call of newer drivers",
    "sparse_operation_mode": "no public call",
    "retired_pages.multiple_single_bit_retirement.retired_count": "only Turing counts them",
    "retired_pages.multiple_single_bit_retirement.retired_pagelist": "only Turing lists them",
    "retired_pages.double_bit_retirement.retired_count": "only Turing counts them",
    "retired_pages.double_bit_retirement.retired_pagelist": "only Turing lists them",
    "gpu_power_readings.power_state": "drivers of 590 and later say that it is deprecated",
}
"""Elements that are written but not read: what the capture has may differ."""

OF_OTHER_BRANCHES = {
    "gpu_reset_status.reset_required": "left out by 580 and later",
    "gpu_reset_status.drain_and_reset_recommended": "left out by 580 and later",
    "ecc_errors.volatile.sram_uncorrectable": "two counters on Ampere and later",
    "ecc_errors.aggregate.sram_uncorrectable": "two counters on Ampere and later",
    "temperature.gpu_temp_max_threshold": "left out where the card has none",
    "temperature.gpu_temp_slow_threshold": "left out where the card has none",
    "temperature.gpu_temp_max_gpu_threshold": "left out where the card has none",
    "temperature.gpu_temp_max_mem_threshold": "left out where the card has none",
    "remapped_rows.": "one N/A for all on Turing",
}
"""Elements that this capture may lack, because another branch or card has them."""

MOVING = (
    *("pci.tx_util", "pci.rx_util", "pci.replay_counter", "platformInfo.module_id"),
    "board_part_number",
    *("gpu_power_readings.instant_power_draw", "temperature.gpu_temp", "clocks.", "serial"),
)
"""Differ among the eight cards of one host: compared for the first."""


def leaves(element: Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Every element without others in it, by its path below the GPU."""
    for one in element:
        place = f"{path}{one.tag}"
        if len(one):
            yield from leaves(one, f"{place}.")
        else:
            yield place, (one.text or "").strip()


def scenario(log: Element, profile: str) -> str:
    """The simulated host of a capture: its cards with their identities."""
    gpus = log.findall("gpu")
    lines = [f'driver = "{log.findtext("driver_version")}"']
    lines.append(f'cuda = "{log.findtext("cuda_version")}"')
    for gpu in gpus:
        lines += [
            "[[device]]",
            f'profile = "{profile}"',
            f'uuid = "{gpu.findtext("uuid")}"',
            f'serial = "{gpu.findtext("serial")}"',
            f'bus_id = "{gpu.get("id")}"',
            f"minor = {gpu.findtext('minor_number')}",
        ]
    return "\n".join(lines)


def logs(name: str) -> tuple[Element, Element]:
    """The capture, and what we print of its simulated host."""
    theirs = fromstring((CAPTURES / f"{name}.xml").read_text())  # noqa: S314 - a file of the tests
    document = Document(surveyed(scenario(theirs, PROFILES[name])))
    return theirs, fromstring(xml_of(document))  # noqa: S314 - our own


@pytest.mark.parametrize("name", PROFILES)
def test_the_xml_is_the_captures(name: str) -> None:
    """Every element that is read has the value that nvidia-smi printed of the real card."""
    theirs, ours = logs(name)
    for tag in ("driver_version", "cuda_version", "attached_gpus"):
        assert ours.findtext(tag) == theirs.findtext(tag)
    pairs = list(zip(ours.findall("gpu"), theirs.findall("gpu"), strict=True))
    for place, (mine, original) in enumerate(pairs):
        assert mine.get("id") == original.get("id")
        wanted = dict(leaves(original))
        compared = 0
        for path, value in leaves(mine):
            moving = place > 0 and path.startswith(MOVING)
            if path in NOT_READ or moving:
                continue
            if path not in wanted:
                assert path.startswith(tuple(OF_OTHER_BRANCHES)), path
                continue
            assert (path, value) == (path, wanted[path])
            compared += 1
        assert compared > 110


@pytest.mark.parametrize("name", PROFILES)
def test_elements_stand_in_the_captures_order(name: str) -> None:
    """A parser that reads on from element to element finds each where nvidia-smi has it."""
    theirs, ours = logs(name)
    (mine, *_), (original, *_) = ours.findall("gpu"), theirs.findall("gpu")
    tags = {one.tag for one in mine}
    order = [one.tag for one in original if one.tag in tags]
    assert [one.tag for one in mine if one.tag in set(order)] == order
