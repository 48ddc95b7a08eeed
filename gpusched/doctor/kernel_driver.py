"""The NVIDIA driver as the kernel shows it, without NVML: its file, its GPUs, PCI devices.

Sources: `/proc/driver/nvidia` of open-gpu-kernel-modules (nv-procfs.c), sysfs of PCI devices.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gpusched.doctor.execution import Silent
from gpusched.doctor.host import Hidden, Host, Unreadable

FOLDER: Final = "/proc/driver/nvidia"
_VERSION: Final = re.compile(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\b", re.MULTILINE)
_MINOR: Final = re.compile(r"^Device Minor:\s*(\d+)", re.MULTILINE)
_MODEL: Final = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_NVIDIA: Final = "0x10de"
_DISPLAY: Final = "0x03"  # class of VGA and 3D controllers
_PCI: Final = "/sys/bus/pci/devices"


@dataclass(frozen=True, slots=True)
class DriverFile:
    """What `/proc/driver/nvidia/version` says.

    Attributes:
        there: Whether the folder is there.
        version: Of the loaded kernel module; empty: none is loaded, or the file says something
            else.
        open: Whether it is the open kernel module.
        text: First line of the file; empty: there is no file, or nothing in it.
        fault: Why it cannot be read; empty: it was.
    """

    there: bool
    version: str
    open: bool
    text: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class KernelGpu:
    """A GPU that the driver has.

    Attributes:
        address: On the PCI bus.
        model: Its name; `unknown` where the driver says none.
        minor: Of its node; None: the driver says none.
        fault: Why what the driver says of it cannot be read; empty: it was.
    """

    address: str
    model: str = "unknown"
    minor: int | None = None
    fault: str = ""


def driver_file(host: Host) -> DriverFile:
    """Read which driver is loaded."""
    try:
        text = host.read(f"{FOLDER}/version") or ""
        there = host.exists(FOLDER)
    except (Hidden, Unreadable, Silent) as error:
        return DriverFile(there=True, version="", open=False, text="", fault=_fault(error))
    found = _VERSION.search(text)
    return DriverFile(
        there=there,
        version=found[1] if found else "",
        open="Open Kernel Module" in text,
        text=(text.splitlines() or [""])[0].strip(),
    )


def gpus_of(host: Host) -> tuple[KernelGpu, ...]:
    """List the GPUs that the driver has; after one that hangs no other is asked."""
    found: list[KernelGpu] = []
    hangs = ""
    for address in host.entries(f"{FOLDER}/gpus"):
        if hangs:
            found.append(KernelGpu(address, fault="not read, as another hangs"))
            continue
        try:
            text = host.read(f"{FOLDER}/gpus/{address}/information") or ""
        except (Hidden, Unreadable, Silent) as error:
            hangs = _fault(error) if isinstance(error, Silent) else ""
            found.append(KernelGpu(address, fault=_fault(error)))
            continue
        model, minor = _MODEL.search(text), _MINOR.search(text)
        found.append(
            KernelGpu(address, model[1] if model else "unknown", int(minor[1]) if minor else None)
        )
    return tuple(found)


def _fault(error: Exception) -> str:
    hidden = isinstance(error, Hidden)
    return f"not visible to this user: {error}" if hidden else str(error)


def cards_of(host: Host) -> Iterator[tuple[str, str]]:
    """List NVIDIA's GPUs on the PCI bus: address, and the driver that has it (empty: none)."""
    for address in host.entries(_PCI):
        folder = f"{_PCI}/{address}"
        vendor = (host.read(f"{folder}/vendor") or "").strip()
        kind = (host.read(f"{folder}/class") or "").strip()
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            yield address, (host.link(f"{folder}/driver") or "").rpartition("/")[2]
