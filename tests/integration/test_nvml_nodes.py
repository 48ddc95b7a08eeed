"""Specification: device nodes and NUMA nodes are those that driver and kernel tell."""

from pathlib import Path

import pytest

from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.core.device import DeviceNode

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
