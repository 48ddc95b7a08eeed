"""Where the cgroup2 hierarchy is mounted; mounts it on a host that has it nowhere."""

import ctypes
import os
from pathlib import Path

from gpusched.adapters.cgroup.hierarchy import Hierarchy, refused

# linux/sched.h, linux/mount.h
_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x20000, 0x4000, 0x80000


def find_root(mounts: str) -> Path | None:
    """Find where cgroup2 is mounted so that a daemon can use it: whole, writable, not covered.

    Args:
        mounts: Contents of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    """
    for line in reversed(mounts.split("\n")):
        place, _, rest = line.partition(" - ")
        if not rest.startswith("cgroup2 "):
            continue
        _, _, _, root, point, options, *_ = place.split(" ")
        folder = Path(point.encode().decode("unicode_escape"))
        # Any other root is a part of the tree only: paths in /proc/<pid>/cgroup would not fit.
        whole = root == "/" and "rw" in options.split(",")
        if whole and (folder / "cgroup.procs").exists():
            return folder
    return None


def open_hierarchy(private: Path, *, passing: bool = False) -> Hierarchy:
    """Find the hierarchy, or mount it at *private* on a host that has it mounted nowhere.

    Args:
        private: A folder of the caller's own; made when needed.
        passing: Whether the mount is for this process alone, and goes with it; it must have no
            other threads.

    Raises:
        EnforceError: The kernel has no cgroup2, or the daemon may not mount it.
    """
    # Users mount where they like (FUSE), also at a name that is no text.
    root = find_root(Path("/proc/self/mountinfo").read_bytes().decode(errors="replace"))
    if root is not None:
        return Hierarchy(root)
    what = f"cgroup2 is mounted nowhere and cannot be mounted at {private}"
    try:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise refused(what, error) from error
    libc = ctypes.CDLL(None, use_errno=True)
    apart = passing and (
        libc.unshare(_CLONE_NEWNS)
        or libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    )
    if apart or libc.mount(b"cgroup2", os.fsencode(private), b"cgroup2", 0, None):
        raise refused(what, OSError(ctypes.get_errno(), ""))
    return Hierarchy(private)
