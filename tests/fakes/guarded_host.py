"""A part of the cgroup tree that stands for a host with a guard, and what its tests look at."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpusched.adapters.cgroup import bpf
from gpusched.core.mask import Governed, NodeRange
from tests.fakes.device_world import MAJOR, cgroup

ELSEWHERE: Final = Path("/elsewhere")
"""Folder of a daemon that is outside of the host, as a test is."""

ALL: Final = Governed((NodeRange(MAJOR, 0, 253),))
OTHERS: Final = Governed((NodeRange(MAJOR, 0, 1), NodeRange(MAJOR, 3, 9)))
"""Both have the first node."""


@dataclass
class Host:
    """A part of the tree that stands for a host: its top, a lease's cgroup and nobody's."""

    top: Path
    lease: Path
    nobodys: Path

    @property
    def inode(self) -> int:
        """Of the lease's cgroup."""
        return self.lease.stat().st_ino


@contextlib.contextmanager
def guarded_host() -> Iterator[Host]:
    """Three cgroups, removed at the end."""
    with cgroup() as top, cgroup(top) as lease, cgroup(top) as nobodys:
        yield Host(top, lease, nobodys)


def names_at(folder: Path) -> list[str]:
    """The names of the device programs attached to a cgroup."""
    with contextlib.ExitStack() as opened:
        descriptor = os.open(folder, os.O_RDONLY)
        opened.callback(os.close, descriptor)
        programs = [bpf.prog_fd_by_id(one) for one in bpf.query(descriptor)]
        for program in programs:
            opened.callback(os.close, program)
        return [bpf.prog_info(one).name for one in programs]
