"""The kernel, refusing one command of bpf(2) to one thread: a seccomp filter that gives an error.

So the error travels the whole way that a real one does. Sources: seccomp(2), linux/filter.h.
"""

import ctypes
import os
import struct
import threading
from collections.abc import Callable
from typing import Final

from gpusched.adapters.cgroup.bpf_call import _CALL_NUMBERS, Command

_NO_NEW_PRIVILEGES: Final = 38
_SET_SECCOMP: Final = 22
_FILTER: Final = 2
_ERROR: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_NUMBER_AT, _FIRST_ARGUMENT_AT = 0, 16  # struct seccomp_data


def refused(command: Command, number: int, work: Callable[[], None]) -> BaseException | None:
    """Do *work* while *command* fails with the error *number*; give what it raised.

    With the number 0 the command does nothing and says that it has.
    """
    raised: list[BaseException] = []

    def run() -> None:
        _install(command, number)
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is what the caller asks for
            raised.append(error)

    # The filter is the thread's own and ends with it.
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def _install(command: Command, number: int) -> None:
    load, equal, give = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, _NUMBER_AT),
        (equal, 0, 3, _CALL_NUMBERS[os.uname().machine]),
        (load, 0, 0, _FIRST_ARGUMENT_AT),
        (equal, 0, 1, int(command)),
        (give, 0, 0, _ERROR | number),
        (give, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0) == 0
