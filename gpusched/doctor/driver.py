"""Checks of the driver without asking it: which one is loaded, and does the library fit."""

import re
from collections.abc import Iterator
from typing import Final

from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.kernel_driver import FOLDER, cards_of
from gpusched.doctor.situation import Situation

_DISTRIBUTION: Final = "install NVIDIA's driver from your distribution or from NVIDIA"
_NOUVEAU: Final = (
    "install NVIDIA's driver and keep nouveau away: `echo blacklist nouveau >"
    " /etc/modprobe.d/nouveau.conf`, renew the initramfs, reboot"
)
_BROKEN: Final = (
    "look at `dmesg | grep NVRM`; load it anew (`modprobe -r nvidia && modprobe nvidia`) or reboot"
)
_REFUSALS: Final = {
    "libnvidia-ml.so.1": "NVML answers `Driver/library version mismatch`",
    "libcuda.so.1": "CUDA programs end with error 803",
}
"""The libraries, and what follows when one does not fit (cudaErrorSystemDriverMismatch)."""

_FOLDERS: Final = (
    "/usr/lib/{machine}-linux-gnu",
    "/usr/lib/{machine}-linux-gnu/nvidia/current",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/run/opengl-driver/lib",
)
"""Where distributions and container engines put the driver's libraries."""

_COMPATIBLE: Final = re.compile(r"/cuda[^/]*/compat/")
"""Where the packages cuda-compat put a libcuda that is meant for an older driver."""

_NUMBERED: Final = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)?)$")


def check_driver(situation: Situation) -> Remarks:
    """See which driver has the GPUs."""
    loaded = situation.loaded
    if loaded.version:
        yield from _loaded(situation)
    elif loaded.fault:
        yield fail(loaded.fault, _BROKEN)
    elif situation.host.exists("/sys/module/nouveau"):
        yield fail(f"nouveau is loaded{_cards(situation)}; it has neither CUDA nor NVML", _NOUVEAU)
    elif loaded.there:
        said = f"says {loaded.text[:80]!r}" if loaded.text else "is empty or not there"
        yield fail(
            f"{FOLDER} is there, and its file `version` {said}: the driver is broken or half"
            " unloaded",
            _BROKEN,
        )
    else:
        yield _absent(situation)


def _loaded(situation: Situation) -> Iterator[Remark]:
    loaded = situation.loaded
    kind = ", the open kernel module" if loaded.open else ""
    gpus = situation.gpus
    for one in gpus:
        if one.fault:
            yield fail(f"GPU {one.address}: {one.fault}", _BROKEN)
    if gpus:
        models = sorted({one.model for one in gpus if not one.fault})
        yield ok(f"{loaded.version}{kind}; {len(gpus)} GPUs: {', '.join(models) or 'unknown'}")
    else:
        yield fail(
            f"{loaded.version} is loaded and has no GPU",
            "look at `dmesg | grep NVRM` and `lspci -d 10de:`",
        )
    for address, driver in cards_of(situation.host):
        if driver != "nvidia":
            yield warn(
                f"the GPU at {address} belongs to {driver or 'no driver'}, not to nvidia",
                "meant for a virtual machine that is right; else bind it to nvidia",
            )
    on_disk = situation.host.run("modinfo", "-F", "version", "nvidia")
    version = on_disk.text.strip() if on_disk is not None and on_disk.code == 0 else ""
    if version and version != loaded.version:
        yield warn(
            f"{loaded.version} is loaded, and {version} is installed for the next boot",
            "reboot, or let go of the driver and load the new one (`gpusched nvml release`)",
        )


def _absent(situation: Situation) -> Remark:
    cards = _cards(situation)
    if cards:
        return fail(f"no NVIDIA driver is loaded{cards}", f"`modprobe nvidia`, or {_DISTRIBUTION}")
    return fail(
        "no NVIDIA driver is loaded, and no NVIDIA GPU is on the PCI bus",
        f"where there is a GPU {_DISTRIBUTION}; without one `gpusched serve --simulate 4xL4`",
    )


def _cards(situation: Situation) -> str:
    count = len(list(cards_of(situation.host)))
    return f", and {count} NVIDIA GPUs are on the PCI bus" if count else ""


def check_libraries(situation: Situation) -> Remarks:
    """Compare the libraries of the driver with the loaded module: NVML refuses another version."""
    loaded = situation.loaded.version
    for name in _REFUSALS:
        path, version = _library(situation, name)
        if not path:
            yield _missing(name, loaded)
        elif version and loaded and version != loaded and _COMPATIBLE.search(path):
            yield warn(
                f"{path} is of {version}, CUDA's forward compatibility for a driver of {loaded}",
                "nothing on data centre GPUs; on others take its folder out of LD_LIBRARY_PATH",
            )
        elif version and loaded and version != loaded:
            yield fail(
                f"{path} is of {version}, the loaded kernel module of {loaded}: {_REFUSALS[name]}",
                "reboot, or unload the old module and load the new one; a running daemon takes it"
                " up by itself (`gpusched nvml release` lets go of the old one)",
            )
        else:
            yield ok(f"{path}{f' of {version}' if version else ''}")


def _missing(name: str, loaded: str) -> Remark:
    if not loaded:
        return warn(f"{name} was not found", "it comes with the driver")
    if name == "libnvidia-ml.so.1":
        return fail(
            f"{name} was not found: gpusched cannot read the devices",
            "install the libraries of the driver (Debian: libnvidia-ml1), or name their folder in"
            " LD_LIBRARY_PATH of the daemon",
        )
    return warn(
        f"{name} was not found: CUDA programs outside of containers do not start",
        "install it (Debian: libcuda1)",
    )


def _library(situation: Situation, name: str) -> tuple[str, str]:
    """Give path and version of a library; empty where there is none, or none in its name."""
    host = situation.host
    named = host.environment.get("LD_LIBRARY_PATH", "").split(":")
    folders = [one for one in named if one.startswith("/")]
    folders += [one.format(machine=host.machine) for one in _FOLDERS]
    for folder in folders:
        path = f"{folder.rstrip('/')}/{name}"
        real = host.real_name(path)
        if real is not None:
            found = _NUMBERED.search(real)
            return path, found[1] if found else ""
    return _from_cache(situation, name)


def _from_cache(situation: Situation, name: str) -> tuple[str, str]:
    """Ask the loader's own cache, for folders that only this host has."""
    listed = situation.host.run("ldconfig", "-p")
    for line in () if listed is None else listed.text.splitlines():
        words = line.split()
        if words[:1] == [name]:
            found = _NUMBERED.search(situation.host.real_name(words[-1]) or "")
            return words[-1], found[1] if found else ""
    return "", ""
