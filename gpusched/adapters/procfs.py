"""What `/proc` knows of processes: identities, owners, ancestors and the members of leases.

Exists so that nothing else reads `/proc/<pid>`. psutil does the reading, with two
exceptions: `stat`, because psutil gives the start time as a float in seconds and an identity needs
the kernel's own ticks, and what is read of every process at each tick, where psutil is too slow.
Nothing is decided and nothing is signalled here.
Source: proc_pid_stat(5), proc_pid_environ(5).
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.sample import ProcessFacts
from gpusched.ports import Watched

# A loop of parents cannot exist, but a chain read while pids change hands can look like one.
_MAX_ANCESTORS = 128
_STAT_BYTES = 4096
_CLAIM = b"\0GPUSCHED_LEASE="
# A host mounted with hidepid answers EACCES or ENOENT alike: such a process is not there for us.
_ABSENT = (FileNotFoundError, ProcessLookupError, PermissionError)


class _Stat(NamedTuple):
    """The part of `/proc/<pid>/stat` that is needed for every process of the host."""

    identity: ProcessId
    name: str
    parent: int
    ended: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last pass knew of a lease."""

    roots: frozenset[ProcessId]
    members: frozenset[ProcessId]


class _Snapshot:
    """The processes that live, from one pass over the process table."""

    def __init__(self) -> None:
        stats = {pid: stat for pid in psutil.pids() if (stat := _stat(pid)) is not None}
        self.living = frozenset(stat.identity for stat in stats.values() if not stat.ended)
        self._children: dict[ProcessId, list[ProcessId]] = defaultdict(list)
        for stat in stats.values():
            parent = stats.get(stat.parent)
            if parent is not None and not stat.ended and _can_be_parent(parent, stat):
                self._children[parent.identity].append(stat.identity)

    def family(self, starts: Iterable[ProcessId]) -> frozenset[ProcessId]:
        """Give the living among *starts* and all their living descendants."""
        found = set(self.living.intersection(starts))
        ahead = list(found)
        while ahead:
            for child in self._children.get(ahead.pop(), ()):
                if child not in found:
                    found.add(child)
                    ahead.append(child)
        return frozenset(found)


class ProcfsProcessTable:
    """The host's process table. Not safe for two threads at once: `members` remembers."""

    def __init__(self) -> None:
        """Know no lease yet."""
        self._known: dict[LeaseId, _Known] = {}
        self._seen: frozenset[ProcessId] = frozenset()

    def identify(self, pid: int) -> ProcessId | None:
        """Give the identity of the process that has *pid* now; None where there is none.

        A zombie still has its pid. The id of a thread is no pid.
        """
        # /proc/<tid> can be opened, though it is not listed; pid_exists tells the two apart.
        if not psutil.pid_exists(pid):
            return None
        stat = _stat(pid)
        return None if stat is None else stat.identity

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        """Give real, effective and saved uid; None where the process is gone."""
        try:
            uids = psutil.Process(process.pid).uids()
        except psutil.Error:
            return None
        # After the reading: what a later owner of the pid answered is thrown away.
        if not _is_there(process):
            return None
        return (uids.real, uids.effective, uids.saved)

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        """Describe the processes among *pids* that exist and stay while they are read."""
        stats: dict[int, _Stat | None] = {}
        described = {pid: _describe(pid, stats) for pid in pids}
        return {pid: facts for pid, facts in described.items() if facts is not None}

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        """Find the living processes of each lease in one pass over the process table.

        Remembers what it found until a lease is no longer in *watched*. The environment of a
        process is read when it is new, and everybody's when a lease is new or one of its
        processes has ended: its children may have been born and reparented since the last pass.

        Raises:
            OSError: The process table could not be read; what is remembered stays.
        """
        leases = tuple(watched)
        if not leases:
            self._known, self._seen = {}, frozenset()
            return {}
        snapshot = _Snapshot()
        thorough = any(self._is_due(lease, snapshot.living) for lease in leases)
        unread = snapshot.living if thorough else snapshot.living - self._seen
        claims = _claims(unread, leases)
        known = {}
        for lease in leases:
            before = self._known.get(lease.lease)
            starts = {
                *lease.roots,
                *claims.get(lease.lease, ()),
                *(before.members if before else ()),
            }
            known[lease.lease] = _Known(frozenset(lease.roots), snapshot.family(starts))
        self._known, self._seen = known, snapshot.living
        return {lease: one.members for lease, one in known.items()}

    def _is_due(self, lease: Watched, living: Collection[ProcessId]) -> bool:
        """Say whether a process of *lease* may live that no known one leads to."""
        before = self._known.get(lease.lease)
        if before is None:
            return True
        awaited = before.members | (frozenset(lease.roots) - before.roots)
        return any(process not in living for process in awaited)


def _stat(pid: int) -> _Stat | None:
    """Read `/proc/<pid>/stat`; None where there is no such process.

    Raises:
        OSError: It could not be read for a reason that says nothing of the process.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            data = os.read(descriptor, _STAT_BYTES)
        finally:
            os.close(descriptor)
    except _ABSENT:
        return None
    # The name may hold blanks and parentheses; the last one closes it.
    end = data.rindex(b")")
    state, parent, *rest = data[end + 2 :].split(None, 20)
    # A process whose first thread has ended shows as a zombie while its other threads run on.
    ended = state in b"ZX" and int(rest[15]) <= 1
    name = data[data.index(b"(") + 1 : end].decode(errors="replace")
    return _Stat(ProcessId(pid, int(rest[17])), name, int(parent), ended)


def _can_be_parent(parent: _Stat, child: _Stat) -> bool:
    """Refuse a parent that is younger: the pid changed hands between the two readings."""
    return parent.identity.start_ticks <= child.identity.start_ticks


def _is_there(process: ProcessId) -> bool:
    stat = _stat(process.pid)
    return stat is not None and stat.identity == process


def _describe(pid: int, stats: dict[int, _Stat | None]) -> ProcessFacts | None:
    """Describe one process; *stats* spares reading an ancestor of several twice."""
    stat = _stat(pid)
    if stat is None:
        return None
    try:
        process = psutil.Process(pid)
        facts = ProcessFacts(
            identity=stat.identity,
            uid=process.uids().real,
            name=stat.name,
            command=_command(process),
            ancestors=_ancestors(stat, stats),
            claims_lease=_claimed_lease(pid),
        )
    except psutil.Error:
        return None
    return facts if _is_there(stat.identity) else None


def _ancestors(stat: _Stat, stats: dict[int, _Stat | None]) -> tuple[ProcessId, ...]:
    chain: list[ProcessId] = []
    while len(chain) < _MAX_ANCESTORS:
        if stat.parent not in stats:
            stats[stat.parent] = _stat(stat.parent)
        parent = stats[stat.parent]
        if parent is None or not _can_be_parent(parent, stat):
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


def _claimed_lease(pid: int) -> LeaseId | None:
    """Give `GPUSCHED_LEASE` of the environment the process was started with.

    None also where it may not be read, or where the process wrote its title over it. Read
    without psutil, which takes five times as long: one process of a lease that ends has this read
    of every process of the holder.
    """
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except _ABSENT:
        return None
    _, found, rest = (b"\0" + block).partition(_CLAIM)
    claim = rest.partition(b"\0")[0]
    return LeaseId(claim.decode()) if found and claim.isascii() and claim else None


def _claims(
    processes: Iterable[ProcessId], leases: Collection[Watched]
) -> Mapping[LeaseId, set[ProcessId]]:
    """Find who carries the id of one of *leases* and is its holder's."""
    holders = {lease.lease: lease.uid for lease in leases}
    uids = set(holders.values())
    found: dict[LeaseId, set[ProcessId]] = defaultdict(set)
    for process in processes:
        uid = _owner(process.pid)
        # The uid first: reading an environment can wait for a stuck process's memory lock.
        claim = _claimed_lease(process.pid) if uid in uids else None
        if claim is not None and holders.get(claim) == uid and _is_there(process):
            found[claim].add(process)
    return found


def _owner(pid: int) -> int | None:
    """Give the effective uid, at a tenth of what psutil takes; root's for the undumpable."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except _ABSENT:
        return None
