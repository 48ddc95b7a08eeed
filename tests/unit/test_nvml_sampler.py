"""Specification: one pass over NVML tells every value or why it is missing, device by device."""

from pathlib import Path

import pytest

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.process_lists import merge
from gpusched.adapters.nvml.processes import ProcessRow
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.device import DeviceNode
from gpusched.core.fault import Recovery
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import ContextKind, LostDevice, Memory, NodeReading, Unavailable
from tests.fakes.nvml_library import (
    GPU_IS_LOST,
    NO_INSTANCE,
    NO_PERMISSION,
    NOT_AVAILABLE,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeDevice,
    FakeLibrary,
    gpu,
)

NOWHERE = Path("/nonexistent")
PLACES = NodePlaces(proc=NOWHERE, sys=NOWHERE)
COMPUTE, GRAPHICS, MPS = ContextKind.COMPUTE, ContextKind.GRAPHICS, ContextKind.MPS


def _sampler(*gpus: FakeDevice, lacks: frozenset[str] = frozenset()) -> NvmlSampler:
    binding.use_library(FakeLibrary(*gpus, lacks=lacks))
    binding.start()
    return NvmlSampler(PLACES, simulated=False)


def _sample(*gpus: FakeDevice, lacks: frozenset[str] = frozenset()) -> NodeReading:
    return _sampler(*gpus, lacks=lacks).sample()


def test_every_value_of_a_device() -> None:
    """A device that answers everything is read whole, in bytes, milliwatts and degrees Celsius."""
    (one,) = _sample(gpu(0)).devices
    assert one.device.uuid == "GPU-0000"
    assert (one.device.index, one.device.minor) == (0, 7)
    assert one.device.pci_bus_id == "00000000:00:00.0"
    assert one.device.gpu_type.name == "nvidia-l4"
    assert one.device.nodes == (DeviceNode("/dev/nvidia7", 195, 7),)
    assert (one.device.memory_total, one.device.driver_reserved) == (23034 << 20, 300 << 20)
    assert one.memory == Memory(23034 << 20, 300 << 20, 4 << 30, (23034 - 300 - 4096) << 20)
    assert one.contexts == ()
    assert (one.gpu_utilization, one.temperature_celsius) == (55, 40)
    assert (one.power_milliwatts, one.power_limit_milliwatts) == (30_000, 72_000)
    assert (one.compute_mode, one.persistence) == (0, True)


def test_versions_and_instants() -> None:
    """A reading says when its pass began and ended, and what answered."""
    reading = _sample(gpu(0))
    assert 0 < reading.begun_at <= reading.ended_at
    assert (reading.versions.driver, reading.versions.cuda) == ("570.124.06", 12080)
    assert not reading.simulated


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("UtilizationRates", "gpu_utilization"),
        ("Temperature", "temperature_celsius"),
        ("PowerUsage", "power_milliwatts"),
        ("EnforcedPowerLimit", "power_limit_milliwatts"),
        ("ComputeMode", "compute_mode"),
        ("PersistenceMode", "persistence"),
        ("ComputeRunningProcesses_v3", "contexts"),
        ("GraphicsRunningProcesses_v3", "contexts"),
        ("MPSComputeRunningProcesses_v3", "contexts"),
    ],
)
def test_a_value_fails_by_itself(function: str, field: str) -> None:
    """What cannot be read is unavailable with nvidia-smi's words; all else is read."""
    device = gpu(0)
    device.refuses[function] = NO_PERMISSION
    (one,) = _sample(device).devices
    (whole,) = _sample(gpu(0)).devices
    assert getattr(one, field) == Unavailable("Insufficient Permissions")
    fields = set(type(one).__slots__) - {field}
    assert {name: getattr(one, name) for name in fields} == {
        name: getattr(whole, name) for name in fields
    }


def test_memory_of_an_old_driver() -> None:
    """Before driver 510 `used` includes what the driver reserves, which is not told apart."""
    (one,) = _sample(gpu(0), lacks=frozenset({"nvmlDeviceGetMemoryInfo_v2"})).devices
    assert one.memory == Memory(
        total=23034 << 20,
        reserved=0,
        used=(4096 + 300) << 20,
        free=(23034 - 300 - 4096) << 20,
        reserved_apart=False,
    )


def test_a_device_without_memory_stays_listed() -> None:
    """A GPU whose memory cannot be read has no size and everything else."""
    device = gpu(0)
    device.refuses |= {"MemoryInfo_v2": NOT_SUPPORTED, "MemoryInfo": NOT_SUPPORTED}
    (one,) = _sample(device).devices
    assert one.memory == Unavailable("Not Supported")
    assert one.device.memory_total is None
    assert one.temperature_celsius == 40


def test_a_size_once_read_stays() -> None:
    """A pass that cannot read the memory does not make the device's size or type unknown."""
    device = gpu(0, "NVIDIA A100-SXM4-80GB")
    sampler = _sampler(device)
    before = sampler.sample().devices[0]
    device.refuses |= {"MemoryInfo_v2": UNKNOWN, "MemoryInfo": UNKNOWN}
    after = sampler.sample().devices[0]
    assert after.memory == Unavailable("Unknown Error")
    assert after.device == before.device


def test_a_lost_gpu_does_not_hide_the_others() -> None:
    """A GPU without a handle is lost by index; it has a UUID where an earlier pass knew it."""
    sampler = _sampler(first := gpu(0), gpu(1))
    first.refuses["HandleByIndex"] = GPU_IS_LOST
    never_seen = sampler.sample()
    assert [one.device.uuid for one in never_seen.devices] == ["GPU-0001"]
    assert never_seen.lost == (LostDevice(0, None, "GPU is lost", Recovery.REBOOT),)
    first.refuses.clear()
    assert sampler.sample().lost == ()
    first.refuses["HandleByIndex"] = GPU_IS_LOST
    gone = LostDevice(0, DeviceUuid("GPU-0000"), "GPU is lost", Recovery.REBOOT)
    assert sampler.sample().lost == (gone,)


@pytest.mark.parametrize("function", ["MemoryInfo", "Temperature", "ComputeRunningProcesses_v3"])
def test_a_gpu_lost_in_the_middle_of_a_pass(function: str) -> None:
    """A device that answers "GPU is lost" to any question is lost, not half read."""
    sampler = _sampler(first := gpu(0), gpu(1))
    first.refuses |= {function: GPU_IS_LOST, "MemoryInfo_v2": GPU_IS_LOST}
    reading = sampler.sample()
    assert [one.device.uuid for one in reading.devices] == ["GPU-0001"]
    assert [one.reason for one in reading.lost] == ["GPU is lost"]


def test_lists_are_merged_by_process() -> None:
    """A process has the kinds of all lists it stands in and the memory of the compute list."""
    device = gpu(0)
    device.rows = {
        "Compute": [
            (333, 5, NO_INSTANCE, NO_INSTANCE),
            (4, NOT_AVAILABLE, NO_INSTANCE, NO_INSTANCE),
        ],
        "Graphics": [(333, 7, NO_INSTANCE, NO_INSTANCE), (5, 8, NO_INSTANCE, NO_INSTANCE)],
        "MPSCompute": [(4, 1, NO_INSTANCE, NO_INSTANCE)],
    }
    (one,) = _sample(device).devices
    assert not isinstance(one.contexts, Unavailable)
    assert [(row.pid, row.kind.label(), row.memory) for row in one.contexts] == [
        (333, "C+G", 5),
        (4, "M+C", Unavailable("the driver does not know it (N/A)")),
        (5, "G", 8),
    ]
    assert one.contexts[0].name == "/usr/bin/python3"
    assert one.contexts[1].name == Unavailable("Not Found")
    assert (one.contexts[0].gpu_instance, one.contexts[0].compute_instance) == (None, None)


def test_duplicates_are_kept() -> None:
    """A process that one list names twice has two rows, as nvidia-smi prints them: its first row
    in one list goes with its first in the other.
    """
    rows = [ProcessRow(1, 10), ProcessRow(1, 20)]
    assert merge({COMPUTE: rows, GRAPHICS: [ProcessRow(1, 5)], MPS: []}) == [
        (rows[0], COMPUTE | GRAPHICS),
        (rows[1], COMPUTE),
    ]
    assert merge({COMPUTE: [ProcessRow(1, 5)], GRAPHICS: rows, MPS: []}) == [
        (ProcessRow(1, 5), COMPUTE | GRAPHICS),
        (rows[1], GRAPHICS),
    ]


def test_an_mps_client_is_one_in_all_of_its_rows() -> None:
    """It has no row more for that; who is in the MPS list alone has his own."""
    rows = [ProcessRow(1, 10), ProcessRow(1, 20)]
    clients = [ProcessRow(1, 1), ProcessRow(1, 1), ProcessRow(2, 1), ProcessRow(3, 1)]
    graphics = [ProcessRow(2, 5)]
    assert merge({COMPUTE: rows, GRAPHICS: graphics, MPS: clients}) == [
        (rows[0], COMPUTE | MPS),
        (rows[1], COMPUTE | MPS),
        (graphics[0], GRAPHICS | MPS),
        (clients[3], MPS),
    ]


def test_instances_are_kept_apart() -> None:
    """The same process in two MIG instances is two contexts."""
    rows = [ProcessRow(1, 10, 1, 0), ProcessRow(1, 20, 2, 0)]
    graphics = [ProcessRow(1, 10, 1, 0)]
    assert merge({COMPUTE: rows, GRAPHICS: graphics, MPS: []}) == [
        (rows[0], COMPUTE | GRAPHICS),
        (rows[1], COMPUTE),
    ]


@pytest.mark.parametrize("missing", ["Graphics", "MPSCompute"])
def test_a_list_that_the_driver_does_not_have_is_empty(missing: str) -> None:
    """A driver or a device without graphics or MPS lists has nobody in them."""
    device = gpu(0)
    device.rows["Compute"] = [(333, 5, NO_INSTANCE, NO_INSTANCE)]
    device.refuses[f"{missing}RunningProcesses_v3"] = NOT_SUPPORTED
    (one,) = _sample(device).devices
    assert not isinstance(one.contexts, Unavailable)
    assert [row.kind for row in one.contexts] == [COMPUTE]


def test_without_compute_list_contexts_are_unknown() -> None:
    """No device does without the compute list: where it is not supported, nothing is known."""
    device = gpu(0)
    device.refuses["ComputeRunningProcesses_v3"] = NOT_SUPPORTED
    assert _sample(device).devices[0].contexts == Unavailable("Not Supported")


def test_a_gpu_without_minor_has_no_node() -> None:
    """A minor that NVML does not tell is unknown, and so is the node."""
    device = gpu(0)
    device.refuses["MinorNumber"] = NOT_SUPPORTED
    (one,) = _sample(device).devices
    assert (one.device.minor, one.device.nodes) == (None, ())


def test_a_host_without_gpus() -> None:
    """A driver without devices is a reading with none, not a failure."""
    reading = _sample()
    assert (reading.devices, reading.lost) == ((), ())


def test_what_cannot_be_counted_fails() -> None:
    """Where NVML cannot even count the GPUs there is no reading."""
    sampler = _sampler(gpu(0))
    binding.use_library(FakeLibrary(refuses={"nvmlDeviceGetCount_v2": UNKNOWN}))
    with pytest.raises(binding.NvmlFailure, match="Unknown Error"):
        sampler.sample()


def test_a_name_is_asked_for_again_in_its_turn() -> None:
    """A process that stays has a new name after ten passes at the latest; one that comes back has
    it at once, and one without a name is asked at each pass.
    """
    one = gpu(0)
    one.rows["Compute"] = row = [(333, 1 << 30, NO_INSTANCE, NO_INSTANCE)]
    library = FakeLibrary(one)
    binding.use_library(library)
    binding.start()
    sampler = NvmlSampler(PLACES, simulated=False)
    library.processes.clear()
    assert _name(sampler) == Unavailable("Not Found")
    library.processes[333] = b"before"
    assert _name(sampler) == "before"
    library.processes[333] = b"after"
    assert "after" in [_name(sampler) for _ in range(10)]
    one.rows["Compute"] = []
    sampler.sample()
    one.rows["Compute"], library.processes[333] = row, b"another"
    assert _name(sampler) == "another"


def _name(sampler: NvmlSampler) -> object:
    """The name of the only process, by a pass."""
    (device,) = sampler.sample().devices
    assert not isinstance(device.contexts, Unavailable)
    return device.contexts[0].name


def test_a_name_that_is_no_text() -> None:
    """A process may call itself anything; its name is shown as far as it is text."""
    library = FakeLibrary(gpu(0))
    library.processes[333] = b"/opt/pr\xffg"
    binding.use_library(library)
    assert binding.process_name(333) == "/opt/pr�g"
