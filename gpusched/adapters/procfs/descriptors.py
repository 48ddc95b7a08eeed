"""Finds which character devices processes have open: a mask denies opens, not what is open.

Nothing is opened, and no file's server is waited for: a training job's files are on network file
systems, and one that does not answer must not stop the daemon. A device that is mapped and whose
descriptor was closed is not found.
Source: proc_pid_fd(5), statx(2), linux/stat.h.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator

from gpusched.adapters.procfs.reading import ABSENT, Files
from gpusched.core.ids import ProcessId
from gpusched.core.sample import OpenNode

_AT_STATX_DONT_SYNC = 0x4000
_STATX_TYPE = 0x1


_STATX = ctypes.CDLL(None).statx
_STATX.argtypes = (
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_char_p,
)
_STATX_SIZE = 256
# Of `struct statx`: mode, then major and minor of a device node.
_ANSWER = struct.Struct("=28xH98xII")


def open_nodes_of(processes: Iterable[ProcessId]) -> tuple[OpenNode, ...]:
    """Find the character devices that *processes* have open, each once per process and path."""
    found: dict[OpenNode, None] = {}
    for process in processes:
        try:
            found |= dict.fromkeys(_of_one(process))
        except ABSENT:
            continue
    return tuple(found)


def _of_one(process: ProcessId) -> Iterator[OpenNode]:
    with Files(process.pid) as files:
        if files.stat().identity != process:
            return
        folder = files.open_folder("fd")
    try:
        with os.scandir(folder) as descriptors:
            for descriptor in descriptors:
                node = _node_behind(folder, descriptor.name)
                if node is not None:
                    yield OpenNode(process, *node)
    finally:
        os.close(folder)


def _node_behind(folder: int, descriptor: str) -> tuple[str, int, int] | None:
    """Give path, major and minor of what a descriptor is open on; None for any other file."""
    try:
        path = os.readlink(descriptor, dir_fd=folder)
    except ABSENT:
        return None
    # Pipes, sockets and the kernel's nameless files have no path. No other is spared by its
    # name: a container's nodes can have any.
    if not path.startswith("/"):
        return None
    answer = ctypes.create_string_buffer(_STATX_SIZE)
    failed = _STATX(folder, descriptor.encode(), _AT_STATX_DONT_SYNC, _STATX_TYPE, answer)
    mode, major, minor = _ANSWER.unpack_from(answer)
    if failed or not stat.S_ISCHR(mode):
        return None
    return os.fsencode(path).decode(errors="replace"), major, minor
