"""A lease's memory limit in the words of frameworks that keep to one themselves.

Cooperative: a framework that is told may keep to it; nothing here makes it. Sources: JAX, GPU
memory allocation (a part of the whole device since jaxlib 0.4.1; newer versions call it
XLA_CLIENT_MEM_FRACTION, read the older name, too, and refuse to start with both); TensorFlow,
LogicalDeviceConfiguration (memory_limit in MiB); PyTorch, set_per_process_memory_fraction of
torch.cuda (a part of the whole device); vLLM, --gpu-memory-utilization (likewise, of one
process); CUDA MPS, CUDA_MPS_PINNED_DEVICE_MEM_LIMIT (heeded by its clients only).
"""

from collections.abc import Mapping, Sequence

from gpusched.core.device import Device
from gpusched.core.sizes import MIB

_CONTEXT = 512 * MIB
"""Left out of a framework's own limit for the CUDA context, which counts against the lease."""


def limits_of(memory: int | None, devices: Sequence[Device]) -> Mapping[str, str]:
    """Give the settings, as `framework.setting` to value; none where they cannot be told.

    Args:
        memory: Limit of the lease on each device in bytes; None: it has none.
        devices: Its devices. A fraction is of the greatest of them, so that it fits each.
    """
    usable = 0 if memory is None else memory - _CONTEXT
    totals = [one.memory_total for one in devices]
    if usable <= 0 or not totals or None in totals:
        return {}
    # Never rounded up: that would be above the limit.
    thousandths = usable * 1000 // max(one or 0 for one in totals)
    if not thousandths:
        return {}
    part = f"{thousandths / 1000:.3f}"
    return {
        "jax.XLA_PYTHON_CLIENT_MEM_FRACTION": part,
        "pytorch.set_per_process_memory_fraction": part,
        "tensorflow.memory_limit_mib": str(usable // MIB),
        "vllm.gpu_memory_utilization": part,
    }


def environment_of(memory: int | None, devices: Sequence[Device]) -> Mapping[str, str]:
    """Give the variables by which frameworks take a limit without a line of code."""
    limits = limits_of(memory, devices)
    if not limits or memory is None:
        return {}
    return {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": limits["jax.XLA_PYTHON_CLIENT_MEM_FRACTION"],
        # Without it TensorFlow takes the whole device at its start.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": ",".join(
            f"{place}={memory // MIB}M" for place in range(len(devices))
        ),
    }
