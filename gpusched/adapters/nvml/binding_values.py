"""Functions and structures of pynvml by their names, for the many values that need no more.

Exists because a survey asks a hundred of them, and an older pynvml lacks some: what it lacks is a
value that is not there, and takes nothing else with it.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

import pynvml

from gpusched.adapters.nvml import binding

_ABSENT: Final = binding.FUNCTION_NOT_FOUND


def ask(function: str, *arguments: object) -> Any:
    """Call a function of pynvml by its name and give what it gives.

    Raises:
        binding.NvmlFailure: Also FUNCTION_NOT_FOUND where this pynvml is older than the function
            or than its signature, and UNKNOWN where it gives a text that is none.
    """
    try:
        return binding.asked(_wrapper(function), *arguments)
    except TypeError:
        raise binding.NvmlFailure(_ABSENT, binding.words_of(_ABSENT)) from None


def filled(
    function: str, structure: str, device: binding.Handle, version: int | None = None
) -> Any:
    """Have a function of pynvml fill a structure, both by their names, and give the structure.

    Args:
        function: Such as `nvmlDeviceGetPlatformInfo`.
        structure: Such as `c_nvmlPlatformInfo_v2_t`.
        device: The device asked about.
        version: Its version word, where the structure does not know it by itself.

    Raises:
        binding.NvmlFailure: As `ask`.
    """
    place = _wrapper(structure)()
    if version is not None:
        place.version = version
    # Some wrappers give the return code, others check it themselves.
    binding.check(
        int(binding.asked(_wrapper(function), device, ctypes.byref(place)) or pynvml.NVML_SUCCESS)
    )
    return place


def _wrapper(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(pynvml, name, None)
    if found is None:
        raise binding.NvmlFailure(_ABSENT, binding.words_of(_ABSENT))
    return found
