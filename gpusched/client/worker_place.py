"""Which of its siblings a worker process is: a number that its replacement gets again.

Servers that start workers tell them rarely. BentoML does; for any other the workers of one parent
agree among themselves: each holds the lowest number that no living sibling has (`worker_number`).
"""

import os
import sys
from typing import NamedTuple

from gpusched.client.asking import bad
from gpusched.client.worker_number import Holder, lowest_free

_MOST = 4096


class Place(NamedTuple):
    """Where a worker is among its siblings.

    Attributes:
        group: Names the siblings: the same for all of them, and of nobody else on this boot.
        number: From 0.
    """

    group: str
    number: int


_held: dict[int, tuple[Place, Holder]] = {}
"""By pid: a process that forks leaves its place to nobody."""


def place(index: int | None = None) -> Place:
    """Give this process's place.

    Args:
        index: Its number where the server knows it, from 0; None: BentoML's own number, else the
            lowest one that is free among the children of its parent.

    Raises:
        BadRequest: It is no such number.
    """
    if index is not None and not is_number(index):
        raise bad("index", f"{index!r} is no number of a worker, such as 0")
    group = f"{os.getuid()}/{_identity(os.getppid())}"
    service, told = _bentoml()
    if service:
        group = f"{group}/{service}"
    if index is not None:
        return Place(group, index)
    return _lowest_free(group) if told is None else Place(group, told)


def is_number(said: object) -> bool:
    """Say whether a program that no type checker has read said a number, from 0."""
    return isinstance(said, int) and not isinstance(said, bool) and said >= 0


def identity() -> str:
    """Name this process so that no other one is ever called so on this boot."""
    return _identity(os.getpid())


def _identity(pid: int) -> str:
    """Name a process by its pid and its start, field 22 of proc(5), and by whose pid that is."""
    # Two containers that start together have the same pids at the same time.
    space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - cold start
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as opened:  # noqa: PTH123 - cold start
            # The name in the parentheses may have any character.
            start = opened.read().rpartition(")")[2].split()[19]
    except OSError:
        # The parent of a container's first process is outside, and one of another user may be
        # hidden (`hidepid`).
        start = "hidden"
    return f"{pid}.{start}.{space}"


def _bentoml() -> tuple[str, int | None]:
    """Give BentoML's service and worker number where this is a worker of it; it counts from 1."""
    context = getattr(sys.modules.get("bentoml"), "server_context", None)
    number = getattr(context, "worker_index", None)
    if not isinstance(number, int):
        return "", None
    return str(getattr(context, "service_name", "")), number - 1


def _lowest_free(group: str) -> Place:
    """Hold the lowest number that no sibling holds, until this process ends."""
    known = _held.get(os.getpid())
    if known is not None and known[0].group == group:
        return known[0]
    number, holder = lowest_free(group, _MOST)
    found = Place(group, number)
    _held[os.getpid()] = (found, holder)
    return found
