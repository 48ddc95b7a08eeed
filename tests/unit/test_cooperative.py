"""A memory limit in the words of frameworks."""

from dataclasses import replace

from gpusched.core.cooperative import environment_of, limits_of
from gpusched.core.sizes import GIB, MIB
from tests.fakes.builders import device

A100, L4 = device(0, memory=80 * GIB), device(1, "NVIDIA L4", 22 * GIB)


def test_a_limit_in_the_words_of_frameworks() -> None:
    """Each has its own unit: a part of the device, or MiB; the CUDA context is left out."""
    assert limits_of(8 * GIB + 512 * MIB, [A100]) == {
        "jax.XLA_PYTHON_CLIENT_MEM_FRACTION": "0.100",
        "pytorch.set_per_process_memory_fraction": "0.100",
        "tensorflow.memory_limit_mib": "8192",
        "vllm.gpu_memory_utilization": "0.100",
    }


def test_a_part_fits_the_greatest_of_several_devices() -> None:
    """One value has to do for all of them, so none is told more than its share."""
    assert limits_of(8 * GIB + 512 * MIB, [L4, A100]) == limits_of(8 * GIB + 512 * MIB, [A100])


def test_a_part_is_never_above_the_limit() -> None:
    """It is rounded down: no framework is told to take more than the lease has."""
    (part,) = {one for one in limits_of(7 * GIB, [A100]).values() if "." in one}
    assert part == "0.081"
    assert float(part) * 80 * GIB < 7 * GIB - 512 * MIB


def test_no_setting_where_none_can_be_told() -> None:
    """Without a limit, without devices, with too small a limit or a device of unknown size there
    is nothing to say.
    """
    unknown = replace(A100, memory_total=None)
    for memory, devices in (
        (None, [A100]),
        (GIB, []),
        (512 * MIB, [A100]),
        (512 * MIB + 81 * MIB, [A100]),
        (GIB, [A100, unknown]),
    ):
        assert limits_of(memory, devices) == {}
        assert environment_of(memory, devices) == {}


def test_variables_that_frameworks_read_themselves() -> None:
    """JAX, TensorFlow and MPS clients need no line of code."""
    assert environment_of(8 * GIB + 512 * MIB, [A100, A100]) == {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.100",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=8704M,1=8704M",
    }
