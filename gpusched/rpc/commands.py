"""A request as a command to paste: the flags of the command line that say the same."""

import shlex
from collections.abc import Iterator
from enum import Enum

from gpusched.core.durations import as_flag
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import Enforce, MaskFormat, OverUse, Request
from gpusched.core.sizes import as_flag as size_as_flag

_UNSAID = (
    *(Sharing.CONFIGURED, Topology.CONFIGURED, Placement.CONFIGURED, OverUse.CONFIGURED),
    *(Enforce.PREFERRED, MaskFormat.AUTO),
)
"""Choices that a request has where nothing is said."""


def command_of(verb: str, request: Request | None, rest: str = "") -> str:
    """Give the command that asks for *request*; empty for none, and for what no flag says.

    Empty too where a word of it is not printable: it may be pasted by somebody else than who has
    said it, whose terminal would obey it.
    """
    if request is None or request.available or request.must_include:
        return ""
    # argparse of Python before 3.13 takes such a value away, whatever flag it is of.
    if any(value == "--" for _, value in _flags(request)):
        return ""
    words = shlex.join(_words(request))
    return f"gpusched {verb} {words}{rest}" if words.isprintable() else ""


def _words(request: Request) -> Iterator[str]:
    for flag, value in _flags(request):
        if isinstance(value, bool):
            yield from [flag] if value else []
        elif value:
            # What begins like a flag would be taken for one.
            yield from [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _flags(request: Request) -> Iterator[tuple[str, str | bool | None]]:
    """Give each flag with its value; what is not said has none."""
    most = "" if request.max_count is None else f"-{request.max_count}"
    yield "--device", ",".join(request.devices)
    yield "--gpus", None if request.devices else f"{request.count}{most}"
    yield "--min-gpus", None if request.min_count is None else str(request.min_count)
    yield "--memory", _memory(request)
    yield "--gpu-type", ",".join(request.gpu_types)
    yield "--mig", request.mig_profile
    yield "--allow-larger-mig", request.allow_larger_mig
    yield "--pool", request.pool
    yield "--sharing", _choice(request.sharing)
    yield "--topology", _choice(request.topology)
    yield "--topology-required", request.topology_required
    yield "--placement", _choice(request.placement)
    yield "--affinity", request.affinity_key
    yield "--time-limit", _time(request.time_limit)
    yield "--priority", request.priority
    yield "--enforce", _choice(request.enforce)
    yield "--mask-format", _choice(request.mask_format)
    yield "--over-use", _choice(request.over_use)
    for key, value in sorted(request.labels.items()):
        yield "--label", f"{key}={value}"
    yield "--wait", True if request.wait_without_limit else _time(request.wait)


def _time(duration: int | None) -> str | None:
    return None if duration is None else as_flag(duration)


def _memory(request: Request) -> str | None:
    if request.memory_fraction is not None:
        return f"{request.memory_fraction * 100:.12g}%"
    return None if request.memory is None else size_as_flag(request.memory)


def _choice(value: Enum) -> str | None:
    word = str(value.value)
    return None if value in _UNSAID else word.replace("_", "-")
