"""Specification: a partitioned GPU is read as itself and as each of its MIG devices."""

from pathlib import Path

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.device import MigInstance
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import LostDevice, Unavailable
from tests.fakes.nvml_library import GPU_IS_LOST, UNKNOWN, FakeDevice, FakeLibrary, a100, mig

NOWHERE = Path("/nonexistent")


def _sampler(whole: FakeDevice) -> NvmlSampler:
    binding.use_library(FakeLibrary(whole))
    binding.start()
    return NvmlSampler(NodePlaces(proc=NOWHERE, sys=NOWHERE), simulated=False)


def test_mig_devices_follow_their_gpu() -> None:
    """MIG devices are found over holes in their numbering and read one by one."""
    first, second = mig(1, gpu_instance=1), mig(2, gpu_instance=2, compute_instance=1)
    second.rows["Compute"] = [(333, 5, 2, 1)]
    parent, one, two = _sampler(a100(_0=first, _3=second)).sample().devices
    assert parent.device.mig_enabled
    assert parent.contexts == Unavailable("MIG is enabled: its instances are read one by one")
    assert (one.device.index, two.device.index) == (0, 3)
    assert two.device.mig == MigInstance(DeviceUuid("GPU-0000"), 2, 1, "3g.20gb")
    assert two.device.memory_total == 19968 << 20
    assert two.device.product_name.endswith("MIG 3g.20gb")
    assert two.device.gpu_type == parent.device.gpu_type
    assert two.device.pci_bus_id == parent.device.pci_bus_id
    assert two.device.nodes == parent.device.nodes
    assert not isinstance(two.contexts, Unavailable)
    assert [(row.pid, row.gpu_instance, row.compute_instance) for row in two.contexts] == [
        (333, 2, 1)
    ]
    assert one.contexts == ()
    assert isinstance(two.temperature_celsius, Unavailable)


def test_mig_devices_come_and_go() -> None:
    """MIG devices are enumerated anew in each pass: one that was destroyed is simply not there."""
    whole = a100(_0=mig(1, 1))
    sampler = _sampler(whole)
    assert len(sampler.sample().devices) == 2
    whole.migs = {}
    reading = sampler.sample()
    assert [one.device.uuid for one in reading.devices] == ["GPU-0000"]
    assert reading.lost == ()


def test_a_lost_gpu_takes_its_mig_devices_with_it() -> None:
    """The MIG devices of a lost GPU are lost by name, with its reason."""
    sampler = _sampler(whole := a100(_0=mig(1, 1)))
    sampler.sample()
    whole.refuses["HandleByIndex"] = GPU_IS_LOST
    assert [one.uuid for one in sampler.sample().lost] == ["GPU-0000", "MIG-0001"]


def test_a_gpu_lost_while_its_mig_devices_are_read() -> None:
    """A MIG device that answers "GPU is lost" speaks for its GPU."""
    first = mig(1, 1)
    sampler = _sampler(a100(_0=first))
    sampler.sample()
    first.refuses["GpuInstanceId"] = GPU_IS_LOST
    reading = sampler.sample()
    assert reading.devices == ()
    assert [one.uuid for one in reading.lost] == ["GPU-0000", "MIG-0001"]


def test_a_mig_device_that_does_not_answer() -> None:
    """One MIG device that cannot be identified hides neither its GPU nor its siblings."""
    broken = mig(1, 1)
    broken.refuses["UUID"] = UNKNOWN
    reading = _sampler(a100(_0=broken, _1=mig(2, 2))).sample()
    assert [one.device.uuid for one in reading.devices] == ["GPU-0000", "MIG-0002"]
    assert reading.lost == (LostDevice(0, None, "MIG device 0: Unknown Error"),)


def test_old_names_of_mig_devices() -> None:
    """Before driver 470 a MIG device is named by GPU, GI and CI, which is an identity as well."""
    old = mig(1, 1)
    old.texts["UUID"] = "MIG-GPU-0000/1/0"
    assert _sampler(a100(_0=old)).sample().devices[1].device.uuid == "MIG-GPU-0000/1/0"
