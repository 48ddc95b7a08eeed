"""Specification: memory and processes of a device tell of one moment, while workers grow."""

from collections.abc import Callable
from pathlib import Path

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.sample import DeviceReading, Unavailable
from tests.fakes.nvml_library import (
    NO_INSTANCE,
    NO_PERMISSION,
    UNKNOWN,
    FakeDevice,
    FakeLibrary,
    gpu,
)

NOWHERE = Path("/nonexistent")
FIRST, STEP = 1 << 30, 64 << 20


def _host(device: FakeDevice) -> tuple[NvmlSampler, FakeLibrary]:
    library = FakeLibrary(device)
    binding.use_library(library)
    binding.start()
    return NvmlSampler(NodePlaces(proc=NOWHERE, sys=NOWHERE), simulated=False), library


def _busy() -> FakeDevice:
    device = gpu(0)
    _set(device, FIRST)
    return device


def _set(device: FakeDevice, held: int) -> None:
    total, reserved, _ = device.memory
    device.memory = (total, reserved, held)
    device.rows["Compute"] = [(333, held, NO_INSTANCE, NO_INSTANCE)]


def _grows_to(device: FakeDevice, held: int) -> Callable[[], None]:
    return lambda: _set(device, held)


def _unattributed(reading: DeviceReading) -> int:
    assert not isinstance(reading.memory, Unavailable)
    assert not isinstance(reading.contexts, Unavailable)
    sizes = [one.memory for one in reading.contexts]
    return reading.memory.used - sum(size for size in sizes if not isinstance(size, Unavailable))


def _reads_of_memory(library: FakeLibrary) -> int:
    found = library.calls.count("nvmlDeviceGetMemoryInfo_v2")
    library.calls.clear()
    return found


def test_growth_between_the_calls_is_of_the_process() -> None:
    """What a process takes after the memory was read and before the lists were is its own, in
    the first pass and in a later one.
    """
    device = _busy()
    sampler, _ = _host(device)
    for held in (2 * FIRST, 3 * FIRST):
        device.meanwhile.append(_grows_to(device, held))
        (one,) = sampler.sample().devices
        assert _unattributed(one) == 0
        assert not isinstance(one.memory, Unavailable)
        assert one.memory.used == held


def test_a_device_at_rest_costs_no_call() -> None:
    """Where no byte moved since the pass before, the memory is read once."""
    sampler, library = _host(_busy())
    sampler.sample()
    _reads_of_memory(library)
    sampler.sample()
    assert _reads_of_memory(library) == 1


def test_a_device_that_never_rests_is_read_all_the_same() -> None:
    """Memory that moves at every look ends the looking after three more."""
    device = _busy()
    sampler, library = _host(device)
    device.meanwhile = [_grows_to(device, FIRST + n * STEP) for n in range(1, 20)]
    (one,) = sampler.sample().devices
    assert _reads_of_memory(library) == 4
    assert _unattributed(one) == -STEP


def test_what_cannot_be_read_again_stays_as_it_was() -> None:
    """A second look that is refused takes nothing away from the first."""
    device = _busy()
    sampler, _ = _host(device)
    device.meanwhile.append(
        lambda: device.refuses.update(MemoryInfo_v2=UNKNOWN, MemoryInfo=UNKNOWN)
    )
    (one,) = sampler.sample().devices
    assert _unattributed(one) == 0


def test_lists_that_fail_at_the_second_look_are_unknown() -> None:
    """Lists that belong to another moment are not shown in place of those that failed."""
    device = _busy()
    sampler, _ = _host(device)

    def grow() -> None:
        _set(device, 2 * FIRST)

    def refuse() -> None:
        device.refuses["ComputeRunningProcesses_v3"] = NO_PERMISSION

    device.meanwhile = [grow, refuse]
    (one,) = sampler.sample().devices
    assert one.contexts == Unavailable("Insufficient Permissions")
    assert not isinstance(one.memory, Unavailable)
    assert one.memory.used == 2 * FIRST
