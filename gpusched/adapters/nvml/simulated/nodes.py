"""The device nodes of a simulated host, and the driver's files that say which node is which.

The nodes have a major that Linux sets aside for local use, so that a device cgroup program sees
real character devices; never 195, whose nodes are a real host's GPUs. Where none can be made (not
root, or a mount without devices) plain files of the same names stand in: they can be opened, but
the kernel cannot deny them.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpusched.adapters.nvml.simulated.mig import MigDevice
from gpusched.adapters.nvml.simulated.scenario import Scenario, SimulatedDevice

MAJOR = 60
"""First of the majors for local and experimental use (Linux `admin-guide/devices.txt`)."""

CONTROL_NODES = {"nvidiactl": 255, "nvidia-uvm": 254, "nvidia-uvm-tools": 253}
"""What CUDA opens before any GPU, with their minors; those of GPUs are below."""

GPU_MINORS = (0, 252)
"""Lowest and highest minor of GPUs' nodes."""

CAPABILITY_MINORS = (256, 2**19 - 1)
"""Lowest and highest minor of capability nodes: above the control nodes; all share a major."""

CAPS_FOLDER = "nvidia-caps"
DISPLAY_FOLDER = "dri"

_MODE = 0o666
_FOLDER_MODE = 0o755
_FIRST_CARD = CAPABILITY_MINORS[1] + 1
_FIRST_RENDER = _FIRST_CARD + 256
_OURS = re.compile(r"nvidia\d+|nvidiactl|nvidia-uvm(-tools)?|nvidia-cap\d+|card\d+|renderD\d+")


@dataclass(frozen=True, slots=True)
class Node:
    """A node below the folder of nodes."""

    path: str
    minor: int


def gpu_node(device: SimulatedDevice) -> Node:
    """Give the node of a GPU."""
    return Node(f"nvidia{device.minor}", device.minor)


def mig_nodes(device: SimulatedDevice, instance: MigDevice) -> tuple[Node, Node]:
    """Give the capability nodes of a MIG device: its GI's and its CI's."""
    # As the driver numbers them, moved above the minors of GPUs: here all share one major.
    gpu = CAPABILITY_MINORS[0] + 3 + 135 * device.minor + 9 * instance.gpu_instance
    return _cap(gpu), _cap(gpu + 1 + instance.compute_instance)


def display_nodes(device: SimulatedDevice) -> tuple[Node, ...]:
    """Give the display nodes of a desktop card; the others are simulated without nvidia-drm."""
    if device.profile.brand != "geforce":
        return ()
    index = device.index
    return (
        Node(f"{DISPLAY_FOLDER}/card{index}", _FIRST_CARD + index),
        Node(f"{DISPLAY_FOLDER}/renderD{128 + index}", _FIRST_RENDER + index),
    )


def all_nodes(scenario: Scenario) -> dict[str, int]:
    """Give the minors of all nodes by path; of vanished devices too, since they may return."""
    return {node.path: node.minor for node in _nodes(scenario)}


def _nodes(scenario: Scenario) -> Iterator[Node]:
    for name, minor in CONTROL_NODES.items():
        yield Node(name, minor)
    for device in scenario.devices:
        yield gpu_node(device)
        yield from display_nodes(device)
        for instance in device.mig:
            yield from mig_nodes(device, instance)


def _cap(number: int) -> Node:
    return Node(f"{CAPS_FOLDER}/nvidia-cap{number}", number)


def make_nodes(root: Path, scenario: Scenario) -> str | None:
    """Make the folder *root* hold the scenario's nodes and no others of ours.

    Returns:
        Why the nodes are plain files; None where they are character devices.
    """
    root.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    (root / CAPS_FOLDER).mkdir(mode=_FOLDER_MODE, exist_ok=True)
    wanted = all_nodes(scenario)
    for path in _present(root):
        if str(path.relative_to(root)) not in wanted:
            path.unlink()
    why = _cannot_have_devices(root)
    for name, minor in wanted.items():
        (root / name).parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        if why is None:
            why = _make_device(root / name, minor)
        if why is not None:
            _make_file(root / name)
    return why


def _present(root: Path) -> list[Path]:
    places = (root, root / CAPS_FOLDER, root / DISPLAY_FOLDER)
    folders = [one for one in places if one.is_dir() and not one.is_symlink()]
    return [path for one in folders for path in one.iterdir() if _OURS.fullmatch(path.name)]


def _cannot_have_devices(root: Path) -> str | None:
    if os.geteuid() != 0:
        return "only root can make device nodes"
    if os.statvfs(root).f_flag & os.ST_NODEV:
        return f"{root} is on a file system that is mounted without devices (nodev)"
    return None


def _make_device(path: Path, minor: int) -> str | None:
    device = os.makedev(MAJOR, minor)
    if path.exists():
        found = path.lstat()
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == device:
            return None
        path.unlink()
    try:
        os.mknod(path, stat.S_IFCHR | _MODE, device)
    except PermissionError as error:
        return f"mknod is refused: {error.strerror}"
    path.chmod(_MODE)  # the umask has narrowed it
    return None


def _make_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        path.unlink()
    path.touch(mode=_MODE)
    path.chmod(_MODE)


def write_driver_files(proc: Path, scenario: Scenario) -> None:
    """Write the files under `/proc` that tell a MIG device's capability nodes."""
    proc.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    listing = f"Character devices:\n{MAJOR:3} nvidia-frontend\n{MAJOR:3} nvidia-caps\n"
    (proc / "devices").write_text(listing, encoding="ascii")
    for device in scenario.devices:
        gpu = proc / f"driver/nvidia/capabilities/gpu{device.minor}/mig"
        for one in device.mig:
            whole, part = mig_nodes(device, one)
            folder = gpu / f"gi{one.gpu_instance}"
            _write_minor(folder / "access", whole)
            _write_minor(folder / f"ci{one.compute_instance}" / "access", part)


def write_bus_files(sys: Path, scenario: Scenario) -> None:
    """Write the files under `/sys` that tell each slot's NUMA node and display nodes."""
    for device in scenario.devices:
        domain, _, slot = device.bus_id.lower().partition(":")
        folder = sys / "bus/pci/devices" / f"{domain[-4:]}:{slot}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "numa_node").write_text(f"{device.numa}\n", encoding="ascii")
        for node in display_nodes(device):
            place = folder / "drm" / Path(node.path).name
            place.mkdir(parents=True, exist_ok=True)
            (place / "dev").write_text(f"{MAJOR}:{node.minor}\n", encoding="ascii")


def _write_minor(file: Path, node: Node) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"DeviceFileMinor: {node.minor}\nDeviceFileMode: 292\n", encoding="ascii")
