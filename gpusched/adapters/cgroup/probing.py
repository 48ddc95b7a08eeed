"""The proof that a mask holds: a process inside the cgroup tries what is denied, and must fail.

Exists because a program that is attached is not yet a program that denies: another may have taken
its place, or the nodes may not be those that the mask names. Only denied nodes are tried: opening
an allowed one wakes the device, which takes seconds. One small process per daemon does the
opening; it is in a cgroup only while it tries, and ends with its standard input.
"""

import contextlib
import errno
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable

from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.core.device import DeviceNode
from gpusched.core.mask import Mask
from gpusched.ports import EnforceError

# One line per question: major, minor and path; an empty one ends it. The answer is the place in
# the question of the first node that was not denied, or -1. What is not the node that is meant
# (the device is gone, another has its name) proves nothing, nor does a path that cannot be read.
_SOURCE = f"""
import os, sys
SILENT = {{{errno.ENOENT}, {errno.EACCES}, {errno.ENOTDIR}, {errno.ELOOP}}}
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
def open_for(major, minor, path):
    try:
        if os.stat(path).st_rdev != os.makedev(int(major), int(minor)):
            return False
        os.close(os.open(path, FLAGS))
    except OSError as error:
        return error.errno != {errno.EPERM} and error.errno not in SILENT
    return True
place, first = 0, -1
for line in sys.stdin:
    if line == "\\n":
        print(first, flush=True)
        place, first = 0, -1
        continue
    if first < 0 and open_for(*line[:-1].split(" ", 2)):
        first = place
    place += 1
"""
_SECONDS = 5


class Prober:
    """Tries what is denied. Used by one thread at a time, others wait; every method blocks."""

    def __init__(self, hierarchy: Hierarchy, nodes: Callable[[], Iterable[DeviceNode]]) -> None:
        """Start nothing yet.

        Args:
            hierarchy: Where the cgroups are.
            nodes: Gives all device nodes of the inventory as it is now.
        """
        self._hierarchy = hierarchy
        self._nodes = nodes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._cell = "/"
        self.pids: set[int] = set()
        """Every pid that it ever had: their denials are nobody's."""

    def check(self, path: str, mask: Mask) -> None:
        """Try every node that *mask* denies in the cgroup *path*; none there is fine.

        Raises:
            EnforceError: One could be opened, or it cannot be tried.
        """
        denied = [one for one in self._nodes() if not mask.allows(one.major, one.minor)]
        if not denied:
            return
        with self._lock:
            try:
                first = self._try(path, denied)
            except (OSError, ValueError) as error:
                self._end()
                raise EnforceError(
                    f"the mask of cgroup {path} cannot be tried: {error}; "
                    "see that the daemon can start processes"
                ) from error
            except EnforceError:
                self._end()
                raise
        if first >= 0:
            raise EnforceError(
                f"the mask of cgroup {path} does not hold: {denied[first].path} could be opened; "
                "report this with the kernel's version"
            )

    def close(self) -> None:
        """End the process. Idempotent."""
        with self._lock:
            self._end()

    def _try(self, path: str, denied: list[DeviceNode]) -> int:
        process = self._running()
        question = "".join(f"{one.major} {one.minor} {one.path}\n" for one in denied)
        inside = self._go_in(path, process.pid)
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 -- both are pipes
            process.stdin.write(question + "\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], _SECONDS)[0]:
                raise TimeoutError(f"no answer in {_SECONDS} s")
            return int(process.stdout.readline())
        finally:
            self._hierarchy.enter(self._cell, [process.pid])
            if inside != path:
                self._hierarchy.remove(inside)

    def _go_in(self, path: str, pid: int) -> str:
        """Move it in; where only leaves may have processes, into a cgroup below."""
        try:
            self._hierarchy.enter(path, [pid])
        except EnforceError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EBUSY:
                raise
        else:
            return path
        inner = f"{path}/probe"
        self._hierarchy.create(inner)
        self._hierarchy.enter(inner, [pid])
        return inner

    def _running(self) -> subprocess.Popen[str]:
        """Start it, or give the one that runs."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._process = subprocess.Popen(  # noqa: S603 -- our own words
            [sys.executable, "-I", "-S", "-c", _SOURCE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={},
            start_new_session=True,
        )
        self.pids.add(self._process.pid)
        self._cell = self._hierarchy.where(self._process.pid) or "/"
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.kill()
        process.wait()
