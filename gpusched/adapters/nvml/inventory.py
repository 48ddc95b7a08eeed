"""Which devices there are: GPUs in index order, each with its MIG devices behind it.

Exists because what is known of a device outlives one pass: a lost GPU has no UUID to ask for any
more, and a size that was read once does not become unknown. What changes from tick to tick is
read in `sampler`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.mig_profile import mig_profile
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.core.device import Device, DeviceNode, MigInstance
from gpusched.core.fault import Recovery
from gpusched.core.gputype import gpu_type_of
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import LostDevice, Memory, Reading, Unavailable

_NEEDS: Final[Mapping[int, Recovery]] = {
    binding.GPU_IS_LOST: Recovery.REBOOT,
    binding.RESET_REQUIRED: Recovery.RESET,
}
"""What helps a GPU that answers every call with this code."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that answers.

    Attributes:
        device: What it is.
        handle: To ask it for more, within this pass.
        memory: Already read, since its size belongs to the device.
    """

    device: Device
    handle: binding.Handle
    memory: Reading[Memory]


class Inventory:
    """The devices of one driver load; begun anew with every initialisation of the library."""

    def __init__(self, places: NodePlaces) -> None:
        self._places = places
        self._gpus: dict[DeviceUuid, Device] = {}
        self._seen_at: dict[int, tuple[DeviceUuid, ...]] = {}

    def gpu(self, index: int) -> tuple[list[Found], list[LostDevice]]:
        """Look at one GPU and, where it is partitioned, at its MIG devices.

        Args:
            index: NVML index.

        Returns:
            The devices that answer, the GPU first, and the MIG devices that do not.

        Raises:
            binding.NvmlFailure: The GPU gives no handle or is lost; the others may be well.
        """
        handle = binding.handle(index)
        uuid = DeviceUuid(binding.uuid(handle))
        known = self._gpus.get(uuid) or self._describe(uuid, handle)
        memory = binding.reading(binding.memory, handle)
        device = _sized(replace(known, index=index), memory)
        device = replace(
            device,
            gpu_type=gpu_type_of(device.product_name, device.memory_total),
            mig_enabled=binding.mig_enabled(handle),
            # Each time: the display driver is a module of its own, loaded later or never.
            dri_nodes=self._places.of_display(known.pci_bus_id),
        )
        self._gpus[uuid] = device
        found = [Found(device, handle, memory)]
        lost: list[LostDevice] = []
        if device.mig_enabled:
            instances, lost = self._instances(device, handle)
            found += instances
        self._seen_at[index] = tuple(one.device.uuid for one in found)
        return found, lost

    def lost(self, index: int, failure: binding.NvmlFailure) -> list[LostDevice]:
        """Name what was last seen at *index*: the GPU, and the MIG devices that went with it."""
        gpu, *instances = self._seen_at.get(index, (None,))
        needs = _NEEDS.get(failure.code)
        return [
            LostDevice(index, gpu, failure.words, needs),
            *(LostDevice(index, one, failure.words) for one in instances),
        ]

    def _describe(self, uuid: DeviceUuid, handle: binding.Handle) -> Device:
        """Read what cannot change while the driver stays loaded."""
        name = binding.product_name(handle)
        bus = binding.pci_bus_id(handle)
        minor = _or_none(binding.reading(binding.minor_number, handle))
        return Device(
            uuid=uuid,
            index=-1,
            minor=minor,
            pci_bus_id=bus,
            product_name=name,
            gpu_type=gpu_type_of(name, None),
            memory_total=None,
            nodes=() if minor is None else (self._places.of_gpu(minor),),
            numa_node=self._places.numa_node(bus),
        )

    def _instances(
        self, gpu: Device, handle: binding.Handle
    ) -> tuple[list[Found], list[LostDevice]]:
        """Enumerate the MIG devices; made and destroyed at any time, so nothing is kept."""
        found: list[Found] = []
        lost: list[LostDevice] = []
        for index, mig in binding.mig_handles(handle):
            try:
                found.append(self._instance(gpu, index, mig))
            except binding.NvmlFailure as failure:
                if failure.code in binding.GONE:
                    raise
                reason = f"MIG device {index}: {failure.words}"
                lost.append(LostDevice(index=gpu.index, uuid=None, reason=reason))
        return found, lost

    def _instance(self, gpu: Device, index: int, mig: binding.Handle) -> Found:
        place = MigInstance(
            parent=gpu.uuid,
            gpu_instance=binding.gpu_instance(mig),
            compute_instance=binding.compute_instance(mig),
            profile=mig_profile(mig, gpu.memory_total),
        )
        memory = binding.reading(binding.memory, mig)
        device = replace(
            gpu,
            uuid=DeviceUuid(binding.uuid(mig)),
            index=index,
            product_name=binding.product_name(mig),
            memory_total=None,
            driver_reserved=0,
            nodes=tuple(chain(gpu.nodes, self._capabilities(gpu, place))),
            dri_nodes=(),  # they open the whole GPU
            mig=place,
            mig_enabled=False,
        )
        return Found(_sized(device, memory), mig, memory)

    def _capabilities(self, gpu: Device, place: MigInstance) -> list[DeviceNode]:
        if gpu.minor is None:
            return []
        return self._places.of_mig(gpu.minor, place.gpu_instance, place.compute_instance)


def _sized(device: Device, memory: Reading[Memory]) -> Device:
    """Enter the sizes just read; those of an earlier pass stay where there are none."""
    if isinstance(memory, Unavailable):
        return device
    return replace(device, memory_total=memory.total, driver_reserved=memory.reserved)


def _or_none(value: Reading[int]) -> int | None:
    return None if isinstance(value, Unavailable) else value
