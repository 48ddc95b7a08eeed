"""Where a device's nodes are: `/dev/nvidiaN`, capability nodes of MIG, display nodes.

Exists because NVML knows minors only of whole GPUs; the rest stands in the driver's `/proc` files
and in sysfs. Also says which ranges of nodes are the driver's to hand out. Reads a few small files
and asks no library. Nothing here opens or makes a node.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpusched.core.device import DeviceNode
from gpusched.core.mask import NodeRange

NVIDIA_MAJOR: Final = 195
"""Character major of `/dev/nvidiaN` (Linux `Documentation/admin-guide/devices.txt`)."""

_FILE_MINOR: Final = re.compile(r"^DeviceFileMinor:\s*(\d+)$", re.MULTILINE)
_NODE: Final = re.compile(r"^(\d+)$", re.MULTILINE)  # -1 where the host has only one
_OF_EVERY_HOLDER: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_CAPS_MAJOR: Final = re.compile(r"^\s*(\d+) nvidia-caps$", re.MULTILINE)
# What of the driver's is leased by capability: MIG instances, MIG's configuration, IMEX channels.
_CAPABILITIES: Final = re.compile(r"^\s*(\d+) nvidia-caps(?:-imex-channels)?$", re.MULTILINE)
_MAJOR_MINOR: Final = re.compile(r"^(\d+):(\d+)$", re.MULTILINE)
_LAST_MINOR: Final = 2**20 - 1  # linux/kdev_t.h


@dataclass(frozen=True, slots=True)
class NodePlaces:
    """The folders and the major that a driver uses; a simulator has its own.

    Attributes:
        dev: Folder of the nodes.
        proc: Folder with `devices` and `driver/nvidia`.
        sys: Folder with `bus/pci/devices`.
        major: Character major of the GPUs' nodes.
        gpu_minors: Lowest and highest minor that a GPU can have; the driver's own control nodes
            stand above (195:254 is nvidia-modeset, 195:255 nvidiactl).
        capability_minors: Lowest and highest minor of capability nodes, under majors of their own.
    """

    dev: Path = Path("/dev")
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    major: int = NVIDIA_MAJOR
    gpu_minors: tuple[int, int] = (0, 253)
    capability_minors: tuple[int, int] = (0, _LAST_MINOR)

    def of_gpu(self, minor: int) -> DeviceNode:
        """Give the node of a GPU."""
        return DeviceNode(path=str(self.dev / f"nvidia{minor}"), major=self.major, minor=minor)

    def of_every_holder(self) -> tuple[DeviceNode, ...]:
        """Give the nodes that CUDA opens beside those of its GPUs, as far as they are there.

        From the files themselves: the major of nvidia-uvm is dynamic.
        """
        found = [(self.dev / name) for name in _OF_EVERY_HOLDER]
        return tuple(node for path in found if (node := _node_at(path)) is not None)

    def of_mig(self, minor: int, gpu_instance: int, compute_instance: int) -> list[DeviceNode]:
        """Give the capability nodes of a MIG device: its GI's and its CI's; CUDA opens both.

        Args:
            minor: Minor of the GPU; the driver names its capability folders by it.
            gpu_instance: GI id.
            compute_instance: CI id.

        Returns:
            Those that the driver has; none where it offers no capability files.
        """
        major = _number(self.proc / "devices", _CAPS_MAJOR)
        if major is None:
            return []
        folder = self.proc / f"driver/nvidia/capabilities/gpu{minor}/mig/gi{gpu_instance}"
        files = (folder / "access", folder / f"ci{compute_instance}" / "access")
        minors = [_number(file, _FILE_MINOR) for file in files]
        return [
            DeviceNode(str(self.dev / "nvidia-caps" / f"nvidia-cap{number}"), major, number)
            for number in minors
            if number is not None
        ]

    def governed(self) -> tuple[NodeRange, ...]:
        """Give the ranges that nobody may open without a lease, also for devices yet to come.

        Not in them: control nodes and nvidia-uvm, which every holder needs, and display nodes,
        whose major is shared with other makers' GPUs.
        """
        majors = map(int, _CAPABILITIES.findall(_text(self.proc / "devices")))
        capabilities = [NodeRange(major, *self.capability_minors) for major in majors]
        return (NodeRange(self.major, *self.gpu_minors), *capabilities)

    def of_display(self, pci_bus_id: str) -> tuple[DeviceNode, ...]:
        """Give a GPU's nodes in `/dev/dri`; none without the display driver (nvidia-drm).

        Args:
            pci_bus_id: NVML's form.
        """
        folder = self._slot(pci_bus_id) / "drm"
        return tuple(
            DeviceNode(str(self.dev / "dri" / name), int(found[1]), int(found[2]))
            for name in sorted(_names(folder))
            if (found := _MAJOR_MINOR.search(_text(folder / name / "dev")))
        )

    def numa_node(self, pci_bus_id: str) -> int | None:
        """Give the NUMA node of the PCI slot, None where the host has none.

        Not from NVML: `nvmlDeviceGetNumaNodeId` names the node that the GPU's own memory *is*, on
        the few platforms where it is one.

        Args:
            pci_bus_id: NVML's form.
        """
        return _number(self._slot(pci_bus_id) / "numa_node", _NODE)

    def _slot(self, pci_bus_id: str) -> Path:
        """Give the folder of a PCI slot: sysfs has a four-digit domain and small letters."""
        domain, _, slot = pci_bus_id.lower().partition(":")
        return self.sys / "bus/pci/devices" / f"{domain[-4:]}:{slot}"


def _node_at(path: Path) -> DeviceNode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    return DeviceNode(str(path), os.major(status.st_rdev), os.minor(status.st_rdev))


def _number(file: Path, pattern: re.Pattern[str]) -> int | None:
    found = pattern.search(_text(file))
    return None if found is None else int(found[1])


def _text(file: Path) -> str:
    """Read a file of the kernel's; empty where there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []
