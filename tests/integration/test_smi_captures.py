"""Specification: the XML of a simulated host is what nvidia-smi printed of the real one."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from gpusched.cli.smi.xml import xml_of
from gpusched.client.document import Document
from tests.fakes.surveyed import surveyed

CAPTURES = Path(__file__).parents[1] / "data" / "nvidia_smi"
PROFILES = {"a100": "A100-40GB", "h100": "H100", "l40s": "L40S", "t4": "T4"}

NOT_FILLED = {
    "gpu_part_number": "NVML has no public call",
    "sparse_operation_mode": "NVML has no public call",
}
"""Elements for which NVML has no call, with the reason: `N/A` of every card."""


def text_of(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def number_in(element: Element, path: str) -> str:
    """The number of an element such as `93088 us`."""
    return text_of(element, path).split()[0]


def flush_of(gpu: Element) -> str:
    moment = text_of(gpu, "inforom_bbx_flush/latest_timestamp")
    at = datetime.strptime(f"{moment}000", "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
    microseconds = round(at.timestamp() * 1_000_000)
    return f"[{microseconds}, {number_in(gpu, 'inforom_bbx_flush/latest_duration')}]"


OWN: dict[str, Callable[[Element], str]] = {
    "board_part_number": lambda gpu: f'"{text_of(gpu, "board_part_number")}"',
    "module_id": lambda gpu: text_of(gpu, "platformInfo/module_id"),
    "inforom_flush": flush_of,
    "replay_counter": lambda gpu: text_of(gpu, "pci/replay_counter"),
    "pcie_tx": lambda gpu: number_in(gpu, "pci/tx_util"),
    "pcie_rx": lambda gpu: number_in(gpu, "pci/rx_util"),
    "power_cap_microseconds": lambda gpu: number_in(
        gpu, "clocks_event_reasons_counters/clocks_event_reasons_counters_sw_power_cap"
    ),
    "temperature_margin": lambda gpu: number_in(gpu, "temperature/gpu_temp_tlimit"),
    "memory_temperature": lambda gpu: number_in(gpu, "temperature/memory_temp"),
    "average_power_watts": lambda gpu: number_in(gpu, "gpu_power_readings/average_power_draw"),
    "average_memory_power_watts": lambda gpu: number_in(
        gpu, "gpu_memory_power_readings/average_power_draw"
    ),
}
"""Details in which the second to the eighth card of a host differ from the first."""


def scenario(log: Element, profile: str) -> str:
    """The simulated host of a capture: its first card is the profile, the others differ by OWN."""
    lines = [
        f'driver = "{text_of(log, "driver_version")}"',
        f'cuda = "{text_of(log, "cuda_version")}"',
    ]
    for place, gpu in enumerate(log.findall("gpu")):
        pdi = text_of(gpu, "pdi")
        own = {"pdi": str(int(pdi, 16))} if pdi else {}
        if place:
            own |= {key: ask(gpu) for key, ask in OWN.items()}
        lines += [
            "[[device]]",
            f'profile = "{profile}"',
            f'uuid = "{text_of(gpu, "uuid")}"',
            f'serial = "{text_of(gpu, "serial")}"',
            f'bus_id = "{gpu.get("id")}"',
            f"minor = {text_of(gpu, 'minor_number')}",
            f"temperature = {number_in(gpu, 'temperature/gpu_temp')}",
            f"power_watts = {number_in(gpu, 'gpu_power_readings/instant_power_draw')}",
            f"details = {{ {', '.join(f'{key} = {value}' for key, value in own.items())} }}",
        ]
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of the captures are read as UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def tag_of(line: str) -> str:
    return line.strip().removeprefix("<").partition(">")[0]


@pytest.mark.parametrize("name", PROFILES)
def test_the_xml_is_the_captures(name: str) -> None:
    """Line by line: every element, its place, its indentation and its value, of every card."""
    theirs = (CAPTURES / f"{name}.xml").read_text()
    log = fromstring(theirs)  # noqa: S314 - a file of the tests
    document = surveyed(scenario(log, PROFILES[name]))
    taken = datetime.strptime(text_of(log, "timestamp"), "%a %b %d %H:%M:%S %Y")  # noqa: DTZ007 - as UTC below
    document["at"] = taken.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    ours = xml_of(Document(document)).splitlines()
    wanted = theirs.splitlines()
    assert [tag_of(line) for line in ours] == [tag_of(line) for line in wanted]
    differing = {
        tag_of(line) for line, original in zip(ours, wanted, strict=True) if line != original
    }
    assert differing <= NOT_FILLED.keys()
    assert "gpu_part_number" in differing
    for line in ours:
        if tag_of(line) in NOT_FILLED:
            assert ">N/A<" in line


def test_what_is_not_filled_is_somewhere_filled_by_nvidia() -> None:
    """An element is on the list only while some capture has more than we say."""
    said = {
        tag
        for name in PROFILES
        for tag in NOT_FILLED
        for value in fromstring((CAPTURES / f"{name}.xml").read_text()).iter(tag)  # noqa: S314 - a file of the tests
        if value.text != "N/A"
    }
    assert said == set(NOT_FILLED)
