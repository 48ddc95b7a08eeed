"""Hosts for which decisions are timed, as the core sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpusched.core.device import Device, MigInstance
from gpusched.core.gputype import gpu_type_of
from gpusched.core.ids import SECOND, DeviceUuid, Instant, Moment
from gpusched.core.sample import (
    DeviceReading,
    DriverVersions,
    Memory,
    NodeReading,
    NodeSample,
)
from gpusched.core.sizes import GIB

COMMON, RARE = "NVIDIA H100 80GB HBM3", "NVIDIA L4"
NOW = Moment(Instant(1000 * SECOND), 1_700_000_000 * SECOND)


@dataclass(frozen=True, slots=True)
class Shape:
    """A host, and how its devices are asked for.

    Attributes:
        name: For the figures.
        devices: The inventory.
        common: What of a request asks for one of all devices but the last one.
        rare: What of a request asks for the last one.
    """

    name: str
    devices: tuple[Device, ...]
    common: Mapping[str, object]
    rare: Mapping[str, object]


def gpus(number: int) -> Shape:
    """Give a host of whole GPUs, all of one kind but the last one."""
    devices = tuple(_gpu(place, COMMON if place + 1 < number else RARE) for place in range(number))
    common, rare = ({"gpu_types": (devices[at].gpu_type.name,)} for at in (0, -1))
    return Shape(f"{number} devices", devices, common, rare)


def instances() -> Shape:
    """Give a host of 8 GPUs with 7 MIG instances each, all of one kind but the last one."""
    devices: list[Device] = []
    for place in range(8):
        gpu = _gpu(place, COMMON, partitioned=True)
        devices += [gpu, *(_instance(gpu, number, "1g.10gb") for number in range(7))]
    devices[-1] = _instance(_gpu(7, COMMON), 6, "1g.20gb")
    common, rare = ({"mig_profile": name} for name in ("1g.10gb", "1g.20gb"))
    return Shape("8 x 7 MIG", tuple(devices), common, rare)


def _gpu(place: int, product: str, *, partitioned: bool = False) -> Device:
    memory = (80 if product == COMMON else 24) * GIB
    return Device(
        uuid=DeviceUuid(f"GPU-{place:08d}"),
        index=place,
        minor=place,
        pci_bus_id=f"{place // 256:08X}:{place % 256:02X}:00.0",
        product_name=product,
        gpu_type=gpu_type_of(product, memory),
        memory_total=memory,
        mig_enabled=partitioned,
    )


def _instance(gpu: Device, number: int, profile: str) -> Device:
    return Device(
        uuid=DeviceUuid(f"MIG-{gpu.index:08d}-{number}"),
        index=number,
        minor=gpu.minor,
        pci_bus_id=gpu.pci_bus_id,
        product_name=f"{gpu.product_name} MIG {profile}",
        gpu_type=gpu.gpu_type,
        memory_total=10 * GIB,
        mig=MigInstance(gpu.uuid, number + 7, 0, profile),
    )


def handed_out(devices: tuple[Device, ...]) -> list[Device]:
    """Give the devices that can be leased."""
    return [one for one in devices if not one.mig_enabled]


def sample(devices: tuple[Device, ...]) -> NodeSample:
    """Give a sample of devices that nobody uses."""
    readings = tuple(
        DeviceReading(one, Memory(one.memory_total or 0, 0, 0, one.memory_total or 0), ())
        for one in devices
    )
    begun = NOW.instant
    return NodeSample(begun, NodeReading(begun, begun, DriverVersions(), readings))
