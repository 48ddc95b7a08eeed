"""Where cgroups are made, filled and removed: in memory, or in this host's cgroup2 tree."""

import contextlib
import os
import secrets
import threading
from pathlib import Path
from typing import Protocol, Self

from gpusched.core.ids import ProcessId
from tests.capabilities import cgroup2_mount
from tests.fakes.processes import FakeProcessTable

_TRIES = 400


class Cgroups(Protocol):
    """Cgroups for one test."""

    def make(self, below: str = "") -> str:
        """Make a cgroup, below another perhaps, and give its path."""
        ...

    def remove(self, cgroup: str) -> None:
        """Remove an empty one."""
        ...

    def enter(self, process: ProcessId, cgroup: str) -> None:
        """Move a process, without its children."""
        ...


class FakeCgroups:
    """Those of a process table in memory."""

    def __init__(self, table: FakeProcessTable) -> None:
        self._table = table
        self._made = 0

    def make(self, below: str = "") -> str:
        self._made += 1
        cgroup = f"{below}/test-{self._made}"
        self._table.make_cgroup(cgroup)
        return cgroup

    def remove(self, cgroup: str) -> None:
        self._table.remove_cgroup(cgroup)

    def enter(self, process: ProcessId, cgroup: str) -> None:
        self._table.enter(process, cgroup)


class RealCgroups:
    """Directories of the cgroup2 tree, all removed when the test ends; its processes end first."""

    def __enter__(self) -> Self:
        self._made: list[str] = []
        return self

    def __exit__(self, *_raised: object) -> None:
        for cgroup in reversed(self._made):
            with contextlib.suppress(FileNotFoundError):
                self.remove(cgroup)

    @property
    def mount(self) -> Path:
        """Where the tree is."""
        mount = cgroup2_mount()
        assert mount is not None
        return mount

    def make(self, below: str = "") -> str:
        cgroup = f"{below}/gpusched-test-{secrets.token_hex(6)}"
        os.mkdir(self.folder(cgroup))  # noqa: PTH102 - bytes that are no text stay what they are
        self._made.append(cgroup)
        return cgroup

    def remove(self, cgroup: str) -> None:
        pause = threading.Event()
        for _ in range(_TRIES):
            try:
                self.folder(cgroup).rmdir()
            except FileNotFoundError:
                raise
            except OSError:  # a killed process has not left it yet
                pause.wait(0.005)
            else:
                return
        self.folder(cgroup).rmdir()

    def enter(self, process: ProcessId, cgroup: str) -> None:
        (self.folder(cgroup) / "cgroup.procs").write_text(str(process.pid))

    def folder(self, cgroup: str) -> Path:
        """Give the directory of a cgroup."""
        return Path(f"{self.mount}{cgroup}")
