"""The supplementary groups of the process at the other end of a unix socket, as the kernel says.

They are those that it had when it connected, as uid and gid are. Nothing that a name service says
may enter: a process may have left groups that its user is in.
"""

import ctypes
import errno
import os
import socket
from array import array

SO_PEERGROUPS = 59
"""Socket option of Linux 4.13 and later (`asm-generic/socket.h`); Python has no name for it."""

_USUAL = 1024
"""Bytes that Python's getsockopt gives at most: 256 groups."""

_GID = "I"
_UNSUPPORTED = frozenset({errno.ENOPROTOOPT, errno.EINVAL, errno.ENODATA})


def peer_groups(sock: socket.socket) -> tuple[int, ...]:
    """Give the groups of who connected *sock*, each once, in order.

    None are given where the kernel cannot tell: then nothing is anybody's for a group's sake.

    Raises:
        OSError: Not a connected unix socket.
    """
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _USUAL)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return ()
        if error.errno != errno.ERANGE:
            raise
        data = _many(sock)
    return tuple(sorted(set(array(_GID, data))))


def _many(sock: socket.socket) -> bytes:
    """Ask again with as much room as the kernel says it needs: a process has 65536 at most."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_uint(0)
    for _ in range(2):
        room = ctypes.create_string_buffer(size.value)
        ask = (sock.fileno(), socket.SOL_SOCKET, SO_PEERGROUPS, room, ctypes.byref(size))
        if libc.getsockopt(*ask) == 0:
            return room.raw[: size.value]
        if ctypes.get_errno() != errno.ERANGE:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
