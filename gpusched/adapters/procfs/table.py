"""The host's process table: the port, put together from the modules beside it."""

import os
from collections.abc import Iterable, Mapping

import psutil

from gpusched.adapters.procfs.descent import Descent
from gpusched.adapters.procfs.descriptors import open_nodes_of
from gpusched.adapters.procfs.hierarchy import Hierarchy
from gpusched.adapters.procfs.known import Held, KnownProcesses
from gpusched.adapters.procfs.reading import ABSENT, Files, stat_of
from gpusched.adapters.procfs.tree import member_of, standing_of
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.sample import OpenNode, ProcessFacts
from gpusched.ports import Standing, Watched


class ProcfsProcessTable:
    """The host's process table. Not safe for two threads at once: it remembers."""

    def __init__(self, hierarchy: Hierarchy | None = None) -> None:
        """Know no lease yet.

        Args:
            hierarchy: The cgroup2 tree; by default where this process has it mounted now.
        """
        self._hierarchy = Hierarchy.here() if hierarchy is None else hierarchy
        self._descent = Descent()
        self._known = KnownProcesses(self._hierarchy)
        self._held: Held = {}
        own = stat_of(os.getpid())
        self._own = frozenset[ProcessId]() if own is None else frozenset({own.identity})

    def identify(self, pid: int) -> ProcessId | None:
        """Give the identity of the process that has *pid* now; None where there is none.

        A zombie still has its pid. The id of a thread is no pid.
        """
        # /proc/<tid> can be opened, though it is not listed; pid_exists tells the two apart.
        if not psutil.pid_exists(pid):
            return None
        stat = stat_of(pid)
        return None if stat is None else stat.identity

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        """Give real, effective and saved uid; None where the process is gone."""
        try:
            with Files(process.pid) as files:
                return files.uids() if files.stat().identity == process else None
        except ABSENT:
            return None

    def standing(self, process: ProcessId, most: int | None = None) -> Standing | None:
        """Say whose a process and its descendants are, and where it is; None where it is gone.

        One that has ended and is not reaped is gone. A descendant that starts, or whose parent
        ends, meanwhile may be missing.

        Args:
            process: Where to begin.
            most: Threads that are looked at, all processes' together; None: however many.

        Raises:
            TooMany: There are more.
        """
        return standing_of(process, self._hierarchy, most=most)

    def population(self, cgroup: str) -> Standing:
        """Say who is in *cgroup* and below it, in the form of a standing.

        Args:
            cgroup: Path relative to the root of the cgroup2 hierarchy.

        Raises:
            FileNotFoundError: There is no such cgroup.
            OSError: Not all that live in it can be told.
        """
        members = tuple(self._hierarchy.processes(cgroup, member_of).values())
        return Standing(cgroup, self._hierarchy.inode(cgroup), members)

    def cgroups(self) -> Iterable[str]:
        """Give the paths of all cgroups; none where the host has no cgroup2 hierarchy."""
        return self._hierarchy.all()

    def open_nodes(self, processes: Iterable[ProcessId]) -> tuple[OpenNode, ...]:
        """Find the character devices that *processes* have open; those that are gone have none.

        Nor have those whose descriptors may not be seen.
        """
        return open_nodes_of(processes)

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        """Describe the processes among *pids* that exist; see `known` for what may be older."""
        return self._known.facts(pids, self._held)

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        """Find the living processes of each lease.

        The process table is read only for leases without a cgroup (see `Descent.members`); a
        lease whose cgroup cannot be read is left out.

        Raises:
            OSError: The process table could not be read; what is remembered stays.
        """
        leases = tuple(watched)
        held = {
            lease.lease: members
            for lease in leases
            if lease.cgroup is not None and (members := self._held_in(lease.cgroup)) is not None
        }
        self._held = held
        # Whoever started the daemon may take a lease, and does not take the daemon with it.
        apart = self._own.union(*held.values())
        loose = [lease for lease in leases if lease.cgroup is None]
        return {**held, **self._descent.members(loose, apart)}

    def _held_in(self, cgroup: str) -> frozenset[ProcessId] | None:
        try:
            return frozenset(self._hierarchy.processes(cgroup, _living).values())
        except FileNotFoundError:
            # A tree that was unmounted says nothing of the processes in it.
            return frozenset() if self._hierarchy.is_there() else None
        except OSError:
            return None


def _living(pid: int) -> ProcessId | None:
    stat = stat_of(pid)
    return None if stat is None or stat.ended else stat.identity
