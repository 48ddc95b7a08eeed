"""Specification: what is remembered of a process between two ticks is still true of it."""

import os
from pathlib import Path

import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.adapters.procfs.known import TURNS
from gpusched.core.sample import ProcessFacts
from gpusched.ports import Watched
from tests.ports.cgroup_worlds import RealCgroups
from tests.ports.real_processes import LEASE, RealProcesses

SAYS = "print(1, flush=True)"


def looked(table: ProcfsProcessTable, pid: int, *watched: Watched) -> ProcessFacts:
    """What a tick would see of a process."""
    table.members(watched)
    return table.facts([pid])[pid]


def test_an_exec_is_seen_at_once(table: ProcfsProcessTable, processes: RealProcesses) -> None:
    """Another program in the same process has its own command and environment at the next look,
    though pid, start time and name stay.
    """
    pid = processes.start()
    before = looked(table, pid)
    processes.become(pid, LEASE)
    after = looked(table, pid)
    assert (after.identity, after.name) == (before.identity, before.name)
    assert (before.claims_lease, after.claims_lease) == (None, LEASE)


def test_another_name_is_seen_at_once(table: ProcfsProcessTable, processes: RealProcesses) -> None:
    """A process that renames itself has the new name at the next look."""
    source = f"{SAYS}; input(); open('/proc/self/comm', 'w').write('renamed'); {SAYS}; input()"
    pid, _ = processes.run_python(source)
    assert looked(table, pid).name == "python"
    processes.tell(pid)
    assert looked(table, pid).name == "renamed"


def test_a_gone_process_is_not_remembered(
    table: ProcfsProcessTable, processes: RealProcesses
) -> None:
    """One that has ended is not described any more, however lately it was."""
    pid = processes.start()
    assert looked(table, pid).identity.pid == pid
    processes.end(pid)
    assert table.facts([pid]) == {}


@pytest.mark.root
def test_the_cgroup_of_a_lease_is_seen_at_once(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A process that comes into the cgroup of a lease, or leaves it, is where it is at the next
    look, whoever moved it.
    """
    held, outside = cgroups.make(), cgroups.make()
    watched = Watched(LEASE, os.getuid(), (), held)
    pid = processes.start()
    assert looked(table, pid, watched).cgroup not in (held, outside)
    for cgroup in (held, outside, held):
        enter(cgroups, pid, cgroup)
        assert looked(table, pid, watched).cgroup == cgroup


@pytest.mark.root
def test_what_shows_nowhere_is_read_in_turn(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A process that moves between cgroups of no lease is found there within ten looks, and one
    look in ten is enough of a cost.
    """
    first, second = cgroups.make(), cgroups.make()
    pid = processes.start()
    enter(cgroups, pid, first)
    assert looked(table, pid).cgroup == first
    enter(cgroups, pid, second)
    seen = [looked(table, pid).cgroup for _ in range(TURNS)]
    assert seen[-1] == second
    assert seen == sorted(seen, key=lambda cgroup: cgroup == second)


def enter(cgroups: RealCgroups, pid: int, cgroup: str) -> None:
    """Move a process, as somebody else would."""
    Path(cgroups.folder(cgroup), "cgroup.procs").write_text(str(pid))
