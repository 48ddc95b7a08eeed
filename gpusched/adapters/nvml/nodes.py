"""Where a device's nodes are: `/dev/nvidiaN`, and the capability nodes of a MIG device.

Exists because NVML knows minors only of whole GPUs; the rest stands in the driver's `/proc` files.
Reads a few small files and asks no library. Nothing here opens or makes a node.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpusched.core.device import DeviceNode

NVIDIA_MAJOR: Final = 195
"""Character major of `/dev/nvidiaN` (Linux `Documentation/admin-guide/devices.txt`)."""

_FILE_MINOR: Final = re.compile(r"^DeviceFileMinor:\s*(\d+)$", re.MULTILINE)
_NODE: Final = re.compile(r"^(\d+)$", re.MULTILINE)  # -1 where the host has only one
_OF_EVERY_HOLDER: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_CAPS_MAJOR: Final = re.compile(r"^\s*(\d+) nvidia-caps$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NodePlaces:
    """The folders and the major that a driver uses; a simulator has its own.

    Attributes:
        dev: Folder of the nodes.
        proc: Folder with `devices` and `driver/nvidia`.
        sys: Folder with `bus/pci/devices`.
        major: Character major of the GPUs' nodes.
    """

    dev: Path = Path("/dev")
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    major: int = NVIDIA_MAJOR

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

    def numa_node(self, pci_bus_id: str) -> int | None:
        """Give the NUMA node of the PCI slot, None where the host has none.

        Not from NVML: `nvmlDeviceGetNumaNodeId` names the node that the GPU's own memory *is*, on
        the few platforms where it is one.

        Args:
            pci_bus_id: NVML's form; sysfs has a four-digit domain and small letters.
        """
        domain, _, slot = pci_bus_id.lower().partition(":")
        name = f"{domain[-4:]}:{slot}"
        return _number(self.sys / "bus/pci/devices" / name / "numa_node", _NODE)


def _node_at(path: Path) -> DeviceNode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    return DeviceNode(str(path), os.major(status.st_rdev), os.minor(status.st_rdev))


def _number(file: Path, pattern: re.Pattern[str]) -> int | None:
    try:
        found = pattern.search(file.read_text(encoding="utf-8"))
    except OSError:
        return None
    return None if found is None else int(found[1])
