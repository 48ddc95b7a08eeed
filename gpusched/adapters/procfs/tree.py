"""Finds who descends from a process at this moment, and whose each of them is.

On the way of every attachment, so it reads as few files as can be. It moves nobody, and what
starts or loses its parent during the walk may be missed: whoever moves the tree looks again.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from gpusched.adapters.procfs.descent import Snapshot
from gpusched.adapters.procfs.hierarchy import Hierarchy
from gpusched.adapters.procfs.reading import (
    ABSENT,
    Files,
    Stat,
    can_be_parent,
    kernel_lists_children,
)
from gpusched.core.ids import ProcessId
from gpusched.ports import Member, Standing, TooMany


class _Purse:
    """How many threads may be looked at still; None: any number."""

    def __init__(self, most: int | None) -> None:
        self._left = most

    def spend(self) -> None:
        """Take one.

        Raises:
            TooMany: None is left.
        """
        if self._left is None:
            return
        if not self._left:
            raise TooMany
        self._left -= 1


class _Look(NamedTuple):
    """All that is read of one process."""

    stat: Stat
    uids: tuple[int, int, int]
    children: list[int]
    cgroup: bytes

    @property
    def member(self) -> Member:
        return Member(self.stat.identity, self.uids)


def standing_of(
    process: ProcessId,
    hierarchy: Hierarchy,
    *,
    lists_children: bool | None = None,
    most: int | None = None,
) -> Standing | None:
    """Say whose a process and its descendants are, and where it is; None where it is gone.

    Args:
        process: Where to begin.
        hierarchy: For the path of its cgroup.
        lists_children: Whether the kernel does; else every process is asked for its parent.
        most: Threads that are looked at, all processes' together; None: however many.

    Raises:
        TooMany: There are more, or every process would be asked.
    """
    if lists_children is None:
        lists_children = kernel_lists_children()
    purse = _Purse(most)
    first = _look(process.pid, purse if lists_children else None)
    if first is None or first.stat.identity != process:
        return None
    if most is not None and not lists_children:
        raise TooMany
    below = _by_children(first, purse) if lists_children else _by_parents(process)
    path = hierarchy.path_in(first.cgroup)
    return Standing(path, hierarchy.inode(path), (first.member, *below))


def member_of(pid: int) -> Member | None:
    """Say who has *pid* and whose he is; None where nobody has it."""
    look = _look(pid)
    return None if look is None else look.member


def _look(pid: int, purse: _Purse | None = None) -> _Look | None:
    """Look at one process; at its children too where there is a *purse* to pay from."""
    try:
        with Files(pid) as files:
            uids = files.uids()
            below = [] if purse is None else files.children(purse.spend)
            cgroup = files.read("cgroup")
            # Last: all of it was read of a living process if this says that it lives.
            stat = files.stat()
    except ABSENT:
        return None
    return None if stat.ended else _Look(stat, uids, below, cgroup)


def _by_children(first: _Look, purse: _Purse) -> Iterator[Member]:
    ahead = [(first.stat, pid) for pid in first.children]
    # Whoever started the daemon may take a lease, and does not take the daemon with it.
    seen = {first.stat.identity.pid, os.getpid()}
    while ahead:
        parent, pid = ahead.pop()
        look = None if pid in seen else _look(pid, purse)
        # One whose parent is another by now may be a stranger with the pid of a child that ended.
        if look is None or look.stat.parent != parent.identity.pid:
            continue
        if can_be_parent(parent, look.stat):
            seen.add(pid)
            ahead += [(look.stat, child) for child in look.children]
            yield look.member


def _by_parents(process: ProcessId) -> Iterator[Member]:
    snapshot = Snapshot()
    below = snapshot.family([process])
    own = snapshot.family(one for one in below if one.pid == os.getpid())
    for one in below - own - {process}:
        look = _look(one.pid)
        if look is not None and look.stat.identity == one:
            yield look.member
