"""The profile of a MIG device, such as `3g.20gb`, by name or by its attributes."""

from typing import Final

from gpusched.adapters.nvml import binding, binding_values

_MIB: Final = 2**20
_GIB: Final = 2**30
_MEMORY_SLICES: Final = 8


def mig_profile(mig: binding.Handle, gpu_memory: int | None) -> str:
    """Give the profile of a MIG device: `3g.20gb`, `1c.3g.20gb` for a part of its GI.

    It stands in the name since driver 470. Before that it is made of the attributes; their size
    in GB is the share of the GPU's memory, rounded up to eighths (as NVIDIA's go-nvlib does).

    Args:
        mig: The MIG device.
        gpu_memory: Total bytes of the whole GPU, where known.
    """
    _gpu, found, profile = binding.product_name(mig).partition(" MIG ")
    if found:
        return profile
    attributes = binding_values.ask("nvmlDeviceGetAttributes", mig)
    size = attributes.memorySizeMB * _MIB
    total = max(gpu_memory or size, size, 1)
    eighths = -(-size * _MEMORY_SLICES // total)
    gigabytes = round(-(-total // _GIB) * eighths / _MEMORY_SLICES)
    slices, compute = attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount
    return f"{'' if compute == slices else f'{compute}c.'}{slices}g.{gigabytes}gb"
