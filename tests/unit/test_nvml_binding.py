"""Specification: the binding answers in plain values and in one kind of error."""

import ctypes
from typing import cast

import pytest
from pynvml import NVMLLibraryMismatchError  # noqa: TID251 - the error itself is the subject

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.mig_profile import mig_profile
from tests.fakes.nvml_library import NOT_SUPPORTED, FakeLibrary, gpu, mig


class _Slices(FakeLibrary):
    """A driver before 470: no profile in the name of a MIG device, only attributes."""

    def __init__(self, gi_slices: int, ci_slices: int, mebibytes: int) -> None:
        device = mig(0, 1)
        device.texts["Name"] = "A100-SXM4-40GB"
        super().__init__(device)
        self.attributes = (gi_slices, ci_slices, mebibytes)

    def nvmlDeviceGetAttributes_v2(self, _device: object, reference: object) -> int:  # noqa: N802 - NVML's name
        place = ctypes.cast(cast("ctypes.c_void_p", reference), ctypes.POINTER(ctypes.c_uint))
        place[6], place[7], place[8] = self.attributes
        return 0


@pytest.mark.parametrize(
    ("attributes", "profile"),
    [
        ((1, 1, 4864), "1g.5gb"),
        ((3, 3, 19968), "3g.20gb"),
        ((3, 1, 19968), "1c.3g.20gb"),
        ((7, 7, 40192), "7g.40gb"),
    ],
)
def test_profile_from_attributes(attributes: tuple[int, int, int], profile: str) -> None:
    """Where the name does not tell the profile, slices and the share of memory do."""
    binding.use_library(_Slices(*attributes))
    assert mig_profile(binding.handle(0), 40536 << 20) == profile


def test_profile_from_name() -> None:
    """A name that tells the profile is believed, whatever follows the size."""
    device = mig(0, 1)
    device.texts["Name"] = "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me"
    binding.use_library(FakeLibrary(device))
    assert mig_profile(binding.handle(0), None) == "1g.10gb+me"


@pytest.mark.parametrize("mig_mode_code", [NOT_SUPPORTED, binding.FUNCTION_NOT_FOUND])
def test_a_gpu_that_knows_no_mig(mig_mode_code: int) -> None:
    """A GPU or driver without MIG is simply not partitioned."""
    device = gpu(0)
    device.refuses["MigMode"] = mig_mode_code
    binding.use_library(FakeLibrary(device))
    assert not binding.mig_enabled(binding.handle(0))


def test_unknown_mig_mode_is_a_failure() -> None:
    """A partitioning that cannot be read is not taken for none."""
    device = gpu(0)
    device.refuses["MigMode"] = 999
    binding.use_library(FakeLibrary(device))
    with pytest.raises(binding.NvmlFailure, match="Unknown Error"):
        binding.mig_enabled(binding.handle(0))


def test_a_function_that_the_library_lacks() -> None:
    """A library too old for a function fails with one code, by whichever way it was called."""
    binding.use_library(FakeLibrary(gpu(0), lacks=frozenset({"nvmlDeviceGetName"})))
    with pytest.raises(binding.NvmlFailure, match="Function Not Found") as wrapped:
        binding.product_name(binding.handle(0))
    with pytest.raises(binding.NvmlFailure, match="Function Not Found") as called:
        binding.call("nvmlDeviceGetName")
    assert wrapped.value.code == called.value.code == binding.FUNCTION_NOT_FOUND


def test_a_mismatch_that_is_no_nvml_error() -> None:
    """What pynvml raises outside of its own hierarchy is a missing function as well."""

    def mismatched() -> int:
        raise NVMLLibraryMismatchError

    with pytest.raises(binding.NvmlFailure) as failure:
        binding.asked(mismatched)
    assert failure.value.code == binding.FUNCTION_NOT_FOUND


def test_a_code_that_nobody_knows() -> None:
    """A code newer than the words for it keeps its number."""
    binding.use_library(FakeLibrary(lacks=frozenset({"nvmlErrorString"})))
    assert "777" in binding.words_of(777)


@pytest.mark.parametrize("code", [binding.GPU_IS_LOST, binding.RESET_REQUIRED])
def test_a_lost_device_is_not_an_unavailable_value(code: int) -> None:
    """That a device is gone concerns all of its values."""
    with pytest.raises(binding.NvmlFailure):
        binding.reading(binding.check, code)


def test_a_text_that_is_none() -> None:
    """A text that is not UTF-8 fails as a value, and as nothing else."""
    with pytest.raises(binding.NvmlFailure) as caught:
        binding.asked(b"\xff".decode)
    assert (caught.value.code, caught.value.words) == (binding.UNKNOWN, "a text that is not UTF-8")
