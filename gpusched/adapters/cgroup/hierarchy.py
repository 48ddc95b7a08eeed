"""The cgroup2 hierarchy: what is in a cgroup, and ending what is in it.

Exists so that nothing else knows the names and the errors of cgroupfs. A cgroup is named by its
path from the root of the hierarchy, with a leading slash. No lease, no mask and no program may
enter this file; every method blocks.
Source: Documentation/admin-guide/cgroup-v2.rst of the kernel.
"""

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from gpusched.ports import EnforceError

# A cgroup may vanish between two looks: an open file of it then answers ENODEV. A threaded one
# lists no processes (EOPNOTSUPP): they stand in the one above it.
_NOTHING = frozenset({errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP})
_THREADED = frozenset({"threaded", "domain invalid"})
_KILL_ROUNDS = 200
# Those that fork meanwhile need a second round, hardly ever a third.
_EMPTYING_ROUNDS = 20
_ROUND_SECONDS = 0.01


class Hierarchy:
    """One mounted cgroup2 hierarchy, seen from its root."""

    def __init__(self, root: Path) -> None:
        """Look at the hierarchy mounted at *root*."""
        self.root = root

    def folder(self, path: str) -> Path:
        """Give the directory of a cgroup.

        Raises:
            EnforceError: The path leads out of what the daemon sees.
        """
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise EnforceError(
                f"cgroup {path} is outside of what the daemon sees; run the daemon in the "
                "host's cgroup namespace"
            )
        return self.root / path.lstrip("/")

    def identity(self, path: str) -> int | None:
        """Give the inode of a cgroup's directory, the kernel's id of it; None where it is gone."""
        try:
            return self.folder(path).stat().st_ino
        except OSError as error:
            # One that lies deeper than a path can say is not found by its path either.
            if error.errno in {errno.ENOENT, errno.ENAMETOOLONG}:
                return None
            raise

    def where(self, pid: int) -> str | None:
        """Give the cgroup of a process; None where the process or its cgroup is gone."""
        try:
            listing = Path(f"/proc/{pid}/cgroup").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # At the kernel's line ends only: a name may hold a carriage return, and be no text.
        lines = listing.split("\n")
        path = next((line[3:] for line in lines if line.startswith("0::")), None)
        return None if path is None or path.endswith(" (deleted)") else path

    def populated(self, path: str) -> bool:
        """Say whether a process lives in a cgroup or below it; no where it is gone."""
        return "populated 1" in (self._read(path, "cgroup.events") or "")

    def obstacle(self, path: str) -> str | None:
        """Say in a sentence what a cgroup is that nothing can be done with; None: it is sound."""
        if self.identity(path) is None:
            return f"cgroup {path} is gone"
        if (self._read(path, "cgroup.type") or "").strip() in _THREADED:
            return (
                f"cgroup {path} is a threaded one, where each thread has devices of its own; "
                "attach the cgroup above it that holds the whole process"
            )
        return self.frozen(path)

    def frozen(self, path: str) -> str | None:
        """Say in a sentence that a cgroup is frozen; None: it is not."""
        if "frozen 1" not in (self._read(path, "cgroup.events") or ""):
            return None
        return (
            f"cgroup {path} is frozen, its processes can neither move nor be looked after; "
            "thaw it (cgroup.freeze) and ask again"
        )

    def pids(self, path: str) -> tuple[int, ...]:
        """List the processes in a cgroup and below it; 0 is one that the daemon cannot see."""
        found: dict[int, None] = {}
        for one in (path, *self.below(path)):
            text = self._read(one, "cgroup.procs") or ""
            found.update(dict.fromkeys(map(int, text.split())))
        return tuple(found)

    def below(self, path: str) -> Iterator[str]:
        """List the cgroups below one, parents first."""
        for folder, names, _files in os.walk(self.folder(path)):
            inner = "/" + str(Path(folder).relative_to(self.root)) + "/"
            yield from (inner.replace("/./", "/") + name for name in names)

    def enter(self, path: str, pids: Sequence[int]) -> None:
        """Move processes into a cgroup; those that have ended meanwhile are passed over.

        Raises:
            EnforceError: The kernel refused one; those before it have moved.
        """
        for pid in pids:
            try:
                (self.folder(path) / "cgroup.procs").write_text(str(pid))
            except ProcessLookupError:
                continue
            except OSError as error:
                raise refused(
                    f"process {pid} cannot be moved into cgroup {path}", error
                ) from error

    def empty_into(self, path: str, other: str) -> None:
        """Move every process of a cgroup and those below it into another one.

        Raises:
            EnforceError: The kernel refused one.
        """
        for _ in range(_EMPTYING_ROUNDS):
            pids = tuple(filter(None, self.pids(path)))
            if not pids:
                return
            self.enter(other, pids)

    def create(self, path: str) -> None:
        """Make a cgroup, and those above it; one that is there already is taken as it is.

        Raises:
            EnforceError: The kernel refused it.
        """
        try:
            self.folder(path).mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise refused(f"cgroup {path} cannot be made", error) from error

    def remove_if_bare(self, path: str) -> None:
        """Remove a cgroup if nothing is in it and below it."""
        with contextlib.suppress(OSError):
            self.folder(path).rmdir()

    def remove(self, path: str) -> None:
        """Remove a cgroup and all below it; gone already is no error.

        Raises:
            EnforceError: A process is in it, or the kernel refused it.
        """
        for one in (*reversed(tuple(self.below(path))), path):
            try:
                self.folder(one).rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise refused(f"cgroup {one} cannot be removed", error) from error

    def kill(self, path: str) -> None:
        """End every process in a cgroup and below it, those it forks meanwhile included.

        Raises:
            EnforceError: The kernel refused it.
        """
        try:
            (self.folder(path) / "cgroup.kill").write_text("1")
        except OSError as error:
            if self.identity(path) is None:
                return
            # Before Linux 5.14 there is no such file, and in a directory none can be made.
            if error.errno not in {errno.EACCES, errno.EPERM, errno.ENOENT}:
                raise refused(f"the processes of cgroup {path} cannot be ended", error) from error
            self.kill_frozen(path)

    def kill_frozen(self, path: str) -> None:
        """Do what `kill` does, on a kernel that cannot: hold all still, and end one by one.

        Raises:
            EnforceError: Processes are left after two seconds.
        """
        pause = threading.Event()
        for _ in range(_KILL_ROUNDS):
            with contextlib.suppress(OSError):
                (self.folder(path) / "cgroup.freeze").write_text("1")
            self.send(path, signal.SIGKILL)
            if not self.populated(path):
                break
            pause.wait(_ROUND_SECONDS)
        with contextlib.suppress(OSError):
            (self.folder(path) / "cgroup.freeze").write_text("0")
        if self.populated(path):
            left = ", ".join(map(str, self.pids(path)[:5]))
            raise EnforceError(
                f"processes of cgroup {path} do not end ({left}): they wait in the kernel, "
                "perhaps for a device; look at dmesg"
            )

    def send(self, path: str, number: int) -> None:
        """Send a signal to every process in a cgroup and below it, and to nobody else."""
        for pid in filter(None, self.pids(path)):
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                try:
                    # The pid may have changed hands since it was listed; now it is pinned.
                    if lies_in(self.where(pid), path):
                        signal.pidfd_send_signal(pidfd, number)
                finally:
                    os.close(pidfd)

    def _read(self, path: str, name: str) -> str | None:
        """Read a file of a cgroup; None where it is gone or has no such thing."""
        try:
            return (self.folder(path) / name).read_text()
        except OSError as error:
            if error.errno in _NOTHING:
                return None
            raise refused(f"cgroup {path} cannot be read", error) from error


def lies_in(path: str | None, above: str) -> bool:
    """Say whether the cgroup *path* is *above* or below it; None is in none."""
    return path is not None and (path == above or path.startswith(above.rstrip("/") + "/"))


_WAYS_OUT = {
    errno.EPERM: "run the daemon as root on the host",
    errno.EACCES: "run the daemon as root on the host",
    errno.EROFS: "mount the cgroup2 hierarchy writable",
    errno.EBUSY: "a process is in the way; end it and try again",
    errno.ENOSPC: "the limit of cgroups is reached (cgroup.max.descendants)",
    errno.EMFILE: "raise the daemon's LimitNOFILE",
    errno.ENFILE: "raise fs.file-max",
    errno.EAGAIN: "a limit of processes is reached (pids.max); try again",
    errno.ENODEV: "the cgroup is gone, or the kernel has no cgroup2",
}


def refused(what: str, error: OSError) -> EnforceError:
    """Put in one line *what* failed, why, and what to do."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    way_out = _WAYS_OUT.get(error.errno or 0, "look at the kernel's log")
    return EnforceError(f"{what}: {reason}; {way_out}")
