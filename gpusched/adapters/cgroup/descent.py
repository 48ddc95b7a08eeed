"""A process and its descendants, read fast enough that they cannot run away meanwhile.

Exists beside the process table, which reads every process of the host: here it is a handful,
several times over, while they fork. Nothing is moved and nothing is judged in this file.
Source: proc_pid_stat(5), proc_pid_status(5), proc_tid_children(5).
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpusched.core.ids import ProcessId
from gpusched.core.standing import Member
from gpusched.ports import EnforceError

# So many pids are looked at one by one; beyond that listing all processes is quicker.
_MANY = 2000
_GONE = (FileNotFoundError, ProcessLookupError)
# Counted from the field after the command's ")": fields 3, 4, 6 and 22 of the file.
_STATE, _PARENT, _SESSION, _START = 0, 1, 3, 19


@dataclass(frozen=True, slots=True)
class Stat:
    """What `/proc/<pid>/stat` says of who a process is.

    Attributes:
        process: Its identity.
        parent: Pid of its parent.
        session: Pid of its session's leader, who may have ended.
    """

    process: ProcessId
    parent: int
    session: int


def read_stat(pid: int) -> Stat | None:
    """Read who has *pid* now; None where there is no such process, or it is a zombie."""
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except _GONE:
        return None
    # The name may hold blanks and parentheses; the last one closes it.
    fields = data[data.rindex(b")") + 2 :].split(None, 20)
    # A process whose first thread has ended shows as a zombie while its other threads run on.
    if fields[_STATE] in b"ZX" and int(fields[17]) <= 1:
        return None
    return Stat(ProcessId(pid, int(fields[_START])), int(fields[_PARENT]), int(fields[_SESSION]))


def read_member(pid: int) -> Member | None:
    """Read who has *pid* now and whose it is; None where there is no such process."""
    stat = read_stat(pid)
    if stat is None:
        return None
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
    except _GONE:
        return None
    real, effective, saved, _files = map(
        int, next(line for line in lines if line.startswith(b"Uid:")).split()[1:]
    )
    return Member(stat.process, (real, effective, saved))


def descendants(starts: Iterable[int]) -> dict[int, None]:
    """List *starts* and all that descend from them now, parents first.

    This process and what it has started are left out: whoever started the daemon may take a
    lease, and must not take the daemon with it.

    Raises:
        EnforceError: This kernel does not list children.
    """
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
    """Give the pid that was given out last (proc_loadavg(5))."""
    return int(Path("/proc/loadavg").read_text().split()[4])


def born_between(first: int, last: int) -> Iterator[Stat]:
    """Give the living processes whose pids were given out between two `newest_pid`."""
    if 0 <= last - first < _MANY:
        pids: Iterable[int] = range(max(first, 1), last + 1)
    else:  # pids have begun anew, or the host is that busy
        pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 -- names, not paths
    for pid in pids:
        stat = read_stat(pid)
        if stat is not None and not _is_thread(pid):
            yield stat


def _is_thread(pid: int) -> bool:
    """Say whether it is the id of a thread: that has a folder too, though none lists it."""
    try:
        return f"\nTgid:\t{pid}\n" not in Path(f"/proc/{pid}/status").read_text()
    except _GONE:
        return False


def _children(pid: int) -> list[int]:
    """List the children of a process: each of its threads has its own."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 -- names, not paths
    except _GONE:
        return found
    for thread in threads:
        try:
            text = Path(f"/proc/{pid}/task/{thread}/children").read_bytes()
        except _GONE:
            if Path(f"/proc/{pid}/task/{thread}/stat").exists():
                raise EnforceError(
                    "this kernel does not list the children of a process "
                    "(CONFIG_PROC_CHILDREN), so a process cannot be moved with them; "
                    "start the work by `gpusched run`"
                ) from None
            continue
        found += map(int, text.split())
    return found
