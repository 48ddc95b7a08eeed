"""What a machine must offer for some tests: one probe per marker, each with its reason.

A test says what it needs with a marker of the same name (`@pytest.mark.root`); a fixture calls
`require`. Where the machine lacks it the test is skipped with the reason, unless
`GPUSCHED_TEST_REQUIRE` (a comma list, as the continuous integration sets it) names it: there a
missing capability is a failure, so that a test cannot vanish silently.
"""

import ctypes.util
import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REQUIRE_VARIABLE = "GPUSCHED_TEST_REQUIRE"
_CACHE = Path(__file__).parent.parent / ".cache"
_FETCHED_LIBRARY = _CACHE / "nvml" / "libnvidia-ml.so.1"
_FRAMEWORKS = _CACHE / "frameworks"
_CAP_SYS_ADMIN = 21  # linux/capability.h


def cgroup2_mount() -> Path | None:
    """The first cgroup v2 mount point; beside the v1 trees on a hybrid host."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(place.split()[4])
    return None


def libnvidia_ml() -> Path | None:
    """NVIDIA's own library: the fetched one, else the name that the loader would find."""
    if _FETCHED_LIBRARY.exists():
        return _FETCHED_LIBRARY
    name = ctypes.util.find_library("nvidia-ml")
    return Path(name) if name else None


def _lacks_root() -> str | None:
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(effective.split()[1], 16) >> _CAP_SYS_ADMIN & 1:
        return "not root: CAP_SYS_ADMIN is missing"
    mount = cgroup2_mount()
    if mount is None:
        return "no cgroup v2 tree is mounted"
    return None if os.access(mount, os.W_OK) else f"the cgroup v2 tree at {mount} is read-only"


def _lacks_gpu() -> str | None:
    cards = Path("/proc/driver/nvidia/gpus")
    if not cards.is_dir() or not any(cards.iterdir()):
        return "no NVIDIA driver with a device"
    return None


def _lacks_libnvidia_ml() -> str | None:
    return None if libnvidia_ml() else "no libnvidia-ml.so.1; see tools/fetch_libnvidia_ml.sh"


def _lacks_systemd_analyze() -> str | None:
    return None if shutil.which("systemd-analyze") else "systemd-analyze is not installed"


def _lacks_namespaces() -> str | None:
    """Say why no user namespace can be made: in a chroot, say, the kernel refuses."""
    command = shutil.which("unshare")
    if command is None:
        return "unshare is not installed"
    words = [command, "--user", "true"]
    tried = subprocess.run(words, capture_output=True, check=False)  # noqa: S603 - util-linux's
    return None if tried.returncode == 0 else "the kernel makes no user namespace here"


def _lacks_nspawn() -> str | None:
    """Say what is missing for a machine with its own systemd (tests/systemd)."""
    for command in ("systemd-nspawn", "debootstrap"):
        if shutil.which(command) is None:
            return f"{command} is not installed"
    return _lacks_root() or _lacks_namespaces()


def _lacks_podman() -> str | None:
    """Say what is missing for containers; busybox is all that is in them."""
    for command in ("podman", "runc", "conmon", "busybox"):
        if shutil.which(command) is None:
            return f"{command} is not installed"
    return _lacks_root() or _lacks_namespaces()


def bentoml(version: str) -> Path:
    """The environment that tools/fetch_bentoml.sh makes of BentoML `1.3` or `1.4`."""
    return _CACHE / "bentoml" / version


def _lacks_bentoml() -> str | None:
    """Say which of the two is missing: one that overwrites masks, and a current one."""
    for version in ("1.3", "1.4"):
        if not (bentoml(version) / ".made").exists():
            return f"no BentoML {version} in .cache/bentoml; `make bentoml` installs it"
    return None


def _lacks_frameworks() -> str | None:
    installed = (_FRAMEWORKS / ".servers").exists()
    return None if installed else "no model servers in .cache/frameworks; see `make frameworks`"


def _lacks_torch() -> str | None:
    installed = (_FRAMEWORKS / ".torch").exists()
    return None if installed else "no PyTorch in .cache/frameworks; see `make frameworks`"


_PROBES: dict[str, Callable[[], str | None]] = {
    "root": _lacks_root,
    "gpu": _lacks_gpu,
    "libnvidia_ml": _lacks_libnvidia_ml,
    "systemd_analyze": _lacks_systemd_analyze,
    "namespaces": _lacks_namespaces,
    "nspawn": _lacks_nspawn,
    "podman": _lacks_podman,
    "bentoml": _lacks_bentoml,
    "frameworks": _lacks_frameworks,
    "torch": _lacks_torch,
}
NAMES = tuple(_PROBES)


@functools.cache
def missing(name: str) -> str | None:
    """Why this machine lacks the capability, or None where it has it."""
    return _PROBES[name]()


def required_names() -> frozenset[str]:
    """The capabilities that must be there, from the environment.

    Raises:
        pytest.UsageError: a name is not one of `NAMES`.
    """
    words = os.environ.get(REQUIRE_VARIABLE, "").split(",")
    names = frozenset(word.strip().replace("-", "_") for word in words if word.strip())
    if unknown := names - _PROBES.keys():
        raise pytest.UsageError(
            f"{REQUIRE_VARIABLE} names {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}"
        )
    return names


def require(name: str) -> None:
    """Skips the running test, or fails it where the capability must be there."""
    reason = missing(name)
    if reason is None:
        return
    if name in required_names():
        pytest.fail(f"{name} is in {REQUIRE_VARIABLE}, and {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")
