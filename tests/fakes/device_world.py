"""What tests of masks need of a real kernel: a cgroup, device nodes, a process that opens them.

No GPU and no driver: the nodes have a major that nobody serves, so that an open that the kernel
allows fails with ENXIO and one that it denies fails with EPERM.
"""

import contextlib
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest

from gpusched.core.mask import Mask, NodeRange, Rule
from tests import capabilities

MAJOR: Final = 60
"""Kept by Documentation/admin-guide/devices.txt for local and experimental use."""

_OPENER: Final = """
import errno, os, stat, sys
open(sys.argv[1], "w").write("0")
print(os.getpid(), flush=True)
for line in sys.stdin:
    verb, times, path = line.rstrip("\\n").split(" ", 2)
    answer = "ok"
    for _ in range(int(times)):
        try:
            if verb == "mknod":
                number = os.stat(path).st_rdev
                os.mknod(path + ".copy", stat.S_IFCHR, number)
            else:
                os.close(os.open(path, {"read": os.O_RDONLY, "write": os.O_WRONLY}[verb]))
        except OSError as error:
            answer = errno.errorcode[error.errno]
    print(answer, flush=True)
"""


def mask_allowing(*minors: int) -> Mask:
    """The mask of a lease on the devices *minors* of `MAJOR`."""
    own = [Rule(allow=True, nodes=NodeRange(MAJOR, one, one)) for one in minors]
    return Mask((*own, Rule(allow=False, nodes=NodeRange(MAJOR, 0, 253))))


def make_nodes(folder: Path, count: int) -> list[Path]:
    """Device nodes 0 to *count* - 1 of `MAJOR`; skips the test where they cannot be opened."""
    nodes = [folder / f"node{minor}" for minor in range(count)]
    for minor, node in enumerate(nodes):
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(MAJOR, minor))
    try:
        os.close(os.open(nodes[0], os.O_RDONLY))
    except PermissionError as error:
        pytest.skip(f"the file system of {folder} has no device nodes: {error.strerror}")
    except OSError:
        pass  # ENXIO: the kernel looked for a driver
    return nodes


@contextlib.contextmanager
def cgroup(parent: Path | None = None) -> Iterator[Path]:
    """A new cgroup, removed at the end; below *parent*, else below the root."""
    root = parent or capabilities.cgroup2_mount()
    assert root is not None
    folder = root / f"gpusched-test-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        with contextlib.suppress(FileNotFoundError):  # some tests take it away
            folder.rmdir()


class Opener:
    """A process in a cgroup that opens what it is told to."""

    def __init__(self, folder: Path) -> None:
        """Start it, and wait until it is in the cgroup *folder*."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", "-c", _OPENER, str(folder / "cgroup.procs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = int(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def tries(self, verb: str, path: Path, times: int = 1) -> str:
        """`read`, `write` or `mknod` (a copy) at *path*: the name of the error, or `ok`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{verb} {times} {path}\n")
        self._process.stdin.flush()
        return self._answer()

    def reads(self, paths: list[Path]) -> list[str]:
        """What opening each of *paths* gives."""
        return [self.tries("read", path) for path in paths]

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
