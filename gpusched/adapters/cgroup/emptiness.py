"""The moment at which a cgroup's last process ends, heard at once: inotify in the event loop.

Exists so that no pid is polled: whatever daemonised or was adopted is in the cgroup still. It
knows no lease and decides nothing.
Source: inotify(7); cgroup-v2.rst: a change of `cgroup.events` is a modification of the file. Its
removal is none (Linux 6.18 reports neither that nor the directory's own), so the directory above
is watched for it too.
"""

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.core.enforcement import LeaseCgroup

_MODIFY, _DELETE, _OVERFLOW = 0x2, 0x200, 0x4000
_EVENT = struct.Struct("iIII")
_BUFFER = 64 * 1024
_EVENTS_BYTES = 256


@dataclass(slots=True)
class _Followed:
    """A cgroup that is watched.

    Attributes:
        events: Its open `cgroup.events`: of this very cgroup, whoever has its name later.
        own: inotify's number for that file.
        above: inotify's number for the directory that it is in; several cgroups may share it.
        emptied: Whom to tell.
    """

    events: int
    own: int
    above: int
    emptied: Callable[[], None]


class Emptiness:
    """Watches cgroups, from one event loop."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        """Watch nothing yet."""
        self._hierarchy = hierarchy
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._followed: dict[int, _Followed] = {}
        self._inotify: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def follow(self, cgroup: LeaseCgroup, emptied: Callable[[], None]) -> None:
        """Call *emptied* in the event loop whenever *cgroup* has become empty, or is gone.

        Also when it is already. Following twice is following once, the later one's way. What
        fills and empties within moments may be told more often than once.

        Raises:
            OSError: It cannot be watched: too many open files or inotify watches.
        """
        loop = self._loop = asyncio.get_running_loop()
        known = self._followed.get(cgroup.inode)
        if known is not None:
            known.emptied = emptied
        elif not self._watch(cgroup, emptied, loop):
            loop.call_soon(emptied)
            return
        loop.call_soon(self._look, cgroup.inode)

    def forget(self, inode: int) -> None:
        """Tell no more of a cgroup. Idempotent."""
        followed = self._followed.pop(inode, None)
        if followed is None:
            return
        os.close(followed.events)
        self._unwatch(followed.own)
        if all(one.above != followed.above for one in self._followed.values()):
            self._unwatch(followed.above)

    def close(self) -> None:
        """Forget all. Idempotent."""
        for inode in tuple(self._followed):
            self.forget(inode)
        if self._inotify is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = None

    def _watch(
        self,
        cgroup: LeaseCgroup,
        emptied: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> bool:
        """Begin to watch; False where it is gone."""
        folder = self._hierarchy.folder(cgroup.path)
        try:
            events = os.open(folder / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if folder.stat().st_ino != cgroup.inode:
                os.close(events)
                return False
            above = self._add(loop, str(folder.parent), _DELETE)
            # By the descriptor: the name may be another's by now.
            own = self._add(loop, f"/proc/self/fd/{events}", _MODIFY)
        except OSError:
            os.close(events)
            raise
        self._followed[cgroup.inode] = _Followed(events, own, above, emptied)
        return True

    def _add(self, loop: asyncio.AbstractEventLoop, path: str, mask: int) -> int:
        if self._inotify is None:
            descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            self._inotify = _checked(descriptor, "fs.inotify.max_user_instances")
            loop.add_reader(self._inotify, self._read)
        watch = self._libc.inotify_add_watch(self._inotify, os.fsencode(path), mask)
        return _checked(watch, "fs.inotify.max_user_watches")

    def _unwatch(self, number: int) -> None:
        if self._inotify is not None:
            self._libc.inotify_rm_watch(self._inotify, number)

    def _read(self) -> None:
        assert self._inotify is not None  # noqa: S101 -- it is what has become readable
        try:
            data = os.read(self._inotify, _BUFFER)
        except BlockingIOError:
            return
        numbers: set[int] = set()
        everything, place = False, 0
        while place < len(data):
            number, mask, _cookie, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size + length
            numbers.add(number)
            everything = everything or bool(mask & _OVERFLOW)
        for inode, one in tuple(self._followed.items()):
            if everything or one.own in numbers:
                self._look(inode)
            elif one.above in numbers:
                self._look(inode, only_gone=True)

    def _look(self, inode: int, *, only_gone: bool = False) -> None:
        """Tell of one cgroup if it is empty; forget it where it is gone.

        No state is kept: when both were heard late, it has filled and emptied since.
        """
        followed = self._followed.get(inode)
        if followed is None:
            return
        try:
            populated = b"populated 1" in os.pread(followed.events, _EVENTS_BYTES, 0)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            self.forget(inode)
            followed.emptied()
            return
        if not populated and not only_gone:
            followed.emptied()


def _checked(result: int, limit: str) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(
        number, f"a cgroup cannot be watched: {os.strerror(number)}; raise LimitNOFILE or {limit}"
    )
