"""A schedulable device and what it is physically; nothing about who has it.

A device is a whole GPU or a MIG instance. Its UUID is its identity; index, minor number and PCI
bus id are attributes that may change over a reboot or a hot-plug.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gpusched.core.gputype import GpuType
from gpusched.core.ids import DeviceUuid


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A character device a holder must be able to open, as BPF sees it."""

    path: str
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class MigInstance:
    """Where a MIG device sits on its GPU.

    Attributes:
        parent: UUID of the GPU.
        gpu_instance: GI id.
        compute_instance: CI id.
        profile: Such as `3g.40gb`.
    """

    parent: DeviceUuid
    gpu_instance: int
    compute_instance: int
    profile: str


@dataclass(frozen=True, slots=True)
class Device:
    """One entry of the inventory.

    Attributes:
        uuid: The identity.
        index: NVML index of the GPU; for a MIG device the index within its parent.
        minor: Minor number of the GPU's `/dev/nvidiaN`; None where NVML does not say.
        pci_bus_id: NVML's form, eight-digit domain: `00000000:07:00.0`.
        product_name: As NVML names it.
        gpu_type: Canonical type and aliases.
        memory_total: Bytes; None on a GPU without framebuffer of its own.
        driver_reserved: Bytes of it that the driver keeps.
        nodes: Its own device nodes (for MIG: the parent's and the capability nodes).
        dri_nodes: Display nodes of the GPU (`/dev/dri/card1`, `/dev/dri/renderD128`).
        mig: Set for a MIG device.
        mig_enabled: Whether this GPU is partitioned: then only its instances are handed out.
        numa_node: None where unknown.
    """

    uuid: DeviceUuid
    index: int
    minor: int | None
    pci_bus_id: str
    product_name: str
    gpu_type: GpuType
    memory_total: int | None
    driver_reserved: int = 0
    nodes: tuple[DeviceNode, ...] = ()
    dri_nodes: tuple[DeviceNode, ...] = ()
    mig: MigInstance | None = None
    mig_enabled: bool = False
    numa_node: int | None = None

    @property
    def memory_domain(self) -> str:
        """Name the framebuffer it allocates from: compute instances of one GI share theirs."""
        if self.mig is None:
            return self.uuid
        return f"{self.mig.parent}/gi{self.mig.gpu_instance}"

    @property
    def physical(self) -> DeviceUuid:
        """Name the GPU it is on: itself, or the MIG parent."""
        return self.uuid if self.mig is None else self.mig.parent

    @property
    def order(self) -> tuple[str, int]:
        """Sort key of every listing: PCI bus id, then MIG index (a GPU comes before its own)."""
        return (self.pci_bus_id, -1 if self.mig is None else self.index)


def largest_of(devices: Iterable[Device]) -> int:
    """Give the bytes of the largest memory among *devices*; 0 where none has one."""
    return max((one.memory_total or 0 for one in devices), default=0)


def shared_domains(devices: Iterable[Device]) -> dict[str, tuple[DeviceUuid, ...]]:
    """Give the memory domains that several devices allocate from, with those in their order."""
    found: dict[str, list[DeviceUuid]] = {}
    for one in devices:
        if one.mig is not None:
            found.setdefault(one.memory_domain, []).append(one.uuid)
    return {name: tuple(uuids) for name, uuids in found.items() if len(uuids) > 1}
