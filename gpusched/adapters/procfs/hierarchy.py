"""The cgroup2 tree: which cgroup a process is in, and which processes a cgroup has.

Only reads: cgroups are made, filled and removed elsewhere. The v1 trees of a hybrid host are of no
concern, since a device program works on cgroup2 alone.
Source: Linux `admin-guide/cgroup-v2.rst`, proc_pid_mountinfo(5), cgroups(7).
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, TypeVar

from gpusched.adapters.procfs.reading import whole

T = TypeVar("T")

_OCTAL = re.compile(r"\\([0-7]{3})")
_LINE = b"0::"
_DELETED = b" (deleted)"
# Reading a cgroup that is being removed.
_GONE = (errno.ENOENT, errno.ENODEV)
_TRIES = 5


class Hierarchy:
    """The tree as it is mounted at one place, or a host that has none.

    Every path of a cgroup is relative to the tree's root and begins with a slash.
    """

    def __init__(self, mount: Path | None) -> None:
        self._mount = None if mount is None else str(mount).rstrip("/")

    @classmethod
    def here(cls) -> Self:
        """Find where this process has the tree mounted: on a hybrid host beside the v1 trees."""
        listing = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape")
        for line in listing.rstrip("\n").split("\n"):
            place, _, kind = line.partition(" - ")
            root, point = place.split(" ")[3:5]
            mount = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), point))
            # Not a part of the tree, as in a container, and not hidden below another mount.
            if kind.startswith("cgroup2 ") and root == "/" and (mount / "cgroup.procs").exists():
                return cls(mount)
        return cls(None)

    def is_there(self) -> bool:
        """Say whether the tree can be read: else nothing follows from a cgroup's absence."""
        return self._mount is not None and Path(self._mount, "cgroup.procs").exists()

    def all(self) -> Iterator[str]:
        """Give the paths of all cgroups below the root, but for those that cannot be listed.

        Whoever has a part of the tree for himself can make it deeper than a path can say.
        """
        ahead = [] if self._mount is None else [self._mount]
        while ahead:
            with contextlib.suppress(OSError):
                for below in _folders(ahead.pop()):
                    yield below.removeprefix(str(self._mount))
                    ahead.append(below)

    def inode(self, path: str) -> int:
        """Give the identity of the cgroup *path* that is there now; 0 where there is none."""
        try:
            return 0 if self._mount is None else Path(f"{self._mount}{path}").stat().st_ino
        except OSError:
            return 0

    def path_in(self, listing: bytes, *, ended: bool = False) -> str:
        """Give the path that `/proc/<pid>/cgroup` names; empty where the host has no tree.

        Args:
            listing: The file.
            ended: Whether the process has ended: only then its cgroup may have been removed,
                which the kernel appends to the name.
        """
        if self._mount is None:
            return ""
        # At the kernel's line ends only: a name may hold a carriage return.
        for line in listing.split(b"\n"):
            if line.startswith(_LINE):
                path = line.removeprefix(_LINE)
                path = path.removesuffix(_DELETED) if ended else path
                # No name that is no text: it could not be stored or sent. Such a cgroup is
                # not found by this path, and so nothing is done with it.
                return path.decode(errors="replace")
        return ""

    def processes(self, cgroup: str, read: Callable[[int], T | None]) -> Mapping[int, T]:
        """Give what *read* says of each process in *cgroup* and below it, by pid.

        A pid that is listed before and after it was read has not left the cgroup in between, so
        that nothing is said of a later owner of the pid who is elsewhere.

        Args:
            cgroup: Its path.
            read: Gives None for a pid that no process has. The kernel lists those of a PID
                namespace that is not below this process's as 0.

        Raises:
            FileNotFoundError: There is no such cgroup.
            OSError: Who is in it cannot be told: it cannot be read, or has processes that cannot
                be seen from here.
        """
        for _ in range(_TRIES):
            before = self._pids(cgroup)
            found = {pid: one for pid in before if (one := read(pid)) is not None}
            after = self._pids(cgroup)
            known = {pid: one for pid, one in found.items() if pid in after}
            unseen = before & after - found.keys()
            # Newborn ones may be missed, but a cgroup with processes is never called empty.
            if not unseen and (known or not (after or self._is_populated(cgroup))):
                return known
        raise OSError(errno.EAGAIN, "not all its processes can be seen from here", cgroup)

    def _pids(self, cgroup: str) -> frozenset[int]:
        folder = self._folder(cgroup)
        try:
            found = _listed(folder)
        except OSError as error:
            raise _translated(error, cgroup) from error
        ahead = [folder]
        while ahead:
            for below in _folders(ahead.pop()):
                try:
                    found += _listed(below)
                except OSError as error:
                    # Those of a threaded cgroup stand in the domain above it.
                    if error.errno not in {*_GONE, errno.EOPNOTSUPP}:
                        raise
                ahead.append(below)
        return frozenset(found)

    def _is_populated(self, cgroup: str) -> bool:
        try:
            events = whole(os.open(f"{self._folder(cgroup)}/cgroup.events", os.O_RDONLY))
        except OSError as error:
            raise _translated(error, cgroup) from error
        return b"populated 1" in events

    def _folder(self, cgroup: str) -> str:
        # A path with `..` is one above the root of the daemon's cgroup namespace.
        if self._mount is None or not cgroup.startswith("/") or ".." in cgroup.split("/"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), cgroup)
        return f"{self._mount}{cgroup}".rstrip("/")


def _listed(folder: str) -> list[int]:
    return [int(pid) for pid in whole(os.open(f"{folder}/cgroup.procs", os.O_RDONLY)).split()]


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [one.path for one in entries if one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _translated(error: OSError, cgroup: str) -> OSError:
    if error.errno in _GONE:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), cgroup)
    return error
