"""Process trees that are moved while they fork, end or belong to somebody else."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from gpusched.adapters.cgroup.blocking import in_thread
from gpusched.adapters.cgroup.descent import born_between, read_stat
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.moving import Mover, _ticks_since_boot
from gpusched.adapters.procfs.reading import Stat
from gpusched.core.ids import ProcessId
from gpusched.ports import EnforceError
from tests.descriptors import descriptors
from tests.ports.cgroup_worlds import RealCgroups
from tests.ports.real_processes import RealProcesses

pytestmark = pytest.mark.root

# Forks, and its child forks at once and ends, as a daemon does; begins to when it is run, and
# goes on for longer than a move takes. Each grandchild lives for a while, to be found somewhere.
_DOUBLE_FORKS = """
import os, sys, time
os.setsid()
for number in range(400):
    if os.fork() == 0:
        if os.fork() == 0:
            sys.stdout = None
            os.close(1)
            time.sleep(60)
        os._exit(0)
    if number == 10:
        print(number, flush=True)
    os.wait()
time.sleep(60)
"""


@pytest.fixture
def cgroups() -> Iterator[RealCgroups]:
    with RealCgroups() as made:
        yield made


@pytest.fixture
def processes(cgroups: RealCgroups) -> Iterator[RealProcesses]:  # noqa: ARG001 -- they end before their cgroups
    with RealProcesses() as started:
        yield started


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Door:
    """Moves by writing pids; what a test wants to happen in between happens here."""

    def __init__(self, hierarchy: Hierarchy, threads: Executor) -> None:
        self.hierarchy = hierarchy
        self.threads = threads
        self.rounds: list[tuple[int, ...]] = []
        self.ends: int | None = None
        """Pidfd of a process that is killed before the first move."""
        self.vacated: str | None = None
        """A cgroup that goes with its last process."""

    def mover(self) -> Mover:
        return Mover(self.hierarchy, self.enter, self.threads)

    async def enter(self, path: str, pids: Sequence[int]) -> None:
        if self.ends is not None and not self.rounds:
            signal.pidfd_send_signal(self.ends, signal.SIGKILL)
            select.select([self.ends], [], [], 10)
        self.rounds.append(tuple(pids))
        await in_thread(self.threads, self.hierarchy.enter, path, pids)
        if self.vacated is not None:
            await in_thread(self.threads, self.hierarchy.remove, self.vacated)


@pytest.fixture
def door(cgroups: RealCgroups, threads: Executor) -> Door:
    return Door(Hierarchy(cgroups.mount), threads)


def identity(pid: int) -> ProcessId:
    stat = read_stat(pid)
    assert stat is not None
    return stat.identity


async def test_a_tree_moves_as_a_whole(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """The named process comes first, all its descendants are in, its parent and siblings not."""
    parent = processes.start()
    root, sibling = processes.fork(parent), processes.fork(parent)
    below = [processes.fork(root) for _ in range(3)]
    below.append(processes.fork(below[0]))
    target = cgroups.make()
    moved = await door.mover().move(identity(root), target, 0)
    assert moved.processes[0] == identity(root)
    assert set(door.hierarchy.pids(target)) == {root, *below}
    assert {one.pid for one in moved.processes} == {root, *below}
    assert moved.escaped == ()
    assert door.hierarchy.where(sibling) == door.hierarchy.where(parent) != target


async def test_double_forks_are_moved_or_named(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """Whoever is born while a forking tree is moved is inside, or named as escaped."""
    target = cgroups.make()
    forker, _ = processes.run_python(_DOUBLE_FORKS)
    session = os.getsid(forker)
    try:
        began = _ticks_since_boot()
        moved = await door.mover().move(identity(forker), target, 0)
        known = {*door.hierarchy.pids(target), *(one.pid for one in moved.escaped)}
        born: set[ProcessId] = set()
        while len(born) < 5:  # the forker goes on
            born = {one.identity for one in _of(session) if one.identity.start_ticks > began}
        known.update(door.hierarchy.pids(target))
        # A child in the middle may have ended before the cgroup was read.
        lasting = born & {one.identity for one in _of(session)}
        assert lasting
        assert {one.pid for one in lasting} - known == set()
    finally:
        # A session of its own: whoever is in it is of this test.
        while left := _of(session):
            for one in left:
                _kill(one.identity)


def _of(session: int) -> list[Stat]:
    return [one for one in born_between(1, 0) if one.session == session]


def _kill(process: ProcessId) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(process.pid)
        stat = read_stat(process.pid)
        if stat is not None and stat.identity == process:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 10)
        os.close(pidfd)


async def test_somebody_elses_descendant_keeps_all_where_they_are(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """One descendant with another effective uid, and nobody is moved."""
    root = processes.start()
    other, _ = processes.run_python(
        "import os, sys; os.seteuid(4321); print(0, flush=True); sys.stdin.read()"
    )
    target = cgroups.make()
    with pytest.raises(EnforceError, match="0, 4321, 0") as refusal:
        await door.mover().move(identity(other), target, 0)
    assert refusal.value.refused
    assert door.rounds == []
    await door.mover().move(identity(root), target, 0)
    assert door.hierarchy.pids(target) == (root,)


async def test_a_recycled_pid_is_not_moved(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """A pid that is another process's by now is refused."""
    process = identity(processes.start())
    earlier = ProcessId(process.pid, process.start_ticks - 1)
    with pytest.raises(EnforceError, match="has ended"):
        await door.mover().move(earlier, cgroups.make(), 0)
    assert door.rounds == []


async def test_a_process_that_ends_while_it_is_moved_takes_all_back(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """When the named process ends in between, its descendants go back and it is said."""
    root = processes.start()
    child = processes.fork(root)
    source, target = cgroups.make(), cgroups.make()
    door.hierarchy.enter(source, [root, child])
    door.ends = os.pidfd_open(root)
    with pytest.raises(EnforceError, match="has ended"):
        await door.mover().move(identity(root), target, 0)
    os.close(door.ends)
    assert door.rounds == [(root, child)]
    assert door.hierarchy.where(child) == source
    assert door.hierarchy.pids(target) == ()


async def test_one_that_cannot_go_back_keeps_no_other(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """Whose cgroup has gone with its last process stays; all others go back all the same."""
    root = processes.start()
    first, second = (processes.fork(root) for _ in range(2))
    source, alone, target = cgroups.make(), cgroups.make(), cgroups.make()
    door.hierarchy.enter(source, [root, second])
    door.hierarchy.enter(alone, [first])
    door.ends, door.vacated = os.pidfd_open(root), alone
    with pytest.raises(EnforceError, match="has ended"):
        await door.mover().move(identity(root), target, 0)
    os.close(door.ends)
    assert door.hierarchy.where(second) == source
    assert door.hierarchy.pids(target) == (first,)


async def test_a_cgroup_that_is_gone_is_said(
    cgroups: RealCgroups, processes: RealProcesses, door: Door
) -> None:
    """Moving into a cgroup that was removed fails in one line and leaves no descriptor open."""
    process, target = processes.start(), cgroups.make()
    before, where = descriptors(), door.hierarchy.where(process)
    cgroups.remove(target)
    with pytest.raises(EnforceError, match="cannot be moved"):
        await door.mover().move(identity(process), target, 0)
    assert door.hierarchy.where(process) == where
    assert descriptors() <= before


def test_a_newborn_with_a_name_that_is_no_text(processes: RealProcesses) -> None:
    """Whatever a process calls itself, looking for those that fled goes on: else anybody could
    keep all others from coming under their leases.
    """
    pid, _ = processes.run_python(
        "import sys; open('/proc/self/comm', 'wb').write(b'\\xff\\xfe\\r'); print(0, flush=True);"
        " sys.stdin.read()"
    )
    assert pid in [one.identity.pid for one in born_between(pid, pid)]
