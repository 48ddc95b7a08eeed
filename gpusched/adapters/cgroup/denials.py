"""Denied opens as the programs tell them: one ring buffer, shared by all programs of the daemon.

Exists so that a user can learn which process was denied which device. Reads; it denies nothing.
Sources: Documentation/bpf/ringbuf.rst for the layout of the memory; linux/nsfs.h for the inode.
"""

import mmap
import os
import struct
from collections import Counter
from pathlib import Path
from typing import Final, Self

import structlog

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.device_program import DENIAL
from gpusched.ports import DeniedOpen

_log = structlog.stdlib.get_logger(__name__)

_BYTES: Final = 256 * 1024
_HEADER: Final = struct.Struct("=II")  # length and two bits; where it lies
_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC  # PID_NS_INIT_INO


class Denials:
    """A ring buffer that holds some 8000 denials; those that find it full are lost."""

    def __init__(self, ring: int) -> None:
        """Take over *ring*, the descriptor of a ring buffer map of 256 KiB."""
        self.ring: Final = ring
        page = mmap.PAGESIZE
        self._reader = mmap.mmap(ring, page, mmap.MAP_SHARED)
        # The data is there twice in a row, so that no record is broken at the end.
        size = page + 2 * _BYTES
        self._writer = mmap.mmap(ring, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._pids_are_ours = _in_first_pid_namespace()

    @classmethod
    def open(cls) -> Self | None:
        """Make a ring buffer; None where the kernel has none (before Linux 5.8) or refuses it."""
        try:
            ring = bpf.map_create(bpf.MapKind.RINGBUF, "gs_denials", _BYTES)
        except OSError as error:
            _log.info("denied opens are not reported", reason=error.strerror)
            return None
        try:
            return cls(ring)
        except OSError as error:
            os.close(ring)
            _log.info("denied opens are not reported", reason=str(error))
            return None

    def drain(self) -> tuple[DeniedOpen, ...]:
        """Take out what was told since the last call, equal ones added up; not reentrant."""
        with memoryview(self._reader).cast("Q") as consumed:
            place, end = consumed[0], self._written()
            found: Counter[tuple[int, int, int, int]] = Counter()
            while place < end:
                length, _ = _HEADER.unpack_from(self._writer, self._offset(place))
                if length & _BUSY:  # its program is still at it
                    break
                if not length & _DISCARDED:
                    found[self._record(place)] += 1
                room = _HEADER.size + (length & ~_DISCARDED)
                place += -(-room // 8) * 8
            consumed[0] = place
        return tuple(
            DeniedOpen(pid if pid and self._pids_are_ours else None, cgroup, major, minor, count)
            for (pid, cgroup, major, minor), count in found.items()
        )

    def close(self) -> None:
        """Give up the ring; programs that are attached push into it unread."""
        self._reader.close()
        self._writer.close()
        os.close(self.ring)

    def _written(self) -> int:
        with memoryview(self._writer) as whole, whole[:8].cast("Q") as position:
            return int(position[0])

    def _offset(self, place: int) -> int:
        return mmap.PAGESIZE + place % _BYTES

    def _record(self, place: int) -> tuple[int, int, int, int]:
        at = self._offset(place) + _HEADER.size
        pid, major, minor, _, cgroup = DENIAL.unpack_from(self._writer, at)
        return pid, cgroup, major, minor


def _in_first_pid_namespace() -> bool:
    """Say whether the kernel's process numbers mean here what they mean to it."""
    return Path("/proc/self/ns/pid").stat().st_ino == _FIRST_PID_NAMESPACE
