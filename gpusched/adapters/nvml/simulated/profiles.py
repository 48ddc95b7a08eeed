"""The cards a scenario can name, read from `profiles.toml`; nothing about a particular host.

A profile is what is the same for every card of a model. What differs between two of them (UUID,
minor, bus id, state) belongs to the scenario.
"""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MIB = 1 << 20
_KIB = 1 << 10


@dataclass(frozen=True, slots=True)
class GpuInstanceProfile:
    """A way to cut a GPU instance.

    Attributes:
        name: Such as `3g.40gb`.
        compute_slices: Of the seven that a GPU has.
        memory_slices: Of the eight that a GPU has.
        memory: Bytes of framebuffer.
        multiprocessors: Number of SMs.
        decoders: Number of video decoders.
        jpeg_engines: Number of JPEG engines.
        flow_engines: Number of optical flow engines.
    """

    name: str
    compute_slices: int
    memory_slices: int
    memory: int
    multiprocessors: int
    decoders: int
    jpeg_engines: int
    flow_engines: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """MHz, in the order of NVML's clock types 0 to 3."""

    graphics: int
    sm: int
    memory: int
    video: int

    def by_type(self, clock_type: int) -> int | None:
        """Give the clock that NVML numbers *clock_type*; None where there is none."""
        known = (self.graphics, self.sm, self.memory, self.video)
        return known[clock_type] if 0 <= clock_type < len(known) else None


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """Milliwatts."""

    idle: int
    default: int
    least: int
    greatest: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One model of card.

    Attributes:
        key: Its name in scenarios.
        name: NVML's product name.
        brand: `nvidia` or `geforce`.
        architecture: Such as `hopper`.
        capability: CUDA compute capability.
        multiprocessors: Number of SMs.
        rank: The greater, the earlier in CUDA's FASTEST_FIRST order.
        memory: Bytes of framebuffer.
        reserved: Bytes of it that the driver keeps.
        bar1: Bytes of the BAR1 aperture.
        bar1_used: Bytes of it in use on an idle card.
        power: Idle draw and limits.
        clocks: On an idle card.
        max_clocks: Greatest.
        temperature: Degrees Celsius of an idle card.
        pci_device_id: Device in the high, vendor in the low half.
        pci_subsystem_id: Likewise.
        vbios: Version.
        performance_state: P-state of an idle card.
        ecc: Whether it has ECC memory (then it is on).
        fan_percent: None for a card without a fan of its own.
        nvlinks: Number of NVLinks, all to a switch.
        mig: Ways to cut it, by name; empty where MIG is not supported.
        captured: Whether the values were read off a card.
    """

    key: str
    name: str
    brand: str
    architecture: str
    capability: tuple[int, int]
    multiprocessors: int
    rank: int
    memory: int
    reserved: int
    bar1: int
    bar1_used: int
    power: PowerLimits
    clocks: Clocks
    max_clocks: Clocks
    temperature: int
    pci_device_id: int
    pci_subsystem_id: int
    vbios: str
    performance_state: int = 0
    ecc: bool = True
    fan_percent: int | None = None
    nvlinks: int = 0
    mig: Mapping[str, GpuInstanceProfile] = field(default_factory=dict)
    captured: bool = False


@functools.cache
def profiles() -> Mapping[str, Profile]:
    """Give all profiles by name, in the order of the file."""
    with Path(__file__).with_name("profiles.toml").open("rb") as file:
        return {key: _profile(key, table) for key, table in tomllib.load(file).items()}


def find_profile(name: str) -> Profile | None:
    """Give the profile called *name*, in whatever case; None where there is none."""
    wanted = name.replace(" ", "").lower()
    return next((one for key, one in profiles().items() if key.lower() == wanted), None)


def _profile(key: str, table: dict[str, Any]) -> Profile:
    major, minor = table["capability"]
    return Profile(
        key=key,
        name=table["name"],
        brand=table.get("brand", "nvidia"),
        architecture=table["architecture"],
        capability=(major, minor),
        multiprocessors=table["multiprocessors"],
        rank=table["rank"],
        memory=table["memory_mib"] * _MIB,
        reserved=table["reserved_kib"] * _KIB,
        bar1=table["bar1_mib"] * _MIB,
        bar1_used=table.get("bar1_used_mib", 0) * _MIB,
        power=PowerLimits(*(round(watts * 1000) for watts in table["power_watts"])),
        clocks=Clocks(*table["clocks_mhz"]),
        max_clocks=Clocks(*table["max_clocks_mhz"]),
        temperature=table["temperature"],
        pci_device_id=table["pci_device_id"],
        pci_subsystem_id=table["pci_subsystem_id"],
        vbios=table["vbios"],
        performance_state=table.get("performance_state", 0),
        ecc=table.get("ecc", True),
        fan_percent=table.get("fan_percent"),
        nvlinks=table.get("nvlinks", 0),
        mig={name: _gpu_instance(name, cut) for name, cut in table.get("mig", {}).items()},
        captured=table.get("captured", False),
    )


def _gpu_instance(name: str, cut: list[int]) -> GpuInstanceProfile:
    compute_slices, memory_slices, memory_mib, *engines = cut
    return GpuInstanceProfile(name, compute_slices, memory_slices, memory_mib * _MIB, *engines)
