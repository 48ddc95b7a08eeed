"""How a C function of the simulated library is written: arguments in, results through pointers.

The caller passes what it would pass to the C library (`byref`, arrays, buffers, plain numbers),
so everything here is ctypes; what is answered is decided in the modules with the functions.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpusched.adapters.nvml.simulated.codes import Code
from gpusched.adapters.nvml.simulated.handles import Handles
from gpusched.adapters.nvml.simulated.view import Subject, View


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function about a device.

    Attributes:
        view: The simulated host at this moment.
        subject: The device asked about.
        handles: To give handles, and to resolve further ones among the arguments.
    """

    view: View
    subject: Subject
    handles: Handles


DeviceFunction = Callable[..., int]
"""Takes a `Call` and the arguments behind the handle; gives a return code."""


def target(argument: Any) -> Any:
    """Give the object behind `byref(…)` or a pointer."""
    behind = getattr(argument, "_obj", None)
    if behind is not None:
        return behind
    return argument.contents if hasattr(argument, "contents") else argument


def number(argument: Any) -> int:
    """Give the number that was passed, plain or as a ctypes integer."""
    return int(getattr(argument, "value", argument))


def text(argument: Any) -> str:
    """Give the C string that was passed."""
    data = getattr(argument, "value", argument)
    return data.decode() if isinstance(data, bytes) else str(data)


def put(argument: Any, value: int) -> int:
    """Store a number where *argument* points."""
    target(argument).value = value
    return Code.SUCCESS


def put_text(buffer: Any, length: Any, value: str) -> int:
    """Store a C string; INSUFFICIENT_SIZE where it does not fit with its end mark."""
    data = value.encode()
    if len(data) >= number(length):
        return Code.INSUFFICIENT_SIZE
    buffer.value = data
    return Code.SUCCESS


def put_handle(argument: Any, handle: int) -> int:
    """Store a handle, which is a pointer to the caller, where *argument* points."""
    ctypes.c_void_p.from_buffer(target(argument)).value = handle
    return Code.SUCCESS


def handle_value(handle: Any) -> int:
    """Give the number of a handle that was passed by value."""
    if isinstance(handle, int):
        return handle
    return ctypes.c_void_p.from_buffer(handle).value or 0
