"""Who holds simulated memory: one file per worker in `processes/`, locked while it lives.

The lock is the truth: it goes with the process, however that ends. A file whose lock can be had
belongs to nobody and is removed. Reading is cheap enough for every call of the library: one
`stat` of the folder and one poll of the workers' pidfds tell whether anything has changed.
"""

import contextlib
import fcntl
import json
import os
import select
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpusched.adapters.nvml.simulated.places import LOCK

_LARGEST = 65536
_YOUNG_NS = 20_000_000
"""A folder changed less than this ago may change again within the same tick of its mtime."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What one worker holds.

    Attributes:
        pid: Of the worker.
        lists: The letters of NVML's lists it stands in.
        memory: Bytes by UUID of the GPU or MIG device.
    """

    pid: int
    lists: frozenset[str]
    memory: Mapping[str, int]

    def to_json(self) -> str:
        """Write it as a registration file has it."""
        return json.dumps(
            {"pid": self.pid, "type": "+".join(sorted(self.lists)), "memory": dict(self.memory)}
        )


@dataclass(slots=True)
class _Known:
    inode: int
    registration: Registration
    pidfd: int | None


class Registrations:
    """The living registrations of one folder. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._poll = select.epoll()
        self._seen_at: int | None = None
        self._current: tuple[Registration, ...] = ()

    def current(self) -> tuple[Registration, ...]:
        """Give them, by pid; the same object while nothing has changed."""
        changed_at = self._folder.stat().st_mtime_ns
        ended = self._unwatch_ended()
        unwatched = any(one.pidfd is None for one in self._known.values())
        if changed_at != self._seen_at or ended or unwatched:
            self._scan()
            # A young mtime may stand for a later change too: look again until it has aged.
            aged = time.time_ns() - changed_at > _YOUNG_NS
            self._seen_at = changed_at if aged else None
        return self._current

    def close(self) -> None:
        """Let go of all descriptors. Idempotent."""
        for name in tuple(self._known):
            self._forget(name)
        self._poll.close()

    def _unwatch_ended(self) -> bool:
        """Stop watching the processes that ended; a child of theirs may still hold the lock."""
        ended = {descriptor for descriptor, _ in self._poll.poll(0)}
        for known in self._known.values():
            if known.pidfd in ended:
                os.close(known.pidfd)
                known.pidfd = None
        return bool(ended)

    def _scan(self) -> None:
        inodes = dict(_files(self._folder))
        for name in self._known.keys() - inodes.keys():
            self._forget(name)
        for name, inode in inodes.items():
            self._look_at(name, inode)
        found = tuple(sorted((one.registration for one in self._known.values()), key=_by_pid))
        if found != self._current:
            self._current = found

    def _look_at(self, name: str, inode: int) -> None:
        known = self._known.get(name)
        if known is not None and known.inode == inode and known.pidfd is not None:
            return
        if known is not None:
            self._forget(name)
        held = _read_held(self._folder / name)
        if held is None:
            _remove_dead(self._folder, name)
            return
        registration, inode = held
        self._known[name] = _Known(inode, registration, self._watch(name, registration.pid))

    def _watch(self, name: str, pid: int) -> int | None:
        """Watch the process; None where it can only be told by its lock."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
        # Only while the lock is held is the pid surely still the worker's.
        if _read_held(self._folder / name) is None:
            os.close(pidfd)
            return None
        self._poll.register(pidfd, select.EPOLLIN)
        return pidfd

    def _forget(self, name: str) -> None:
        known = self._known.pop(name)
        if known.pidfd is not None:
            os.close(known.pidfd)


def _by_pid(one: Registration) -> tuple[int, str]:
    return one.pid, one.to_json()


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield entry.name, entry.inode()


def _read_held(file: Path) -> tuple[Registration, int] | None:
    """Read *file* and tell its inode; None where it is no registration or nobody holds it."""
    try:
        # Anybody may put things into the folder: follow no link, wait for no pipe.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_locked(descriptor):
            replaced = _inode(file) not in (None, found.st_ino)
            return _read_held(file) if replaced else None
        registration = _parse(os.read(descriptor, _LARGEST))
        return None if registration is None else (registration, found.st_ino)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        # Shared, so that two readers do not take each other for the worker.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _inode(file: Path) -> int | None:
    try:
        return file.lstat().st_ino
    except OSError:
        return None


def _parse(data: bytes) -> Registration | None:
    try:
        table = json.loads(data)
        memory = {str(uuid): int(size) for uuid, size in table["memory"].items()}
        found = Registration(int(table["pid"]), frozenset(table["type"].split("+")), memory)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None  # any user may write anything there
    return None if min(memory.values(), default=0) < 0 else found


def _remove_dead(folder: Path, name: str) -> None:
    """Remove a file that nobody holds, unless its owner has just replaced it."""
    with contextlib.suppress(OSError), locked(folder, wait=False):
        if _read_held(folder / name) is None:
            (folder / name).unlink()


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of *folder*: nobody else takes memory or tidies up meanwhile.

    Raises:
        OSError: It cannot be had.
    """
    descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
