"""Landlock: a launched process gives up device nodes for good, itself and all its children.

For `gpusched run` without root where the daemon holds no mask. Landlock knows no "all but these",
so everything beside the way to a denied node is allowed by name. Facts: landlock(7) and
Documentation/userspace-api/landlock.rst. Loaded only where it is needed (cold start); nothing of
grants or leases may enter.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from gpusched.launch import libc

# The same numbers on every architecture that Linux has gained or renumbered since 2019.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38  # linux/prctl.h

_OPEN = 1 << 1 | 1 << 2  # write and read files
# Moving and linking between folders. A kernel that knows the right (since 5.19) takes it away from
# everybody who is confined unless it is given back.
_MOVE = 1 << 13
_MOVE_SINCE = 2

Entry = tuple[str, bool]
"""Path of an entry, and whether it is a folder."""


class ConfineError(Exception):
    """The process could not be confined, and is not; one sentence without a full stop."""


def available() -> str | None:
    """Say why this process cannot confine itself; None: it can."""
    try:
        _version()
    except OSError as error:
        return _why(error)
    return None


def confine(denied: Sequence[str], allowed: Sequence[str]) -> None:
    """Let this process and whatever it starts never again open *denied*.

    Setuid programs give no privileges from then on. What is created later in a folder on the way
    to a denied node (for `/dev/nvidia0`: in `/` and `/dev`) cannot be opened either. Where none of
    the denied nodes can be reached nothing is done.

    Args:
        denied: Paths of device nodes.
        allowed: Paths that stay open though they are denied as well.

    Raises:
        ConfineError: Not done.
    """
    kept = {os.path.realpath(one) for one in allowed}
    # Who may not look into a folder cannot open what is in it.
    reached = {os.path.realpath(one) for one in denied if os.path.lexists(one)}
    if not reached - kept:
        return
    try:
        _restrict(beside(reached - kept, _listed))
    except OSError as error:
        raise ConfineError(_why(error)) from None


def beside(denied: Iterable[str], listed: Callable[[str], Iterable[Entry]]) -> Iterator[Entry]:
    """Give what to allow so that everything but *denied* is: the siblings along the way to each.

    Args:
        denied: Absolute paths without symbolic links.
        listed: Gives the entries of a folder; asked only for folders on the way.
    """
    closed = set(denied)
    ways = {way for path in closed for way in _ways(path)}
    todo = ["/"] if closed else []
    while todo:
        for path, is_folder in listed(todo.pop()):
            if path in ways:
                todo.append(path)
            elif path not in closed:
                yield path, is_folder


def _ways(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _listed(folder: str) -> list[Entry]:
    try:
        with os.scandir(folder) as entries:
            # What a link leads to is allowed in its own place.
            return [
                (one.path, one.is_dir(follow_symlinks=False))
                for one in entries
                if not one.is_symlink()
            ]
    except OSError as error:
        why = f"{folder}, on the way to a device node, cannot be listed: {error.strerror}"
        raise ConfineError(why) from None


def _restrict(openings: Iterable[Entry]) -> None:
    folder_rights = _OPEN | _MOVE if _version() >= _MOVE_SINCE else _OPEN
    handled = struct.pack("=Q", folder_rights)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    try:
        for path, is_folder in openings:
            with suppress(FileNotFoundError):  # it has just vanished
                _allow(ruleset, path, folder_rights if is_folder else _OPEN)
        libc.prctl(_NO_NEW_PRIVS, 1)
        libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    entry = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, entry), 0)
    except OSError as error:
        if error.errno != errno.EBADFD:  # a mounted namespace: takes no rule and needs none
            raise
    finally:
        os.close(entry)


def _version() -> int:
    return libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)


def _why(error: OSError) -> str:
    known = {
        errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 has), or a seccomp filter hides it",
        errno.EOPNOTSUPP: "Landlock is not switched on: the boot parameter `lsm=` lacks it",
        errno.EPERM: "a seccomp filter forbids Landlock",
        errno.E2BIG: "this process is confined by 16 Landlock rulesets already, and no more fit",
    }
    return known.get(error.errno or 0, f"Landlock fails: {error.strerror}")
