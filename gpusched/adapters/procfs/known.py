"""What is known of the processes on devices, from one tick to the next.

Exists because a tick must not cost six files a process. Each tick reads one: `stat` says whether
the pid is still that process's, and whether it is still what was read of it. The others are read
again when it is not, when the process came into a lease's cgroup or left it, and in turn, a tenth
of all at each look: so late may be seen what shows in none of these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gpusched.adapters.procfs.facts import facts_of
from gpusched.adapters.procfs.hierarchy import Hierarchy
from gpusched.adapters.procfs.reading import Program, program_of
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.sample import ProcessFacts

TURNS: Final = 10
"""Looks until everything has been read again."""

Held = Mapping[LeaseId, frozenset[ProcessId]]
"""Processes in the cgroup of each lease that was looked at."""


class _Sign(NamedTuple):
    """What tells that a process is what it was."""

    program: Program
    leases: tuple[LeaseId, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    sign: _Sign
    facts: ProcessFacts


class KnownProcesses:
    """Describes processes, and remembers those that it was asked for the last time."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._known: dict[int, _Known] = {}
        self._look = 0

    def facts(self, pids: Iterable[int], held: Held) -> Mapping[int, ProcessFacts]:
        """Describe the processes among *pids* that exist.

        Args:
            pids: Those on devices.
            held: Who is in the cgroup of which lease, by the latest look.
        """
        self._look += 1
        within = _leases_by_process(held)
        known: dict[int, _Known] = {}
        due: dict[int, _Sign] = {}
        for pid in pids:
            program = program_of(pid)
            if program is None:
                continue
            sign = _Sign(program, within.get(program.identity, ()))
            before = self._known.get(pid)
            in_turn = (self._look + pid) % TURNS == 0
            if before is None or before.sign != sign or in_turn:
                due[pid] = sign
            else:
                known[pid] = before
        for pid, facts in facts_of(due, self._hierarchy).items():
            known[pid] = _Known(due[pid], facts)
        self._known = known
        return {pid: one.facts for pid, one in known.items()}


def _leases_by_process(held: Held) -> dict[ProcessId, tuple[LeaseId, ...]]:
    found: dict[ProcessId, tuple[LeaseId, ...]] = {}
    for lease, processes in held.items():
        for process in processes:
            found[process] = (*found.get(process, ()), lease)
    return found
