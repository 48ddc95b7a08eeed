"""Specification: device nodes and NUMA nodes are those that driver and kernel tell."""

from pathlib import Path

import pytest

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.device import DeviceNode
from gpusched.core.mask import NodeRange
from tests.fakes.nvml_library import FakeLibrary, a100, mig

DEVICES = "Character devices:\n  1 mem\n195 nvidia\n511 nvidia-caps\n\nBlock devices:\n  7 loop\n"


@pytest.fixture
def places(tmp_path: Path) -> NodePlaces:
    """The `/proc` files of a host with one MIG device on the GPU with minor 2."""
    folder = tmp_path / "proc/driver/nvidia/capabilities/gpu2/mig/gi1"
    (folder / "ci0").mkdir(parents=True)
    (tmp_path / "proc/devices").write_text(DEVICES)
    for file, minor in ((folder / "access", 282), (folder / "ci0/access", 283)):
        file.write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 256\nDeviceFileModify: 1\n")
    return NodePlaces(dev=Path("/dev"), proc=tmp_path / "proc", sys=tmp_path / "sys")


def test_gpu_node() -> None:
    """A GPU's node has its minor under NVIDIA's major, or under a simulator's own."""
    assert NodePlaces().of_gpu(3) == DeviceNode("/dev/nvidia3", 195, 3)
    simulated = NodePlaces(dev=Path("/tmp/x"), major=60)  # noqa: S108 - nothing is opened
    assert simulated.of_gpu(3) == DeviceNode("/tmp/x/nvidia3", 60, 3)  # noqa: S108 - as above


def test_capability_nodes(places: NodePlaces) -> None:
    """A MIG device has the capability nodes of its GI and of its CI."""
    assert places.of_mig(2, 1, 0) == [
        DeviceNode("/dev/nvidia-caps/nvidia-cap282", 511, 282),
        DeviceNode("/dev/nvidia-caps/nvidia-cap283", 511, 283),
    ]


def test_missing_capabilities(places: NodePlaces) -> None:
    """Capability nodes that the driver does not name are left out."""
    assert places.of_mig(2, 1, 5) == [DeviceNode("/dev/nvidia-caps/nvidia-cap282", 511, 282)]
    (places.proc / "devices").write_text("Character devices:\n195 nvidia\n")
    assert places.of_mig(2, 1, 0) == []


@pytest.mark.parametrize(("text", "node"), [("1\n", 1), ("-1\n", None), ("", None)])
def test_numa_node(places: NodePlaces, text: str, node: int | None) -> None:
    """The NUMA node is that of the PCI slot; -1 is the kernel's word for none."""
    slot = places.sys / "bus/pci/devices/000a:c7:00.0"
    slot.mkdir(parents=True)
    (slot / "numa_node").write_text(text)
    assert places.numa_node("0000000A:C7:00.0") == node


def test_unknown_slot(places: NodePlaces) -> None:
    """A slot that sysfs does not know has no NUMA node."""
    assert places.numa_node("00000000:07:00.0") is None


def test_display_nodes(places: NodePlaces) -> None:
    """A GPU's display nodes are found by its PCI slot, with the numbers that sysfs tells."""
    folder = places.sys / "bus/pci/devices/000a:c7:00.0/drm"
    for name, numbers in (("renderD129", "226:129\n"), ("card1", "226:1\n"), ("version", "")):
        (folder / name).mkdir(parents=True)
        (folder / name / "dev").write_text(numbers)
    assert places.of_display("0000000A:C7:00.0") == (
        DeviceNode("/dev/dri/card1", 226, 1),
        DeviceNode("/dev/dri/renderD129", 226, 129),
    )


def test_no_display_driver(places: NodePlaces) -> None:
    """A GPU whose display driver is not loaded, or is just being loaded, has no display nodes."""
    slot = places.sys / "bus/pci/devices/0000:07:00.0"
    slot.mkdir(parents=True)
    assert places.of_display("00000000:07:00.0") == ()
    (slot / "drm/card0").mkdir(parents=True)
    assert places.of_display("00000000:07:00.0") == ()


def test_display_nodes_come_with_their_driver(places: NodePlaces) -> None:
    """A display driver that is loaded later is seen; a MIG device has none of the GPU's nodes."""
    binding.use_library(FakeLibrary(a100(_0=mig(1, 1))))
    binding.start()
    sampler = NvmlSampler(places, simulated=False)
    assert [one.device.dri_nodes for one in sampler.sample().devices] == [(), ()]
    card = places.sys / "bus/pci/devices/0000:00:00.0/drm/card1"
    card.mkdir(parents=True)
    (card / "dev").write_text("226:1\n")
    reading = sampler.sample()
    node = DeviceNode("/dev/dri/card1", 226, 1)
    assert [one.device.dri_nodes for one in reading.devices] == [(node,), ()]
    assert reading.governed == places.governed()


def test_governed_ranges(places: NodePlaces) -> None:
    """GPUs' minors are governed and so is every capability, but no node that all holders need."""
    ranges = places.governed()
    assert ranges == (NodeRange(195, 0, 253), NodeRange(511, 0, 2**20 - 1))
    assert not any((195, control) in one for one in ranges for control in (254, 255))


def test_governed_ranges_follow_the_driver(places: NodePlaces) -> None:
    """A driver loaded anew may have other majors, and channels to other hosts."""
    listing = "Character devices:\n195 nvidia\n235 nvidia-caps\n236 nvidia-caps-imex-channels\n"
    (places.proc / "devices").write_text(listing + "237 nvidia-uvm\n238 nvidia-capsule\n")
    assert [one.major for one in places.governed()] == [195, 235, 236]
    (places.proc / "devices").unlink()
    assert places.governed() == (NodeRange(195, 0, 253),)
