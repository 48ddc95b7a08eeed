"""Checks of the kernel and of what of it this process sees: version, machine, namespaces."""

from collections.abc import Iterator
from typing import Final

from gpusched.doctor.finding import Remarks, fail, ok, warn
from gpusched.doctor.situation import Situation
from gpusched.doctor.versions import Version, version_in, written

SINCE: Final[tuple[tuple[Version, str], ...]] = (
    ((3, 10), "the least for inference on GPUs"),
    ((5, 3), "the least for gpusched: it hears ends and sends signals by pidfd"),
    ((5, 6), "device programs: the kernel holds the masks of leases"),
    ((5, 8), "denied opens told, with their device"),
    ((5, 13), "Landlock: `gpusched run` of an ordinary user holds its own mask"),
    ((5, 14), "all processes of a lease killed at once"),
    ((5, 19), "files renamed and linked between folders under Landlock"),
    ((6, 1), "the guard: no device for processes without a lease; the pids of denied opens"),
    ((6, 5), "callers named by the kernel without a race"),
)
"""From which version of Linux gpusched can do what; distributions may have some of it earlier."""

_CUDA, _GPUSCHED, _PROGRAMS = (since for since, _ in SINCE[:3])
_ALL = SINCE[-1][0]
_MACHINES: Final = ("x86_64", "aarch64")
_INITIAL: Final = (
    ("pid", "pid:[4026531836]", "--pid=host"),
    ("cgroup", "cgroup:[4026531835]", "--cgroupns=host"),
    ("user", "user:[4026531837]", "without a user namespace"),
)
"""Namespaces that the daemon must share with the host: kind, the initial one's inode, which is
fixed in the kernel (include/linux/proc_ns.h), and how a container engine is told."""


def check_kernel(situation: Situation) -> Remarks:
    """Compare the kernel's version with the table."""
    release = (situation.host.read("/proc/sys/kernel/osrelease") or "").strip()
    found = version_in(release)
    if found is None:
        yield warn(f"its version cannot be told from {release!r}", "see `uname -r`")
        return
    version = found[:2]
    missing = [f"{what} ({written(since)})" for since, what in SINCE if version < since]
    if version < _GPUSCHED:
        least = _CUDA if version < _CUDA else _GPUSCHED
        yield fail(
            f"{release} is older than {written(least)}, {dict(SINCE)[least]}",
            f"install Linux {written(_ALL)} or newer; masks need {written(_PROGRAMS)} at least",
        )
    elif version < _PROGRAMS:
        yield warn(
            f"{release}: leases are advisory, the kernel cannot hold masks",
            f"install Linux {written(_PROGRAMS)} or newer; what it lacks: {'; '.join(missing)}",
        )
    elif missing:
        yield warn(
            f"{release}: masks can be held; it lacks {'; '.join(missing)}",
            f"Linux {written(_ALL)} has all of it; a distribution may have some of it earlier",
        )
    else:
        yield ok(f"{release}: guard, device programs and Landlock are in this version")


def check_architecture(situation: Situation) -> Remarks:
    """See whether there are drivers for this machine."""
    machine = situation.host.machine
    if machine in _MACHINES:
        yield ok(machine)
    else:
        yield fail(
            f"{machine}: NVIDIA has drivers for {' and '.join(_MACHINES)} only",
            "simulated devices work: `gpusched serve --simulate 4xL4`",
        )


def check_wsl(situation: Situation) -> Remarks:
    """Tell Windows' own Linux: its GPUs have no device nodes."""
    host = situation.host
    release = (host.read("/proc/sys/kernel/osrelease") or "").lower()
    if "microsoft" not in release and not host.exists("/dev/dxg"):
        yield ok("no Windows below")
        return
    yield fail(
        "this is WSL: its GPUs are behind /dev/dxg, without a device node each, so that no mask"
        " can be held, and NVML tells no memory of processes",
        "run gpusched on Linux itself, or try it here with `gpusched serve --simulate 4xL4`",
    )


def check_namespaces(situation: Situation) -> Remarks:
    """See whether this is the host, or a container that shows a part of it."""
    foreign = list(_foreign(situation))
    if not foreign:
        yield ok("the host's own: PID, cgroup and user namespace")
        return
    kinds = ", ".join(kind for kind, _ in foreign)
    yield warn(
        f"not the host's: {kinds} namespace{_container(situation)}; what is said here is about"
        " this container",
        "clients work in it where the socket is mounted; a daemon needs"
        f" {', '.join(way for _, way in foreign)}",
    )


def _foreign(situation: Situation) -> Iterator[tuple[str, str]]:
    for kind, initial, way in _INITIAL:
        own = situation.host.link(f"/proc/self/ns/{kind}")
        if own is not None and own != initial:
            yield kind, way


def _container(situation: Situation) -> str:
    """Name who made the container, where it left a sign."""
    signs = {"/run/.containerenv": "podman", "/.dockerenv": "docker"}
    made = [engine for path, engine in signs.items() if situation.host.exists(path)]
    return f" ({made[0]})" if made else ""
