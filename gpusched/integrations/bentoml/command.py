"""Finds the Python that BentoML is installed for, to run BentoML there with a lease per service.

The two need not share an environment: one gpusched of the host serves everybody's bentos.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpusched.client.errors import BadRequest
from gpusched.integrations.bentoml.showing import INSTEAD, started

_INSIDE = "GPUSCHED_LEASE"
_FIRST_LINE = re.compile(rb"\A#!\s*(?:/usr/bin/env\s+)?([^\s]+)(?:\s+-\S+)?\s*\n")
# How installers write a path that is too long, or has a space, for the first line.
_LONG = re.compile(rb"\A#!/bin/sh\n'''exec' \"?([^\"\n]+?)\"? \"\$0\" \"\$@\"")


class NoBentoML(Exception):
    """There is no BentoML to run; one sentence."""


def command_of(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give the command that runs BentoML and takes a lease for each service.

    Args:
        words: Behind `bentoml`.
        environment: The caller's.

    Raises:
        BadRequest: The caller is under a lease already.
        NoBentoML: There is no `bentoml`, or nobody knows which Python it is of.
    """
    inside = environment.get(_INSIDE)
    if inside:
        raise BadRequest(
            f"this is under {inside} already, whose devices `bentoml serve` uses as it is; for a"
            f" lease of each service start it outside, with `env -u {_INSIDE}` if that is over"
        )
    return started(_python(environment.get("PATH", os.defpath)), "serving", *words)


def _python(path: str) -> str:
    """Find the interpreter of `bentoml`: the one that the user's shell finds, else beside us."""
    beside = str(Path(sys.executable).parent)
    script = shutil.which("bentoml", path=path) or shutil.which("bentoml", path=beside)
    if script is None:
        raise NoBentoML("bentoml: command not found; install BentoML, or check PATH")
    try:
        with Path(script).open("rb") as opened:
            text = opened.read(4096)
    except OSError as error:
        raise NoBentoML(
            f"{script}: its first line, which names its Python, cannot be read:"
            f" {error.strerror}; instead, {INSTEAD}"
        ) from None
    found = _LONG.match(text) or _FIRST_LINE.match(text)
    named = os.fsdecode(found[1]) if found else ""
    # Not every interpreter is a Python: a shim of pyenv, say, is a script of the shell.
    called = Path(named).name.startswith(("python", "pypy"))
    python = shutil.which(named, path=path) if called else None
    if python is None:
        raise NoBentoML(
            f"{script}: its first line names no Python that is here; instead, {INSTEAD}"
        )
    return python
