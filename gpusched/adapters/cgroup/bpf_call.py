"""The system call bpf(2) itself: its struct, its retries, and a sentence for each refusal.

Exists so that every error of bpf(2) reaches the user as one line. It knows commands, not what
they are for. Sources: bpf(2), linux/bpf.h.
"""

import contextlib
import ctypes
import errno
import os
import resource
from enum import IntEnum
from typing import Final

MAX_PROGRAMS: Final = 64
"""Programs of one kind that a cgroup can carry (BPF_CGROUP_MAX_PROGS)."""

# All little-endian, as the encoder is; NVIDIA has drivers for the first three.
_CALL_NUMBERS: Final = {"x86_64": 321, "aarch64": 280, "ppc64le": 361, "riscv64": 280}
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LOAD_ATTEMPTS: Final = 5
# At least 64: Linux 6.17 writes `query.revision` at 56 into however short a struct it was given.
_ATTRIBUTE_SIZE: Final = 128


class Command(IntEnum):
    """What is asked for; `enum bpf_cmd`."""

    MAP_CREATE = 0
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    MAP_NEXT_KEY = 4
    PROGRAM_LOAD = 5
    ATTACH = 8
    DETACH = 9
    PROGRAM_BY_ID = 13
    MAP_BY_ID = 14
    INFO = 15
    QUERY = 16


_ACTIONS: Final = {
    Command.MAP_CREATE: "create a BPF map",
    Command.PROGRAM_LOAD: "load a device program",
    Command.ATTACH: "attach a device program",
    Command.DETACH: "detach a device program",
    Command.PROGRAM_BY_ID: "open a loaded program",
    Command.MAP_BY_ID: "open a map",
    Command.QUERY: "list the device programs of a cgroup",
}
_RIGHTS: Final = "the daemon needs CAP_SYS_ADMIN, or root"
_ADVICE: Final = {
    (Command.MAP_CREATE, errno.EPERM): _RIGHTS,
    (Command.PROGRAM_LOAD, errno.EPERM): _RIGHTS,
    (Command.PROGRAM_LOAD, errno.EINVAL): "device programs need Linux 4.15",
    (Command.ATTACH, errno.EPERM): (
        "a program above this cgroup or in it forbids more of them (as in a Slurm step), or the "
        "daemon lacks CAP_NET_ADMIN"
    ),
    (Command.ATTACH, errno.EINVAL): "replacing a program without a gap needs Linux 5.6",
    (Command.ATTACH, errno.E2BIG): f"the cgroup carries {MAX_PROGRAMS} programs, the most it can",
    (Command.PROGRAM_BY_ID, errno.EPERM): _RIGHTS,
}
_ANY_ADVICE: Final = {
    errno.ENOSYS: "the kernel was built without bpf(2), or a seccomp filter forbids it",
    errno.EMFILE: "the daemon has too many open files; raise LimitNOFILE",
    errno.ENFILE: "the host has too many open files; raise fs.file-max",
    errno.ENOMEM: "the host or the daemon's own cgroup is out of memory",
    errno.EBADF: "what was named is no cgroup2 directory, or the cgroup is gone",
}


def call(command: Command, attribute: bytes) -> tuple[int, bytes]:
    """Give what the system call returned, and its struct as the kernel left it."""
    number = _CALL_NUMBERS.get(os.uname().machine)
    if number is None:
        raise _refusal(command, errno.ENOSYS)
    buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_SIZE)
    for _ in range(_LOAD_ATTEMPTS):
        result = int(_LIBC.syscall(number, int(command), buffer, _ATTRIBUTE_SIZE))
        if result >= 0:
            return result, buffer.raw
        # EAGAIN: a signal came while the verifier worked.
        if ctypes.get_errno() != errno.EAGAIN:
            break
    raise _refusal(command, ctypes.get_errno())


def explained(number: int, advice: str | None = None) -> str:
    """Put an error number into words, with what to do about it where that is known."""
    words, advice = os.strerror(number), advice or _ANY_ADVICE.get(number)
    return f"{words}; {advice}" if advice else words


def _refusal(command: Command, number: int) -> OSError:
    action = _ACTIONS.get(command, command.name.lower().replace("_", " "))
    reason = explained(number, _ADVICE.get((command, number)))
    return OSError(number, f"the kernel refused to {action}: {reason}")


def with_memory(command: Command, attribute: bytes) -> int:
    """Make something; before Linux 5.11 its memory counts against RLIMIT_MEMLOCK, as EPERM."""
    try:
        return call(command, attribute)[0]
    except PermissionError:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        if resource.getrlimit(resource.RLIMIT_MEMLOCK) == unlimited:
            raise
        # Where that is not allowed the first answer comes again, and stands.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
        return call(command, attribute)[0]
