"""`gpusched guard off` as root: takes the guard off itself, for the daemon may be dead.

The way back for an operator whose host does not work any more: it reads no configuration and no
state, and asks the kernel alone. The command line then tells the daemon, if one answers.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpusched.adapters.cgroup.guard import detach_guard
from gpusched.adapters.cgroup.mounting import open_hierarchy
from gpusched.cli import exits
from gpusched.cli.command import UsageError, complain
from gpusched.cli.parser import Help, parse
from gpusched.config.paths import SYSTEM_SOCKET
from gpusched.ports import EnforceError

_PRIVATE_MOUNT = Path(SYSTEM_SOCKET).parent / "cgroup"


def guard_off(words: Sequence[str]) -> int | None:
    """Take the guard off, if *words* ask for it and we may.

    Args:
        words: Everything behind `gpusched`.

    Returns:
        The exit code of a failure; None: the command line goes on.
    """
    try:
        invocation, _ = parse(words)
    except (Help, UsageError):
        return None
    options = invocation.options
    if invocation.name != "guard" or options.action != "off" or os.geteuid() != 0:
        return None
    try:
        below = options.below
        # What is mounted for a look must not stay: it would keep the folder from being removed.
        root = Path(below) if below else open_hierarchy(_PRIVATE_MOUNT, passing=True).root
        places = take_off(root)
    except EnforceError as error:
        complain(str(error))
        return exits.UNREACHABLE
    for place in places:
        invocation.note(f"the guard is taken off {place}")
    if not places:
        invocation.note(f"no guard was on at {root} or in the two levels below it")
    return None


def take_off(root: Path) -> tuple[Path, ...]:
    """Take the guard off *root* and the cgroups of the two levels below it; say where it was.

    Raises:
        EnforceError: One is there still.
    """
    return tuple(folder for folder in _cgroups(root) if _taken_off(folder))


def _taken_off(folder: Path) -> bool:
    try:
        return detach_guard(folder) > 0
    except FileNotFoundError:
        return False  # the cgroup has just gone
    except OSError as error:
        raise EnforceError(f"the guard cannot be taken off {folder}: {error.strerror}") from error


def _cgroups(root: Path) -> Iterator[Path]:
    yield root
    for folder in _inside(root):
        yield folder
        yield from _inside(folder)


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from (one for one in folder.iterdir() if one.is_dir())
    except FileNotFoundError:
        return
