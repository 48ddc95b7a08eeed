"""What a simulated card says beyond its profile: one table of keys, their types and their units.

Exists because `nvidia-smi -q` asks for some hundred values that no decision looks at. They are
kept as plain values by key, so that a scenario can give each of them; an unknown key is a fault.
"""

import functools
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gpusched.adapters.nvml.simulated.fields import Fields
from gpusched.adapters.nvml.simulated.profiles import Profile

Detail: TypeAlias = int | str | tuple[int, ...] | tuple[tuple[int, ...], ...]
"""A number (flags are 0 and 1, watts are milliwatts), a text, or several numbers."""

Details: TypeAlias = Mapping[str, Detail]
"""By key; one that is not there is NOT_SUPPORTED."""

NOT_AVAILABLE = "N/A"
"""In a scenario: the key is NOT_SUPPORTED, whatever the profile says."""

_GREATEST = 2**63 - 1
_CLOCK_STEP = 15  # MHz between two supported graphics clocks, of every captured card


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a key is written.

    Attributes:
        read: Gives the value of what stands in TOML; raises ValueError where it is none.
        write: Gives it as TOML again.
        words: What it is, for a fault.
    """

    read: Callable[[object], Detail]
    write: Callable[[Detail], object]
    words: str


def _text(found: object) -> str:
    if isinstance(found, str):
        return found
    raise ValueError


def _number(found: object) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) <= _GREATEST:
        return found
    raise ValueError


def _flag(found: object) -> int:
    if isinstance(found, bool):
        return int(found)
    raise ValueError


def _watts(found: object) -> int:
    if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
        return round(found * 1000)
    raise ValueError


def _numbers(found: object) -> tuple[int, ...]:
    if isinstance(found, list | tuple):
        return tuple(_number(one) for one in found)
    raise ValueError


def _rows(found: object) -> tuple[tuple[int, ...], ...]:
    if isinstance(found, list | tuple) and all(len(_numbers(one)) == 3 for one in found):  # noqa: PLR2004 - memory, greatest, least
        return tuple(_numbers(one) for one in found)
    raise ValueError


def _milli(value: Detail) -> object:
    return _number(value) / 1000


_TEXT = _Kind(_text, lambda value: value, "a text")
_NUMBER = _Kind(_number, lambda value: value, "a whole number")
_FLAG = _Kind(_flag, bool, "true or false")
_WATTS = _Kind(_watts, _milli, "a number of watts")
_NUMBERS = _Kind(_numbers, lambda value: value, "a list of whole numbers")
_ROWS = _Kind(_rows, lambda value: value, "a list of [memory clock, greatest, least], in MHz")

_KINDS: Mapping[_Kind, str] = {
    # inforom_*: versions. fabric_cluster: a UUID.
    _TEXT: """product_name board_part_number inforom_image inforom_oem inforom_ecc inforom_power
        fabric_cluster""",
    _FLAG: """display_attached display_active accounting multigpu_board ecc ecc_pending
        mig_pending c2c sram_threshold_exceeded retired_pending unrepairable_memory egm""",
    # *_mode, *_state, event_reasons, fabric_health: NVML's numbers. pcie_tx, pcie_rx:
    # KB/s. *_temperature, *_tlimit, *_margin: degrees Celsius. *_utilization, fan_speed: percent.
    # *_clock: MHz. sram_uncorrected_*: those of sram_parity_* included.
    _NUMBER: """pdi module_id accounting_buffer addressing_mode virtualization_mode
        performance_state fan_speed pcie_generation pcie_generation_max
        pcie_width pcie_width_max replay_counter replay_rollover pcie_tx pcie_rx event_reasons
        power_cap_microseconds sync_boost_microseconds sw_thermal_microseconds
        hw_thermal_microseconds power_brake_microseconds encoder_utilization
        decoder_utilization jpeg_utilization ofa_utilization sram_corrected_volatile
        sram_corrected_aggregate sram_uncorrected_volatile sram_uncorrected_aggregate
        sram_parity_volatile sram_parity_aggregate dram_corrected_volatile
        dram_corrected_aggregate dram_uncorrected_volatile dram_uncorrected_aggregate
        shutdown_temperature slowdown_temperature max_memory_temperature max_gpu_temperature
        temperature_margin shutdown_tlimit slowdown_tlimit max_memory_tlimit max_gpu_tlimit
        memory_temperature boost_clock fabric_state fabric_clique fabric_health""",
    _WATTS: "average_power_watts average_memory_power_watts",
    # encoder_stats, fbc_stats: sessions, frames per second, latency. inforom_flush: microseconds
    # since the epoch, and duration. sram_sources: L2, SM, microcontroller, PCIe, other.
    # retired_*_bit: addresses. remapped_rows: correctable, uncorrectable, pending, failure;
    # remapped_inactive: the first two; remapped_histogram: max, high, partial, low, none.
    # repair_pending: channel, TPC. *_application_clocks: graphics, memory.
    _NUMBERS: """encoder_stats fbc_stats inforom_flush sram_sources retired_single_bit
        retired_double_bit remapped_rows remapped_inactive remapped_histogram repair_pending
        application_clocks default_application_clocks""",
    _ROWS: "supported_clocks",
}
KEYS: Mapping[str, _Kind] = {key: kind for kind, keys in _KINDS.items() for key in keys.split()}
"""Every key."""


def graphics_clocks(row: tuple[int, ...]) -> range:
    """Give the graphics clocks of a row of `supported_clocks`, the greatest first."""
    _memory, greatest, least = row
    return range(greatest, least - 1, -_CLOCK_STEP)


def details_of(profile: Profile) -> Details:
    """Give what a card of *profile* says."""
    tables = _tables()
    told = {**tables["default"], **tables.get(profile.key, {})}
    found = {key: KEYS[key].read(value) for key, value in told.items()}
    found["product_name"] = profile.name
    found["performance_state"] = profile.performance_state
    if profile.fan_percent is not None:
        found["fan_speed"] = profile.fan_percent
    if profile.ecc:
        found |= {"ecc": 1, "ecc_pending": 1}
    return found


def read_details(fields: Fields, base: Details) -> Details:
    """Read a table of details; what is not said stays as it is in *base*."""
    found = dict(base)
    for key, kind in KEYS.items():
        told = fields.anything(key)
        if told == NOT_AVAILABLE:
            found.pop(key, None)
        elif told is not None:
            try:
                found[key] = kind.read(told)
            except (ValueError, TypeError):
                fields.fault(key, f"{told!r} is not {kind.words}")
    fields.finish()
    return found


def written(details: Details, base: Details) -> Mapping[str, object]:
    """Give what has to be said of *details* so that over *base* they are read again."""
    changed = {
        key: KEYS[key].write(value) for key, value in details.items() if base.get(key) != value
    }
    return changed | dict.fromkeys((key for key in base if key not in details), NOT_AVAILABLE)


@functools.cache
def _tables() -> Mapping[str, Mapping[str, object]]:
    with Path(__file__).with_name("details.toml").open("rb") as file:
        return tomllib.load(file)
