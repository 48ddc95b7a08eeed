"""Specification: GPUs report their faults, each by itself, and one that refuses costs no other."""

from pathlib import Path

import pytest

from gpusched.adapters.nvml import binding, binding_events
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import NodeReading, Unavailable
from tests.fakes.nvml_events import Reporting
from tests.fakes.nvml_library import (
    GPU_IS_LOST,
    NO_INSTANCE,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeDevice,
    FakeLibrary,
    a100,
    gpu,
    mig,
)

NOWHERE = Path("/nonexistent")
ALL = 0xFFFF
RESET_REQUIRED, MISMATCH = 16, 18
FIRST, SECOND = DeviceUuid("GPU-0000"), DeviceUuid("GPU-0001")


class Bench:
    """A sampler over devices, and the library below it."""

    def __init__(self, *gpus: FakeDevice, lacks: frozenset[str] = frozenset()) -> None:
        self.library = FakeLibrary(*gpus, lacks=lacks)
        binding.use_library(self.library)
        binding.start()
        places = NodePlaces(proc=NOWHERE, sys=NOWHERE)
        self.sampler = NvmlSampler(places, simulated=False)

    def sample(self) -> NodeReading:
        return self.sampler.sample()

    def calls(self, name: str) -> int:
        """How often a function was called since it was last asked."""
        found = self.library.calls.count(name)
        self.library.calls.clear()
        return found


def _reporting(number: int, **reporting: object) -> FakeDevice:
    device = gpu(number)
    device.reporting = Reporting(kinds=ALL, **reporting)  # type: ignore[arg-type]  # its fields
    return device


def test_what_a_gpu_reports_is_in_the_next_reading() -> None:
    """Events since the pass before are told in their order, with the instance they are of."""
    device = _reporting(0)
    bench = Bench(device, _reporting(1))
    assert bench.sample().faults == ()
    device.reporting.events += [
        (binding_events.XID, 79, NO_INSTANCE, NO_INSTANCE),
        (binding_events.ECC_DOUBLE, 5, 1, 0),
        (binding_events.ECC_SINGLE, 0, NO_INSTANCE, NO_INSTANCE),
        (binding_events.UNAVAILABLE, 0, NO_INSTANCE, NO_INSTANCE),
        (0x10, 0, NO_INSTANCE, NO_INSTANCE),
    ]
    reading = bench.sample()
    assert reading.faults == (
        DeviceFault(FIRST, FaultKind.XID, 79),
        DeviceFault(FIRST, FaultKind.ECC_UNCORRECTED, 0, 1, 0),
        DeviceFault(FIRST, FaultKind.ECC_CORRECTED),
        DeviceFault(FIRST, FaultKind.UNAVAILABLE),
    )
    assert [one.unmonitored for one in reading.devices] == ["", ""]
    assert bench.sample().faults == ()


def test_a_flood_is_told_in_parts() -> None:
    """Of one GPU a pass takes so many events that the readings are not held up."""
    device = _reporting(0)
    bench = Bench(device)
    bench.sample()
    row = (binding_events.XID, 13, NO_INSTANCE, NO_INSTANCE)
    device.reporting.events += [row] * 100
    assert [len(bench.sample().faults) for _ in range(3)] == [64, 36, 0]


@pytest.mark.parametrize(
    ("reporting", "lacks", "why"),
    [
        (Reporting(), frozenset[str](), "Not Supported"),
        (Reporting(kinds=0x10), frozenset[str](), "Not Supported"),
        (Reporting(ALL, registered=NOT_SUPPORTED), frozenset[str](), "Not Supported"),
        (Reporting(ALL, registered=NO_PERMISSION), frozenset[str](), "Insufficient Permissions"),
        (Reporting(ALL), frozenset({"nvmlEventSetCreate"}), "Function Not Found"),
    ],
)
def test_a_gpu_that_reports_nothing(reporting: Reporting, lacks: frozenset[str], why: str) -> None:
    """It is unmonitored, with the reason, read as ever, and not asked again."""
    device = gpu(0)
    device.reporting = reporting
    bench = Bench(device, lacks=lacks)
    (one,) = bench.sample().devices
    assert (one.unmonitored, one.temperature_celsius) == (why, 40)
    assert bench.library.event_sets.sets == {}
    bench.calls("")
    bench.sample()
    assert bench.calls("nvmlEventSetCreate") == 0


def test_a_lost_gpu_cannot_spin() -> None:
    """What it had reported is told, its set is given back, and the other's is left alone."""
    device = _reporting(0)
    bench = Bench(device, other := _reporting(1))
    bench.sample()
    device.reporting.waiting = GPU_IS_LOST
    device.refuses["HandleByIndex"] = GPU_IS_LOST
    device.reporting.events.append((binding_events.XID, 79, NO_INSTANCE, NO_INSTANCE))
    bench.calls("")
    reading = bench.sample()
    assert [one.number for one in reading.faults] == [79]
    assert [one.needs for one in reading.lost] == [Recovery.REBOOT]
    other.reporting.events.append((binding_events.XID, 13, NO_INSTANCE, NO_INSTANCE))
    assert [one.device for one in bench.sample().faults] == [SECOND]
    bench.calls("")
    for _ in range(10):
        bench.sample()
    assert bench.calls("nvmlEventSetWait_v2") == 10
    assert len(bench.library.event_sets.sets) == 1


def test_a_gpu_that_is_back_reports_again() -> None:
    """Its set is made anew, and its advice is asked for at once."""
    device = _reporting(0, waiting=GPU_IS_LOST, advice=(0, None, None))
    bench = Bench(device)
    bench.sample()
    device.refuses["HandleByIndex"] = GPU_IS_LOST
    bench.sample()
    device.refuses.clear()
    device.reporting.waiting, device.reporting.advice = 10, (1, None, None)
    readings = [bench.sample() for _ in range(3)]
    assert readings[0].devices[0].recovery is Recovery.RESET
    assert readings[-1].devices[0].unmonitored == ""


def test_tries_become_rarer() -> None:
    """A GPU that refuses to report is tried after 1, 2, 4 … passes."""
    device = _reporting(0, registered=UNKNOWN)
    bench = Bench(device)
    tries = []
    for _ in range(16):
        bench.calls("")
        assert bench.sample().devices[0].unmonitored == "Unknown Error"
        tries.append(bench.calls("nvmlEventSetCreate"))
    assert [place for place, count in enumerate(tries) if count] == [0, 1, 3, 7, 15]


def test_a_set_that_cannot_be_emptied_is_tried_ever_more_rarely() -> None:
    """A GPU that lets itself be registered and then fails at every wait reports nothing: it is
    not monitored, and costs as little as one that refuses at once.
    """
    device = _reporting(0, waiting=UNKNOWN)
    bench = Bench(device)
    tries, told = [], []
    for _ in range(34):
        bench.calls("")
        told.append(bench.sample().devices[0].unmonitored)
        tries.append(bench.calls("nvmlEventSetCreate"))
    assert [place for place, count in enumerate(tries) if count] == [0, 2, 5, 10, 19]
    assert told[1:] == ["Unknown Error"] * 33
    device.reporting.waiting = 10
    readings = [bench.sample() for _ in range(40)]
    assert readings[-1].devices[0].unmonitored == ""
    device.reporting.waiting = UNKNOWN
    bench.sample()
    bench.calls("")
    bench.sample()
    assert bench.calls("nvmlEventSetCreate") == 0
    bench.sample()
    assert bench.calls("nvmlEventSetCreate") == 1


def test_an_old_library_waits_in_the_old_way() -> None:
    """Without the second version of the call the first is used, which knows no instances."""
    device = _reporting(0)
    bench = Bench(device, lacks=frozenset({"nvmlEventSetWait_v2"}))
    bench.sample()
    device.reporting.events.append((binding_events.XID, 31, NO_INSTANCE, NO_INSTANCE))
    assert bench.sample().faults == (DeviceFault(FIRST, FaultKind.XID, 31),)


@pytest.mark.parametrize(
    ("advice", "recovery"),
    [
        ((0, None, None), Recovery.NONE),
        ((2, None, None), Recovery.REBOOT),
        ((99, None, None), Recovery.OTHER),
        ((None, 0, 0), Recovery.NONE),
        ((None, 0, 1), Recovery.RESET),
        ((None, 1, 1), Recovery.DRAIN_AND_RESET),
        ((None, None, None), Unavailable("Not Supported")),
        (None, Unavailable("Not Supported")),
    ],
)
def test_what_would_help(
    advice: tuple[int | None, int | None, int | None] | None, recovery: object
) -> None:
    """The driver's advice, else what an older driver says of a reset, else why there is none."""
    (one,) = Bench(_reporting(0, advice=advice)).sample().devices
    assert one.recovery == recovery


def test_advice_is_asked_for_rarely() -> None:
    """A GPU that nothing is known against is asked once in 16 passes, one in trouble in each."""
    device = _reporting(0, advice=(0, None, None))
    bench = Bench(device)
    for _ in range(32):
        bench.sample()
    assert bench.calls("nvmlDeviceGetFieldValues") == 2
    device.reporting.events.append((binding_events.RECOVERY, 0, NO_INSTANCE, NO_INSTANCE))
    device.reporting.advice = (1, None, None)
    assert [bench.sample().devices[0].recovery for _ in range(3)][1:] == [Recovery.RESET] * 2
    device.reporting.advice = (0, None, None)
    assert bench.sample().devices[0].recovery is Recovery.NONE


def test_advice_that_fails_once_is_asked_for_again() -> None:
    """Only what a driver does not have at all is not asked for again: a GPU in trouble, of which
    the advice could not be read for once, would never be seen to have recovered.
    """
    device = _reporting(0, advice=(1, None, None))
    bench = Bench(device)
    assert bench.sample().devices[0].recovery is Recovery.RESET
    device.reporting.advised = UNKNOWN
    assert bench.sample().devices[0].recovery == Unavailable("Unknown Error")
    device.reporting.advised, device.reporting.advice = 0, (0, None, None)
    assert bench.sample().devices[0].recovery is Recovery.NONE
    device.reporting.advice = None
    bench.calls("")
    for _ in range(48):
        bench.sample()
    assert bench.calls("nvmlDeviceGetFieldValues") == 1


def test_instances_report_with_their_gpu() -> None:
    """A MIG instance is monitored as its GPU is, and the advice is the GPU's."""
    whole = a100(_0=mig(1, 1))
    whole.reporting = Reporting(ALL, advice=(1, None, None))
    gpu_reading, instance = Bench(whole).sample().devices
    assert (gpu_reading.recovery, gpu_reading.unmonitored) == (Recovery.RESET, "")
    assert isinstance(instance.recovery, Unavailable)
    assert instance.unmonitored == ""


def test_a_gpu_that_needs_a_reset_says_so() -> None:
    """It is lost as one off the bus is, and what helps is another thing."""
    device = gpu(0)
    device.refuses["HandleByIndex"] = RESET_REQUIRED
    (lost,) = Bench(device, gpu(1)).sample().lost
    assert lost.needs is Recovery.RESET


def test_a_library_that_fits_no_more_reads_nothing() -> None:
    """After an upgrade below it no GPU is called lost: everything is unknown."""
    first, second = gpu(0), gpu(1)
    bench = Bench(first, second)
    first.refuses["UUID"] = MISMATCH
    with pytest.raises(binding.NvmlFailure) as caught:
        bench.sample()
    assert caught.value.code == MISMATCH
    first.refuses["UUID"] = second.refuses["UUID"] = UNKNOWN
    with pytest.raises(binding.NvmlFailure):
        bench.sample()
    second.refuses["UUID"] = GPU_IS_LOST
    assert [one.needs for one in bench.sample().lost] == [None, Recovery.REBOOT]
