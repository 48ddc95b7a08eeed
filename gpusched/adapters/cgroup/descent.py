"""A process and its descendants, looked at several times over while they fork.

Exists beside the process table, which gives one look at them: a tree that is moved runs on
meanwhile. Nothing is moved and nothing is judged in this file.
Source: proc_loadavg(5), proc_tid_children(5).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from gpusched.adapters.procfs.reading import (
    ABSENT,
    Files,
    Stat,
    kernel_lists_children,
    stat_of,
)
from gpusched.ports import EnforceError

# So many pids are looked at one by one; beyond that listing all processes is quicker.
_MANY = 2000


def read_stat(pid: int) -> Stat | None:
    """Read who has *pid* now; None where there is no such process, or it is a zombie."""
    stat = stat_of(pid)
    return None if stat is None or stat.ended else stat


def descendants(starts: Iterable[int]) -> dict[int, None]:
    """List *starts* and all that descend from them now, parents first.

    This process and what it has started are left out: whoever started the daemon may take a
    lease, and must not take the daemon with it.

    Raises:
        EnforceError: This kernel does not list children.
    """
    if not kernel_lists_children():
        raise EnforceError(
            "this kernel does not list the children of a process (CONFIG_PROC_CHILDREN), so a"
            " process cannot be moved with them; start the work by `gpusched run`"
        )
    found = dict.fromkeys(starts)
    ahead = list(found)
    own = os.getpid()
    while ahead:
        for child in _children(ahead.pop()):
            if child not in found and child != own:
                found[child] = None
                ahead.append(child)
    return found


def ancestors(pid: int) -> set[int]:
    """List the pids above a process, up to init."""
    found: set[int] = set()
    stat = read_stat(pid)
    while stat is not None and stat.parent and stat.parent not in found:
        found.add(stat.parent)
        stat = read_stat(stat.parent)
    return found


def newest_pid() -> int:
    """Give the pid that was given out last."""
    return int(Path("/proc/loadavg").read_text().split()[4])


def born_between(first: int, last: int) -> Iterator[Stat]:
    """Give the living processes whose pids were given out between two `newest_pid`."""
    # Else pids have begun anew, or the host is that busy.
    one_by_one = 0 <= last - first < _MANY
    for pid in range(max(first, 1), last + 1) if one_by_one else psutil.pids():
        stat = read_stat(pid)
        if stat is not None and not _is_thread(pid):
            yield stat


def _is_thread(pid: int) -> bool:
    """Say whether it is the id of a thread: that has a folder too, though none lists it."""
    try:
        # As bytes: a process may call itself what is no text.
        return b"\nTgid:\t%d\n" % pid not in Path(f"/proc/{pid}/status").read_bytes()
    except ABSENT:
        return False


def _children(pid: int) -> list[int]:
    """List the children of a process: each of its threads has its own."""
    try:
        with Files(pid) as files:
            return files.children()
    except ABSENT:
        return []
