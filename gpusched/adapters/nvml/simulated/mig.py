"""How a simulated GPU is cut into MIG instances, with the ids that the driver would give.

Pure. A MIG device is one pair of GPU instance and compute instance; several compute instances of
a GPU instance share its memory. Source: NVIDIA's MIG user guide.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpusched.adapters.nvml.simulated.identity import mig_uuid
from gpusched.adapters.nvml.simulated.profiles import GpuInstanceProfile

COMPUTE_SLICES = 7
MEMORY_SLICES = 8

_FIRST_ID = {7: 0, 4: 1, 3: 1, 2: 3, 1: 7}  # by compute slices; seen on A100 and H100
_COMPUTE_INSTANCE = re.compile(r"([1-7])c")


@dataclass(frozen=True, slots=True)
class MigCut:
    """One GPU instance that a scenario asks for.

    Attributes:
        profile: How it is cut from the GPU.
        compute_instances: Compute slices of each instance in it; one number that is all of them
            makes the plain `3g.40gb`, anything else the `1c.3g.40gb` kind.
    """

    profile: GpuInstanceProfile
    compute_instances: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MigDevice:
    """One MIG device.

    Attributes:
        uuid: Its identity.
        gpu_instance: GI id.
        compute_instance: CI id.
        name: Such as `3g.40gb` or `1c.3g.40gb`.
        profile: Of the GPU instance.
        compute_slices: Of this compute instance.
    """

    uuid: str
    gpu_instance: int
    compute_instance: int
    name: str
    profile: GpuInstanceProfile
    compute_slices: int


def read_compute_instances(names: Sequence[str], profile: GpuInstanceProfile) -> tuple[int, ...]:
    """Read `["1c", "2c"]`.

    Raises:
        ValueError: A name is none, or they do not fit into the GPU instance.
    """
    found = [_COMPUTE_INSTANCE.fullmatch(name) for name in names]
    slices = tuple(int(one[1]) for one in found if one is not None)
    if not slices or len(slices) != len(names):
        raise ValueError('is not a list of compute instances such as ["1c", "2c"]')
    if sum(slices) > profile.compute_slices:
        raise ValueError(f"needs {sum(slices)} compute slices, {profile.name} has fewer")
    return slices


def does_not_fit(cuts: Sequence[MigCut]) -> str | None:
    """Say why the GPU cannot be cut like this; None where it can."""
    compute = sum(cut.profile.compute_slices for cut in cuts)
    if compute > COMPUTE_SLICES:
        return f"needs {compute} compute slices, a GPU has {COMPUTE_SLICES}"
    memory = sum(cut.profile.memory_slices for cut in cuts)
    if memory > MEMORY_SLICES:
        return f"needs {memory} memory slices, a GPU has {MEMORY_SLICES}"
    return None


def lay_out(parent: str, cuts: Sequence[MigCut]) -> tuple[MigDevice, ...]:
    """Give the MIG devices of the GPU *parent*, in NVML's order (by GI, then CI)."""
    taken: set[int] = set()
    devices = []
    for cut in cuts:
        gpu_instance = _FIRST_ID[cut.profile.compute_slices]
        while gpu_instance in taken:
            gpu_instance += 1
        taken.add(gpu_instance)
        for number, slices in enumerate(cut.compute_instances):
            whole = cut.compute_instances == (cut.profile.compute_slices,)
            devices.append(
                MigDevice(
                    uuid=mig_uuid(parent, gpu_instance, number),
                    gpu_instance=gpu_instance,
                    compute_instance=number,
                    name=cut.profile.name if whole else f"{slices}c.{cut.profile.name}",
                    profile=cut.profile,
                    compute_slices=slices,
                )
            )
    return tuple(sorted(devices, key=lambda one: (one.gpu_instance, one.compute_instance)))
