"""Describes a process for those who will be told of it: name, command line, parents, place.

Here psutil reads what only screens show. Nothing that is read of every process at each tick;
who is described anew at a tick is for `known` to say.
"""

import os
import pwd
from collections.abc import Iterable, Mapping
from functools import lru_cache

import psutil

from gpusched.adapters.procfs.descent import claimed_lease
from gpusched.adapters.procfs.hierarchy import Hierarchy
from gpusched.adapters.procfs.reading import ABSENT, Files, Stat, can_be_parent, is_there, stat_of
from gpusched.core.ids import ProcessId
from gpusched.core.sample import ProcessFacts

# A loop of parents cannot exist, but a chain read while pids change hands can look like one.
_MAX_ANCESTORS = 128


def facts_of(pids: Iterable[int], hierarchy: Hierarchy) -> Mapping[int, ProcessFacts]:
    """Describe the processes among *pids* that exist and stay while they are read."""
    stats: dict[int, Stat | None] = {}
    described = {pid: _describe(pid, stats, hierarchy) for pid in pids}
    return {pid: facts for pid, facts in described.items() if facts is not None}


def _describe(
    pid: int, stats: dict[int, Stat | None], hierarchy: Hierarchy
) -> ProcessFacts | None:
    """Describe one process; *stats* spares reading an ancestor of several twice."""
    stat = stat_of(pid)
    if stat is None:
        return None
    try:
        process = psutil.Process(pid)
        uid = process.uids().real
        facts = ProcessFacts(
            identity=stat.identity,
            uid=uid,
            name=stat.name,
            command=_command(process),
            ancestors=_ancestors(stat, stats),
            claims_lease=claimed_lease(pid),
            cgroup=_cgroup(stat, hierarchy),
            user=user_name(uid),
        )
    except (psutil.Error, *ABSENT):
        return None
    return facts if is_there(stat.identity) else None


@lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """Give the name of a uid, asked for once: a name service may be slow."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):  # a uid that pwd takes for -1 has no name either
        return ""


def _cgroup(stat: Stat, hierarchy: Hierarchy) -> str:
    with Files(stat.identity.pid) as files:
        return hierarchy.path_in(files.read("cgroup"), ended=stat.ended)


def _ancestors(stat: Stat, stats: dict[int, Stat | None]) -> tuple[ProcessId, ...]:
    chain: list[ProcessId] = []
    # What the daemon has started is not of the lease of whoever started the daemon.
    while len(chain) < _MAX_ANCESTORS and stat.identity.pid != os.getpid():
        if stat.parent not in stats:
            stats[stat.parent] = stat_of(stat.parent)
        parent = stats[stat.parent]
        if parent is None or not can_be_parent(parent, stat):
            break
        chain.append(parent.identity)
        stat = parent
    return tuple(chain)


def _command(process: psutil.Process) -> str:
    """Give the command line; empty for kernel threads, zombies and what may not be read."""
    try:
        command = " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.AccessDenied):
        return ""
    # psutil keeps bytes that are no UTF-8 as surrogates, which no protobuf string can carry.
    return command.encode(errors="surrogateescape").decode(errors="replace")
