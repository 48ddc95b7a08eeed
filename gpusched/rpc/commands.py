"""A request as a command to paste: the flags of the command line that say the same."""

import shlex
from collections.abc import Iterator
from enum import Enum

from gpusched.core.request import Request
from gpusched.core.sizes import as_flag


def command_of(verb: str, request: Request | None, rest: str = "") -> str:
    """Give the command that asks for *request*; empty for none."""
    if request is None:
        return ""
    return f"gpusched {verb} {shlex.join(_words(request))}{rest}"


def _words(request: Request) -> Iterator[str]:
    for flag, value in _flags(request):
        if isinstance(value, bool):
            yield from [flag] if value else []
        elif value:
            yield from (flag, value)


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


def _memory(request: Request) -> str | None:
    if request.memory_fraction is not None:
        return f"{request.memory_fraction * 100:.12g}%"
    return None if request.memory is None else as_flag(request.memory)


def _choice(value: Enum) -> str | None:
    word = str(value.value)
    return None if word == "configured" else word.replace("_", "-")
