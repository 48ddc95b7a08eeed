"""Reads the files of one process, and only of the one that is meant.

psutil is not asked for what is read of every process at each tick or on the way of a grant, where
it is too slow, nor for the start time: it gives a float in seconds, an identity needs the kernel's
own ticks. Nothing about several processes may enter.
Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_task(5), proc_pid_environ(5);
fs/proc/base.c: environ_read.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from gpusched.core.ids import ProcessId

# A host mounted with hidepid answers EACCES or ENOENT alike: such a process is not there for us.
ABSENT = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What reading a process that is gone raises."""

_CHUNK = 4096
_UIDS = b"\nUid:\t"
# An exec takes less than so many looks, seconds apart; so many agree on an empty environment.
_LOOKS, _PAUSE, _SURE = 500, 0.0002, 2
# Places in `stat` after the name; PF_KTHREAD of linux/sched.h.
_STATE, _PARENT, _FLAGS, _START, _STACK = 0, 1, 6, 19, 25
_ARG_START, _ENV_START, _ENV_END = 45, 47, 48
_KERNEL_THREAD = 0x00200000


class Stat(NamedTuple):
    """The part of `/proc/<pid>/stat` that is needed for every process of the host."""

    identity: ProcessId
    name: str
    parent: int
    session: int
    ended: bool


class Program(NamedTuple):
    """A process and the program that it runs: another after an exec.

    Attributes:
        identity: Pid and start time.
        name: comm.
        parent: Pid.
        places: Where its stack, arguments and environment begin, which an exec draws anew; all 0
            where this process may not be looked into.
    """

    identity: ProcessId
    name: bytes
    parent: bytes
    places: tuple[bytes, bytes, bytes]


class Files:
    """The files of the process that has a pid when this is entered.

    They stay those of that process: once it is gone, reading one raises `ProcessLookupError`,
    whoever has the pid then.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> Self:
        self._folder = os.open(f"/proc/{self._pid}", os.O_RDONLY | os.O_DIRECTORY)
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self._folder)

    def read(self, name: str) -> bytes:
        """Give the beginning of a file, at most a page."""
        return _first(os.open(name, os.O_RDONLY, dir_fd=self._folder))

    def stat(self) -> Stat:
        """Read `stat`."""
        return _parsed(self._pid, self.read("stat"))

    def uids(self) -> tuple[int, int, int]:
        """Give real, effective and saved uid."""
        # The name stands before it, with its line ends escaped.
        rest = self.read("status").partition(_UIDS)[2]
        real, effective, saved, _ = rest.split(None, 3)
        return (int(real), int(effective), int(saved))

    def children(self, spend: Callable[[], None] = lambda: None) -> list[int]:
        """Give the pids of the children of all its threads; the kernel must list them.

        A child that starts, or whose parent ends, meanwhile may be missing.

        Args:
            spend: Called before each thread is looked at; what it raises ends that.
        """
        found: list[int] = []
        tasks = self.open_folder("task")
        try:
            with os.scandir(tasks) as threads:
                for thread in threads:
                    spend()
                    with contextlib.suppress(*ABSENT):
                        file = os.open(f"{thread.name}/children", os.O_RDONLY, dir_fd=tasks)
                        found += map(int, whole(file).split())
        finally:
            os.close(tasks)
        return found

    def open_folder(self, name: str) -> int:
        """Open a folder, for the caller to close."""
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._folder)


def stat_of(pid: int) -> Stat | None:
    """Read `/proc/<pid>/stat`; None where there is no such process.

    Raises:
        OSError: It could not be read for a reason that says nothing of the process.
    """
    try:
        return _parsed(pid, _first(os.open(f"/proc/{pid}/stat", os.O_RDONLY)))
    except ABSENT:
        return None


def program_of(pid: int) -> Program | None:
    """Say which program a process runs; None where there is no such process.

    Raises:
        OSError: As `stat_of`.
    """
    try:
        data = _first(os.open(f"/proc/{pid}/stat", os.O_RDONLY))
    except ABSENT:
        return None
    end = data.rindex(b")")
    fields = data[end + 2 :].split()
    places = (fields[_STACK], fields[_ARG_START], fields[_ENV_START])
    identity = ProcessId(pid, int(fields[_START]))
    return Program(identity, data[data.index(b"(") + 1 : end], fields[_PARENT], places)


def environment(pid: int) -> bytes:
    """Give the environment that a process was started with; wait out an exec, which shows none.

    Raises:
        FileNotFoundError, ProcessLookupError, PermissionError: It is gone, or somebody else's.
    """
    return Path(f"/proc/{pid}/environ").read_bytes() or _environment_after_exec(pid)


def is_there(process: ProcessId) -> bool:
    """Say whether its pid is still its own."""
    stat = stat_of(process.pid)
    return stat is not None and stat.identity == process


def can_be_parent(parent: Stat, child: Stat) -> bool:
    """Refuse a parent that is younger: the pid changed hands between the two readings."""
    return parent.identity.start_ticks <= child.identity.start_ticks


def whole(descriptor: int) -> bytes:
    """Read a file to its end and close it."""
    try:
        data = b""
        while chunk := os.read(descriptor, _CHUNK):
            data += chunk
        return data
    finally:
        os.close(descriptor)


@functools.cache
def kernel_lists_children() -> bool:
    """Say whether the kernel was built to do so (CONFIG_PROC_CHILDREN)."""
    return Path("/proc/thread-self/children").exists()


def _environment_after_exec(pid: int) -> bytes:
    """Look until there is an environment, or certainly none."""
    pause, empty = threading.Event(), 0
    for _ in range(_LOOKS):
        if block := Path(f"/proc/{pid}/environ").read_bytes():
            return block
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if fields[_STATE] in b"ZX" or int(fields[_FLAGS]) & _KERNEL_THREAD:
            break
        # Zero until the new program has its own, then both the same until that is filled in: one
        # without any variables is the second look's finding.
        empty += fields[_ENV_START] == fields[_ENV_END] != b"0"
        if empty == _SURE:
            break
        pause.wait(_PAUSE)
    return b""


def _first(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    finally:
        os.close(descriptor)


def _parsed(pid: int, data: bytes) -> Stat:
    # The name may hold blanks and parentheses; the last one closes it.
    end = data.rindex(b")")
    state, parent, _group, session, *rest = data[end + 2 :].split(None, 20)
    # A process whose first thread has ended shows as a zombie while its other threads run on.
    ended = state in b"ZX" and int(rest[13]) <= 1
    name = _printable(data[data.index(b"(") + 1 : end].decode(errors="replace"))
    return Stat(ProcessId(pid, int(rest[15])), name, int(parent), int(session), ended)


def _printable(name: str) -> str:
    """Give *name* without what a terminal would obey: it is told in sentences to everybody."""
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() else "?" for one in name)
