"""The map of the guard: which cgroups it lets through, what becomes of others, and how many.

Exists so that the layout that the guard's program reads is written in one place. It attaches
nothing and knows no lease. A descriptor is all it keeps.
"""

import contextlib
import errno
import os
from typing import Final, Self

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.guard_program import (
    ALLOW,
    DENIED,
    DENY,
    MAP_NAME,
    POLICY,
    WORD,
)

_MOST: Final = 16384
"""Cgroups that fit in, beside the two keys that are none."""

_ADMITTED: Final = WORD.pack(1)


class Admitted:
    """Cgroups by inode. Its methods raise OSError where the kernel refuses."""

    def __init__(self, descriptor: int) -> None:
        """Take over *descriptor*, which is of such a map."""
        self.descriptor: Final = descriptor

    @classmethod
    def make(cls) -> Self:
        """Make a map that admits nobody."""
        room = _MOST + 2
        descriptor = bpf.map_create(bpf.MapKind.HASH, MAP_NAME, room, WORD.size, WORD.size)
        try:
            bpf.map_update(descriptor, WORD.pack(POLICY), WORD.pack(ALLOW))
            # Never set again: what is set is another element than the one being counted in.
            bpf.map_update(descriptor, WORD.pack(DENIED), WORD.pack(0))
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def open(cls, number: int) -> Self | None:
        """Open a map by the kernel's number for it; None: it is another, or of another layout."""
        descriptor = bpf.map_fd_by_id(number)
        if bpf.map_info(descriptor).name == MAP_NAME:
            return cls(descriptor)
        os.close(descriptor)
        return None

    def add(self, inode: int) -> None:
        """Let a cgroup through, and those below it."""
        try:
            bpf.map_update(self.descriptor, WORD.pack(inode), _ADMITTED)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            raise OSError(errno.E2BIG, f"it lets {_MOST} cgroups through, no more fit") from None

    def remove(self, inode: int) -> None:
        """Let a cgroup through no longer; one that never was is no error."""
        with contextlib.suppress(FileNotFoundError):
            bpf.map_delete(self.descriptor, WORD.pack(inode))

    def all(self) -> set[int]:
        """Give the inodes of all that are let through."""
        keys = {int(WORD.unpack(key)[0]) for key in bpf.map_keys(self.descriptor, WORD.size)}
        return keys - {POLICY, DENIED}

    def deny_others(self, *, deny: bool) -> None:
        """Say what becomes of all others, at once and everywhere."""
        bpf.map_update(self.descriptor, WORD.pack(POLICY), WORD.pack(DENY if deny else ALLOW))

    def others_denied(self) -> bool:
        """Say whether others are denied."""
        return self._read(POLICY) == DENY

    def denials(self) -> int:
        """Give how many opens were denied."""
        return self._read(DENIED)

    def close(self) -> None:
        """Give up the descriptor; a program that uses the map keeps it."""
        os.close(self.descriptor)

    def _read(self, key: int) -> int:
        found = bpf.map_lookup(self.descriptor, WORD.pack(key), WORD.size)
        return 0 if found is None else int(WORD.unpack(found)[0])
