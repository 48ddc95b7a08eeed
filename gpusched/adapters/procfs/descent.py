"""Finds the processes of leases without a cgroup: by descent, and by the sign they carry.

Exists because such a lease has no place that the kernel would list. It remembers what it found,
so that a process stays a member when the parent that led to it has ended.
Source: proc_pid_environ(5).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from gpusched.adapters.procfs.reading import (
    ABSENT,
    Stat,
    can_be_parent,
    environment,
    is_there,
    stat_of,
)
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.ports import Watched

_CLAIM = b"\0GPUSCHED_LEASE="


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last pass knew of a lease."""

    roots: frozenset[ProcessId]
    members: frozenset[ProcessId]


class Snapshot:
    """The processes that live, from one pass over the process table."""

    def __init__(self) -> None:
        stats = {pid: stat for pid in psutil.pids() if (stat := stat_of(pid)) is not None}
        self.living = frozenset(stat.identity for stat in stats.values() if not stat.ended)
        self._children: dict[ProcessId, list[ProcessId]] = defaultdict(list)
        for stat in stats.values():
            parent: Stat | None = stats.get(stat.parent)
            if parent is not None and not stat.ended and can_be_parent(parent, stat):
                self._children[parent.identity].append(stat.identity)

    def family(
        self, starts: Iterable[ProcessId], apart: frozenset[ProcessId] = frozenset()
    ) -> frozenset[ProcessId]:
        """Give the living among *starts* and their living descendants, but for those *apart*."""
        found = set(self.living.intersection(starts))
        ahead = list(found)
        while ahead:
            for child in self._children.get(ahead.pop(), ()):
                if child not in found and child not in apart:
                    found.add(child)
                    ahead.append(child)
        return frozenset(found)


class Descent:
    """The leases without a cgroup, as the last pass knew them."""

    def __init__(self) -> None:
        """Know no lease yet."""
        self._known: dict[LeaseId, _Known] = {}
        self._seen: frozenset[ProcessId] = frozenset()

    def members(
        self, leases: Collection[Watched], apart: frozenset[ProcessId]
    ) -> Mapping[LeaseId, frozenset[ProcessId]]:
        """Find the living processes of each lease in one pass over the process table.

        Remembers what it found until a lease is no longer among *leases*. The environment of a
        process is read when it is new, and everybody's when a lease is new or one of its
        processes has ended: its children may have been born and reparented since the last pass.

        Args:
            leases: Those without a cgroup.
            apart: Processes of other leases' cgroups; they count only as a root.

        Raises:
            OSError: The process table could not be read; what is remembered stays.
        """
        if not leases:
            self._known, self._seen = {}, frozenset()
            return {}
        snapshot = Snapshot()
        thorough = any(self._is_due(lease, snapshot.living) for lease in leases)
        unread = snapshot.living if thorough else snapshot.living - self._seen
        claims = _claims(unread - apart, leases)
        known = {}
        for lease in leases:
            before = self._known.get(lease.lease)
            followed = before.members - apart if before else frozenset()
            starts = {*lease.roots, *claims.get(lease.lease, ()), *followed}
            known[lease.lease] = _Known(frozenset(lease.roots), snapshot.family(starts, apart))
        # One that leaves a cgroup is new again: its sign was not read while it was in there.
        self._known, self._seen = known, snapshot.living - apart
        return {lease: one.members for lease, one in known.items()}

    def _is_due(self, lease: Watched, living: Collection[ProcessId]) -> bool:
        """Say whether a process of *lease* may live that no known one leads to."""
        before = self._known.get(lease.lease)
        if before is None:
            return True
        awaited = before.members | (frozenset(lease.roots) - before.roots)
        return any(process not in living for process in awaited)


def claimed_lease(pid: int) -> LeaseId | None:
    """Give `GPUSCHED_LEASE` of the environment the process was started with.

    None also where it may not be read, or where the process wrote its title over it. What
    daemonises does so just before an exec, which is waited out: not to see its sign then would
    end its lease. Read without psutil, which takes five times as long: one process of a lease
    that ends has this read of every process of the holder.
    """
    try:
        block = environment(pid)
    except ABSENT:
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
        claim = claimed_lease(process.pid) if uid in uids else None
        if claim is not None and holders.get(claim) == uid and is_there(process):
            found[claim].add(process)
    return found


def _owner(pid: int) -> int | None:
    """Give the effective uid, at a tenth of what psutil takes; root's for the undumpable."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except ABSENT:
        return None
