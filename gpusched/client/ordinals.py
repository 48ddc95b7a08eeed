"""Which number CUDA gives to a device of a lease, in a process that has the lease's environment.

Exists because that is not its place in the lease: the mask may be of host indices, ordinals or
UUIDs, the kernel may hide the other devices, and of several MIG instances CUDA shows one. Nothing
of CUDA or torch may be loaded: whoever asks may be about to choose a device for them. Source:
NVIDIA's CUDA programming guide (`CUDA_VISIBLE_DEVICES`) and MIG user guide.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from gpusched.client.errors import NoSuchDevice

_MASK = "CUDA_VISIBLE_DEVICES"
_GPU_NODE = re.compile(r"nvidia\d+")


@dataclass(frozen=True, slots=True)
class LeasedDevice:
    """One device of a lease.

    Attributes:
        uuid: The identity, `GPU-…` or `MIG-…` in full length.
        index: NVML's number on the host, of a MIG instance within its GPU. Not CUDA's: see
            `HeldLease.torch_device`.
        type: Canonical type, such as `"nvidia-l4"`.
        memory_limit: Bytes that the lease may use here, CUDA context included; None: no limit.
        nodes: Paths of its device nodes on the host, such as `"/dev/nvidia0"`.
        exclusive: Whether nobody else may have a share of it.
        pci_bus_id: Of the GPU, with the eight-digit domain: `"00000000:07:00.0"`.
    """

    uuid: str
    index: int
    type: str
    memory_limit: int | None
    nodes: tuple[str, ...]
    exclusive: bool
    pci_bus_id: str


def ordinal_of(
    place: int,
    devices: Sequence[LeasedDevice],
    environment: Mapping[str, str],
    *,
    relative: bool,
    hidden: bool,
    beside: Sequence[LeasedDevice] = (),
) -> int:
    """Give the CUDA ordinal of the device at *place* in a lease.

    Args:
        place: From 0.
        devices: Those of the lease, in the order granted.
        environment: The lease's.
        relative: Whether numbers of the mask count the lease's devices only, not the host's.
        hidden: Whether the process sees no other devices, so that CUDA counts from these.
        beside: Those that it sees all the same: the other workers' of a lease that is shared out.

    Raises:
        NoSuchDevice: There is no such place, or CUDA does not show what is there.
    """
    if not 0 <= place < len(devices):
        raise NoSuchDevice(_none_there(place, devices))
    mask = environment.get(_MASK, "")
    shown = _shown(mask, devices, (*devices, *beside), relative=relative, hidden=hidden)
    wanted = devices[place].uuid
    if wanted not in shown:
        raise NoSuchDevice(_why_not(wanted, mask, hidden=hidden))
    return shown.index(wanted)


def alone(devices: Iterable[LeasedDevice]) -> bool:
    """Say whether the nodes of no other GPU are there, as in a container."""
    own = {path for one in devices for path in one.nodes if _is_gpu(path)}
    folders = {Path(path).parent for path in own}
    there = {str(path) for one in folders if one.is_dir() for path in one.iterdir()}
    return bool(own & there) and not any(_is_gpu(path) for path in there - own)


def _is_gpu(path: str) -> bool:
    return _GPU_NODE.fullmatch(Path(path).name) is not None


def _shown(
    mask: str,
    devices: Sequence[LeasedDevice],
    seen: Sequence[LeasedDevice],
    *,
    relative: bool,
    hidden: bool,
) -> list[str]:
    """Give the UUIDs of the lease's devices by CUDA ordinal; empty for somebody else's."""
    words = [one.strip() for one in mask.split(",") if one.strip()]
    if not all(one.isdecimal() for one in words):
        instances = [one for one in words if one.startswith("MIG-")]
        return instances[:1] or words
    if hidden:
        counted = [one.uuid for one in sorted(seen, key=lambda one: one.pci_bus_id)]
        # CUDA takes the first number that names nothing for the end of the list.
        return [counted[int(one)] for one in takewhile(lambda n: int(n) < len(counted), words)]
    if relative:
        by_index = {str(one.index): one.uuid for one in devices}
        return [by_index.get(one, "") for one in words]
    return [one.uuid for one in devices]


def _none_there(place: int, devices: Sequence[LeasedDevice]) -> str:
    if not devices:
        return f"there is no device {place}: the lease has none; ask for one with gpus=1"
    last = len(devices) - 1
    return f"there is no device {place}: those of the lease are 0 to {last}"


def _why_not(uuid: str, mask: str, *, hidden: bool) -> str:
    start = f"{uuid} has no number in CUDA"
    if uuid.startswith("MIG-"):
        return (
            f"{start}: it shows a process one MIG instance, the first of its mask; let each"
            f" worker set {_MASK} to its own"
        )
    if hidden:
        return (
            f"{start}: the mask {mask} is of host indices, and the other devices are hidden"
            ' here; ask with mask_format="auto" or "uuid"'
        )
    return (
        f"{start}: the mask {mask} counts only devices of the lease, and here are others, too;"
        ' ask with mask_format="auto" or "uuid"'
    )
