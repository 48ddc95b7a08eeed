"""Samples: what stands in one of a device, and the Type column."""

import pytest

from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.sample import ContextKind, LostDevice, NodeSample, Unavailable
from tests.fakes.builders import device, reading, sample

K = ContextKind


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (K.COMPUTE, "C"),
        (K.GRAPHICS, "G"),
        (K.COMPUTE | K.GRAPHICS, "C+G"),
        (K.MPS, "M+C"),
        (K.MPS | K.COMPUTE, "M+C"),
        (K.MPS | K.GRAPHICS, "M+C+G"),
        (K.MPS | K.COMPUTE | K.GRAPHICS, "M+C+G"),
    ],
)
def test_the_type_of_a_process_is_told_as_nvidia_smi_does(kind: ContextKind, label: str) -> None:
    """The Type column has nvidia-smi's letters, with the C of an MPS client always."""
    assert kind.label() == label


def test_a_sample_gives_the_reading_of_each_device() -> None:
    """A device is found by its UUID."""
    first, second = reading(device(0)), reading(device(1))
    assert sample(first, second).device(device(1).uuid) == second


def test_a_lost_device_is_unavailable_for_its_own_reason() -> None:
    """What NVML says of a lost device is the reason why there is no reading."""
    lost = LostDevice(1, device(1).uuid, "GPU is lost")
    taken = sample(reading(device(0)), lost=(LostDevice(2, None, "?"), lost))
    assert taken.device(device(1).uuid) == Unavailable("GPU is lost")


def test_a_device_that_nobody_counted_is_not_there() -> None:
    """A device that no reading names is unavailable, never a zero."""
    taken = sample(reading(device(0)))
    assert taken.device(DeviceUuid("GPU-x")) == Unavailable("the device is not there")


def test_without_a_reading_every_device_is_unavailable_for_its_reason() -> None:
    """When NVML did not answer at all, that is the reason for every device."""
    taken = NodeSample(Instant(1), Unavailable("NVML is late"))
    assert taken.device(device(0).uuid) == Unavailable("NVML is late")
