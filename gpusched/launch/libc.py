"""Calls of the kernel that Python has no name for, through the C library.

Apart, because `ctypes` costs 3 ms of a cold start: imported only inside a function that needs one.
Nothing may enter that knows what the calls are for.
"""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

Argument = int | bytes | None
"""A number, or a pointer: to the bytes, or to nothing."""


def syscall(number: int, *arguments: Argument) -> int:
    """Make a system call.

    Raises:
        OSError: It failed.
    """
    # A bare int would pass as 32 bits, and the kernel reads 64.
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise _error()
    return result


def prctl(option: int, value: int) -> None:
    """Change something about this process (prctl(2)).

    Raises:
        OSError: It failed.
    """
    words = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    result: int = _LIBC.prctl(option, *words)
    if result < 0:
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
