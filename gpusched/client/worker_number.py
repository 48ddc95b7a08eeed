"""Numbers that processes of one user hold: each the lowest one that no other of its group has.

The kernel lets go of a number when its process ends, however that happens. In a folder of the
user's own it is a lock on a byte of an empty file: what other users do cannot touch it. Where
there is no such folder it is an abstract name, which anybody could take before.
"""

import fcntl
import hashlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import BinaryIO, TypeAlias

Holder: TypeAlias = socket.socket | BinaryIO
"""What has to stay open as long as a number is held."""

_LOCK = struct.Struct("@hhqqi4x")
"""`struct flock`: type, from where, first byte, how many, and a pid that is not used."""


def lowest_free(group: str, most: int) -> tuple[int, Holder]:
    """Hold the lowest number of *group* that nobody holds.

    Args:
        group: Who counts together.
        most: Numbers that there are.

    Raises:
        RuntimeError: All are held.
    """
    for folder in _own_folders(os.geteuid()):
        with suppress(OSError):
            return _locked(folder, group, most)
    return _named(group, most)


def _own_folders(uid: int) -> Iterator[str]:
    """Give folders that nobody else can write to, the most fitting first; made where needed."""
    usual = f"/run/user/{uid}" if uid else "/run"
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), usual):
        if folder.startswith("/") and _is_own(folder, uid):
            yield folder
    own = f"/tmp/gpusched-workers-{uid}"  # noqa: S108 - used only where it is the user's own
    with suppress(OSError):
        os.mkdir(own, 0o700)  # noqa: PTH102 - cold start
    if _is_own(own, uid):
        yield own


def _is_own(folder: str, uid: int) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & others


def _locked(folder: str, group: str, most: int) -> tuple[int, BinaryIO]:
    """Lock the byte of the lowest number.

    Raises:
        OSError: The file cannot be made or locked.
        RuntimeError: All are held.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    # Of all groups of a user each has bytes of its own; nothing is ever written.
    digest = hashlib.sha256(group.encode(errors="surrogateescape")).digest()
    first = int.from_bytes(digest[:5]) * most
    with ExitStack() as failing:
        descriptor = os.open(f"{folder}/gpusched-workers", flags, 0o600)
        file = failing.enter_context(os.fdopen(descriptor, "r+b", buffering=0))
        for number in range(most):
            lock = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first + number, 1, 0)
            with suppress(BlockingIOError, PermissionError):
                # Of the open file, not of the process, which may hold more numbers than one.
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
                failing.pop_all()
                return number, file
    raise _too_many(most)


def _named(group: str, most: int) -> tuple[int, socket.socket]:
    """Bind the abstract name of the lowest number: nothing is on disk."""
    for number in range(most):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0gpusched/worker/{group}/{number}")
        except OSError:
            holder.close()
            continue
        return number, holder
    raise _too_many(most)


def _too_many(most: int) -> RuntimeError:
    return RuntimeError(f"process {os.getppid()} has more than {most} workers")
