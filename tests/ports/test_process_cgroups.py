"""The process table, fake and real, of leases with cgroups: standing, population, members."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gpusched.core.ids import LeaseId, ProcessId
from gpusched.ports import Member, ProcessTable, TooMany, Watched
from tests.ports.cgroup_worlds import Cgroups, FakeCgroups, RealCgroups
from tests.ports.real_processes import LEASE, OTHER, RealProcesses
from tests.ports.worlds import UID, FakeWorld, RealWorld, World

UIDS = (UID, UID, UID)


@dataclass
class Host:
    """Processes and cgroups of one kind."""

    world: World
    cgroups: Cgroups

    @property
    def table(self) -> ProcessTable:
        return self.world.table

    def start_in(self, cgroup: str, claims: LeaseId | None = None) -> ProcessId:
        process = self.world.start(claims)
        self.cgroups.enter(process, cgroup)
        return process


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "fake":
        world = FakeWorld()
        yield Host(world, FakeCgroups(world.table))
        return
    with RealCgroups() as cgroups, RealProcesses() as processes:
        yield Host(RealWorld(processes), cgroups)


def members(*processes: ProcessId) -> set[Member]:
    return {Member(process, UIDS) for process in processes}


def held(cgroup: str, lease: LeaseId = LEASE) -> Watched:
    return Watched(lease, UID, (), cgroup)


def loose(*roots: ProcessId, lease: LeaseId = OTHER) -> Watched:
    return Watched(lease, UID, roots)


def test_standing_tells_place_and_tree(host: Host) -> None:
    """A process's standing is its own cgroup and all its descendants, itself first."""
    outside = host.world.start()
    root = host.world.fork(outside)
    host.cgroups.enter(root, cgroup := host.cgroups.make())
    child = host.world.fork(root)
    grandchild, second = host.world.fork(child), host.world.fork(root)
    standing = host.table.standing(root)
    assert standing is not None
    assert standing.cgroup == cgroup
    assert standing.tree[0] == Member(root, UIDS)
    assert set(standing.tree) == members(root, child, grandchild, second)
    assert len(standing.tree) == 4


def test_standing_is_of_the_process_meant(host: Host) -> None:
    """A process that has ended has no standing, nor has another one with its pid."""
    process = host.world.start()
    assert host.table.standing(ProcessId(process.pid, process.start_ticks - 1)) is None
    host.world.end(process)
    assert host.table.standing(process) is None


def test_a_look_at_so_many_and_no_more(host: Host) -> None:
    """Who has more descendants than the asker has time for is not looked at to the end."""
    root = host.world.start()
    host.world.fork(root)
    host.world.fork(root)
    standing = host.table.standing(root, 3)
    assert standing == host.table.standing(root)
    with pytest.raises(TooMany):
        host.table.standing(root, 2)


def test_ended_child_is_in_no_tree(host: Host) -> None:
    """A descendant that has ended is in no tree, whether it was reaped or not."""
    root = host.world.start()
    child, gone = host.world.fork(root), host.world.fork(root)
    host.world.end(gone)
    standing = host.table.standing(root)
    assert standing is not None
    assert set(standing.tree) == members(root, child)


def test_population_is_all_that_lives_in_and_below(host: Host) -> None:
    """A cgroup's population is that of itself and of every cgroup below it, and of no other."""
    cgroup, beside = host.cgroups.make(), host.cgroups.make()
    below = host.cgroups.make(host.cgroups.make(cgroup))
    one, two, three = host.start_in(cgroup), host.start_in(below), host.start_in(cgroup)
    host.start_in(beside)
    host.world.end(three)
    assert set(host.table.population(cgroup).tree) == members(one, two)
    assert set(host.table.population(below).tree) == members(two)


def test_population_of_an_empty_cgroup(host: Host) -> None:
    """A cgroup without processes has nobody; a cgroup that is not there is an error."""
    cgroup = host.cgroups.make()
    assert host.table.population(cgroup).tree == ()
    host.cgroups.remove(cgroup)
    with pytest.raises(FileNotFoundError):
        host.table.population(cgroup)


def test_members_are_those_of_the_cgroup(host: Host) -> None:
    """The members of a lease with a cgroup are who is in it, whatever sign they carry."""
    cgroup = host.cgroups.make()
    inside = host.start_in(cgroup, claims=OTHER)
    host.world.start(claims=LEASE)
    left = host.world.fork(inside)
    host.cgroups.enter(left, host.cgroups.make())
    assert host.table.members([held(cgroup)]) == {LEASE: {inside}}


def test_member_in_a_cgroup_below(host: Host) -> None:
    """A process that a member puts into a cgroup below the lease's is a member still."""
    cgroup = host.cgroups.make()
    one = host.start_in(cgroup)
    two = host.start_in(host.cgroups.make(cgroup))
    assert host.table.members([held(cgroup)]) == {LEASE: {one, two}}


def test_lease_ends_with_its_cgroup(host: Host) -> None:
    """A lease whose cgroup is empty or gone has no members."""
    cgroup = host.cgroups.make()
    process = host.start_in(cgroup)
    host.world.end(process)
    assert host.table.members([held(cgroup)]) == {LEASE: frozenset()}
    host.cgroups.remove(cgroup)
    assert host.table.members([held(cgroup)]) == {LEASE: frozenset()}


def test_held_processes_count_for_no_other_lease(host: Host) -> None:
    """A process in a lease's cgroup is no other lease's by descent or by the sign it carries."""
    cgroup = host.cgroups.make()
    root = host.world.start()
    child = host.world.fork(root, claims=OTHER)
    host.cgroups.enter(child, cgroup)
    grandchild = host.world.fork(child)
    kept = host.world.fork(root)
    found = host.table.members([held(cgroup), loose(root)])
    assert found == {LEASE: {child, grandchild}, OTHER: {root, kept}}


def test_process_that_enters_a_cgroup_leaves_the_other_lease(host: Host) -> None:
    """A member by descent that is moved into another lease's cgroup is that one's from then on."""
    cgroup = host.cgroups.make()
    root = host.world.start()
    child = host.world.fork(root)
    assert host.table.members([held(cgroup), loose(root)])[OTHER] == {root, child}
    host.cgroups.enter(child, cgroup)
    found = host.table.members([held(cgroup), loose(root)])
    assert found == {LEASE: {child}, OTHER: {root}}


def test_process_that_leaves_a_cgroup_is_known_by_its_sign(host: Host) -> None:
    """What leaves another lease's cgroup is seen as a new process: its sign counts again."""
    cgroup = host.cgroups.make()
    process = host.start_in(cgroup, claims=OTHER)
    assert host.table.members([held(cgroup), loose()])[OTHER] == frozenset()
    host.cgroups.enter(process, host.cgroups.make())
    assert host.table.members([held(cgroup), loose()])[OTHER] == {process}


def test_facts_name_the_cgroup(host: Host) -> None:
    """Facts say in which cgroup a process is."""
    process = host.start_in(cgroup := host.cgroups.make())
    assert host.table.facts([process.pid])[process.pid].cgroup == cgroup


def test_all_cgroups_are_listed(host: Host) -> None:
    """A cgroup is found with those below it, each by its path; the root has no name."""
    outer = host.cgroups.make()
    inner = host.cgroups.make(outer)
    found = list(host.table.cgroups())
    assert {outer, inner} <= set(found)
    assert "/" not in found
    assert "" not in found
