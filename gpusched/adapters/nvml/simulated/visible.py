"""Which devices CUDA would show a process, by `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`.

Pure. Source: NVIDIA's CUDA programming guide (environment variables) and MIG user guide, and what
nvitop found by calling the CUDA library.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gpusched.adapters.nvml.simulated.scenario import SimulatedDevice

T = TypeVar("T")

PCI_ORDER = "PCI_BUS_ID"

_ORDINAL = re.compile(r"\+?(\d+)")
_OLD_MIG = re.compile(r"MIG-(GPU-[^/]+)/(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """What one CUDA ordinal stands for.

    Attributes:
        uuid: Of the GPU or the MIG device.
        gpu: The GPU.
    """

    uuid: str
    gpu: SimulatedDevice


def visible_devices(
    mask: str | None, order: str | None, gpus: Sequence[SimulatedDevice]
) -> tuple[CudaDevice, ...]:
    """Give the devices in the order of their CUDA ordinals.

    Args:
        mask: `CUDA_VISIBLE_DEVICES`; None where it is not set, which is not the same as empty.
        order: `CUDA_DEVICE_ORDER`; anything but `PCI_BUS_ID` means fastest first.
        gpus: Those that can be opened: CUDA numbers no others.
    """
    ordered = sorted(gpus, key=_pci if order == PCI_ORDER else _fastest)
    if mask is None:
        found = [_whole(gpu) for gpu in ordered]
        return _one_mig_device(one for one in found if one is not None)
    kind, chosen = None, list[CudaDevice]()
    for token in (one.strip() for one in mask.split(",")):
        kind = kind or _kind(token)
        device = _resolve(token, ordered) if _kind(token) == kind else None
        if device is None:
            break  # the first bad entry hides itself and all behind it
        chosen.append(device)
    if len({one.uuid for one in chosen}) < len(chosen):
        return ()  # a repeated device hides all
    return _one_mig_device(chosen)


def _pci(gpu: SimulatedDevice) -> str:
    return gpu.bus_id


def _fastest(gpu: SimulatedDevice) -> tuple[int, int, str]:
    return -gpu.profile.rank, -gpu.profile.memory, gpu.bus_id


def _kind(token: str) -> str:
    if token.startswith(("GPU-", "MIG-")):
        return token[:3]
    return "ordinal" if _ORDINAL.match(token) else "none"


def _resolve(token: str, ordered: Sequence[SimulatedDevice]) -> CudaDevice | None:
    if token.startswith("GPU-"):
        gpu = _only([gpu for gpu in ordered if _abbreviates(token, gpu.uuid)])
        return None if gpu is None else _whole(gpu)
    if token.startswith("MIG-"):
        return _only([one for gpu in ordered for one in _instances(gpu) if _names(token, one)])
    # As strtoul reads it: what follows the digits is ignored.
    found = _ORDINAL.match(token)
    if found is None or int(found[1]) >= len(ordered):
        return None
    return _whole(ordered[int(found[1])])


def _only(found: list[T]) -> T | None:
    return found[0] if len(found) == 1 else None


def _abbreviates(token: str, uuid: str) -> bool:
    return len(token) > len("GPU-") and uuid.startswith(token)


def _instances(gpu: SimulatedDevice) -> list[CudaDevice]:
    return [CudaDevice(one.uuid, gpu) for one in gpu.mig]


def _whole(gpu: SimulatedDevice) -> CudaDevice | None:
    """Give what a GPU's own name stands for: in MIG mode its first MIG device, if it has any."""
    if not gpu.mig_enabled:
        return CudaDevice(gpu.uuid, gpu)
    return next(iter(_instances(gpu)), None)


def _names(token: str, device: CudaDevice) -> bool:
    old = _OLD_MIG.fullmatch(token)
    if old is None:
        return _abbreviates(token, device.uuid)
    place = (int(old[2]), int(old[3]))
    instance = next(one for one in device.gpu.mig if one.uuid == device.uuid)
    there = (instance.gpu_instance, instance.compute_instance)
    return _abbreviates(old[1], device.gpu.uuid) and place == there


def _one_mig_device(devices: Iterable[CudaDevice]) -> tuple[CudaDevice, ...]:
    """Keep the first MIG device only: CUDA shows a process no more than one."""
    kept: list[CudaDevice] = []
    for one in devices:
        is_mig = one.uuid != one.gpu.uuid
        if not (is_mig and any(other.uuid != other.gpu.uuid for other in kept)):
            kept.append(one)
    return tuple(kept)
