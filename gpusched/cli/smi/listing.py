"""The list of `-L`: one line for each GPU, and one for each MIG device of it."""

from gpusched.cli.smi.cells import as_bytes, shown
from gpusched.cli.smi.survey import Device

_PROFILE = 12


def listing_lines(devices: list[Device]) -> list[str]:
    """Give the list."""
    lines: list[str] = []
    for gpu in devices:
        if gpu.lost:
            lines.append(unreachable(gpu))
            continue
        name = shown(gpu.value("name"))
        lines.append(f"GPU {gpu.index}: {name} (UUID: {gpu.uuid})")
        lines += [
            f"  MIG {_profile(one, name):<{_PROFILE}}Device {one.index:>2}: (UUID: {one.uuid})"
            for one in gpu.mig_devices
        ]
    return lines


def unreachable(gpu: Device) -> str:
    """Say that a GPU gives no handle, in nvidia-smi's words."""
    bus = gpu.value("pci.bus_id")
    # Four digits of domain, as there; the index where the bus id is not known.
    which = f" {gpu.index}" if bus.missing else bus.text[-12:]
    words = as_bytes(gpu.failure.text("words"))
    return f"Unable to determine the device handle for GPU{which}: {words}"


def _profile(device: Device, parent: str) -> str:
    """Give `3g.20gb` of a name such as `NVIDIA A100-SXM4-40GB MIG 3g.20gb`."""
    return shown(device.value("name")).removeprefix(parent).strip().removeprefix("MIG ")
