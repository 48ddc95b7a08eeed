"""The list of `-L`: one line for each GPU, and one for each MIG device of it.

What it says of a GPU that gives no handle is measured with NVIDIA's programs of 470, 535 and 550.
"""

from gpusched.cli.smi.cells import as_bytes, shown
from gpusched.cli.smi.survey import LOST, RESET_REQUIRED, Device

_PROFILE = 12
_NONE = "No devices found."
_ENDS = {
    LOST: ("GPU is lost.  Reboot the system to recover this GPU", "", ""),
    RESET_REQUIRED: ("A GPU reset must occur before this GPU can be used again.", "", "."),
}
"""What stands behind the colon, and the lines below it, where it is not NVML's words alone."""


def listing_lines(devices: list[Device]) -> list[str]:
    """Give the list."""
    lines: list[str] = []
    for gpu in devices:
        if gpu.lost:
            lines += unreachable(gpu)
            continue
        name = shown(gpu.value("name"))
        lines.append(f"GPU {gpu.index}: {name} (UUID: {gpu.uuid})")
        lines += [
            f"  MIG {_profile(one, name):<{_PROFILE}}Device {one.index:>2}: (UUID: {one.uuid})"
            for one in gpu.mig_devices
        ]
    return lines or [_NONE]


def unreachable(gpu: Device) -> list[str]:
    """Say that a GPU gives no handle, in nvidia-smi's words."""
    bus = gpu.value("pci.bus_id")
    # Four digits of domain, as there; the index where the bus id is not known.
    which = str(gpu.index) if bus.missing else bus.text[-12:]
    words = as_bytes(gpu.failure.text("words"))
    first, *rest = _ENDS.get(gpu.failure.number("code"), (words,))
    return [f"Unable to determine the device handle for gpu {which}: {first}", *rest]


def _profile(device: Device, parent: str) -> str:
    """Give `3g.20gb` of a name such as `NVIDIA A100-SXM4-40GB MIG 3g.20gb`."""
    return shown(device.value("name")).removeprefix(parent).strip().removeprefix("MIG ")
