"""The process table, fake and real: identities, facts and the members of leases."""

import os
import threading
from collections.abc import Iterator

import psutil
import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.ports import Watched
from tests.ports.real_processes import LEASE, OTHER, RealProcesses
from tests.ports.worlds import UID, FakeWorld, RealWorld, World


@pytest.fixture
def processes() -> Iterator[RealProcesses]:
    with RealProcesses() as made:
        yield made


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, processes: RealProcesses) -> World:
    return FakeWorld() if request.param == "fake" else RealWorld(processes)


def watched(*roots: ProcessId, lease: LeaseId = LEASE, uid: int = UID) -> Watched:
    return Watched(lease, uid, roots)


def wait_for_zombie(pid: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        pause.wait(0.005)
    pytest.fail(f"process {pid} did not become a zombie")


def test_identity_stays_while_the_process_lives(world: World) -> None:
    """A living process has one identity, an ended one has none."""
    process = world.start()
    assert world.table.identify(process.pid) == process
    world.end(process)
    assert world.table.identify(process.pid) is None


def test_uids_belong_to_the_process_meant(world: World) -> None:
    """Uids are given for the identity, not for whoever has the pid now."""
    process = world.start()
    earlier = ProcessId(process.pid, process.start_ticks - 1)
    assert world.table.uids(process) == (UID, UID, UID)
    assert world.table.uids(earlier) is None
    world.end(process)
    assert world.table.uids(process) is None


def test_facts_describe_a_process(world: World) -> None:
    """Facts give identity, uid, name, claim, and the ancestors nearest first."""
    parent = world.start(claims=LEASE)
    child = world.fork(parent, claims=OTHER)
    facts = world.table.facts([parent.pid, child.pid])
    assert facts.keys() == {parent.pid, child.pid}
    assert facts[child.pid].identity == child
    assert (facts[child.pid].uid, facts[child.pid].name) == (UID, "sh")
    assert facts[child.pid].command.startswith("sh ")
    assert facts[child.pid].ancestors[0] == parent
    assert facts[child.pid].ancestors[1:] == facts[parent.pid].ancestors
    assert (facts[parent.pid].claims_lease, facts[child.pid].claims_lease) == (LEASE, OTHER)


def test_facts_leave_out_the_ended(world: World) -> None:
    """A process that is gone is left out and hides no other."""
    gone, there = world.start(), world.start()
    world.end(gone)
    facts = world.table.facts([gone.pid, there.pid])
    assert facts.keys() == {there.pid}
    assert facts[there.pid].claims_lease is None


def test_nothing_watched_finds_nothing(world: World) -> None:
    """Without a watched lease there are no members."""
    world.start(claims=LEASE)
    assert world.table.members([]) == {}


def test_root_and_descendants_are_members(world: World) -> None:
    """A root, its children and their children belong to the lease; its parent does not."""
    outside = world.start()
    root = world.fork(outside)
    child = world.fork(root)
    grandchild = world.fork(child)
    stranger = world.start()
    found = world.table.members([watched(root)])
    assert found == {LEASE: frozenset({root, child, grandchild})}
    assert stranger not in found[LEASE]


def test_each_lease_has_its_own_members(world: World) -> None:
    """One pass tells the members of several leases apart, and names a lease without any."""
    one, two = world.start(), world.start()
    empty = LeaseId(f"{LEASE}-without-any")
    found = world.table.members(
        [watched(one), watched(two, lease=OTHER), watched(lease=empty)],
    )
    assert found == {LEASE: {one}, OTHER: {two}, empty: frozenset()}


def test_orphan_seen_before_stays_a_member(world: World) -> None:
    """A member's child stays a member when its parent has ended and init has adopted it."""
    root = world.start()
    child = world.fork(root)
    world.table.members([watched(root)])
    world.end(root)
    assert world.table.members([watched(root)]) == {LEASE: {child}}


def test_orphan_never_seen_is_found_by_its_sign(world: World) -> None:
    """A process that outlived a parent never seen is found by the lease's id it carries."""
    root = world.start()
    world.table.members([watched(root)])
    child = world.fork(root)
    orphan = world.fork(child, claims=LEASE)
    world.end(child)
    world.end(root)
    assert world.table.members([watched(root)]) == {LEASE: {orphan}}


def test_sign_counts_at_the_first_look(world: World) -> None:
    """A new daemon finds the processes that carry a lease's id, and their descendants."""
    marked = world.start(claims=LEASE)
    child = world.fork(marked)
    assert world.table.members([watched()]) == {LEASE: {marked, child}}


def test_sign_counts_for_a_process_started_later(world: World) -> None:
    """A process that starts with a lease's id between two looks belongs to the lease."""
    assert world.table.members([watched()]) == {LEASE: frozenset()}
    marked = world.start(claims=LEASE)
    assert world.table.members([watched()]) == {LEASE: {marked}}


def test_sign_of_another_user_or_lease_does_not_count(world: World) -> None:
    """A lease's id carried by another user's process, or another lease's id, is no sign."""
    world.start(claims=LEASE)
    found = world.table.members([watched(uid=UID + 1), watched(lease=OTHER)])
    assert found == {LEASE: frozenset(), OTHER: frozenset()}


def test_ended_process_is_no_member(world: World) -> None:
    """A lease whose last process has ended has no members."""
    root = world.start(claims=LEASE)
    world.table.members([watched(root)])
    world.end(root)
    assert world.table.members([watched(root)]) == {LEASE: frozenset()}


def test_later_owner_of_a_pid_is_no_member(world: World) -> None:
    """A process with a root's pid but another start time is somebody else."""
    process = world.start()
    earlier = ProcessId(process.pid, process.start_ticks - 1)
    assert world.table.members([watched(earlier)]) == {LEASE: frozenset()}


def test_unwatched_lease_is_forgotten(world: World) -> None:
    """What was known of a lease goes when it is no longer watched."""
    root = world.start()
    child = world.fork(root)
    world.table.members([watched(root)])
    world.end(root)
    world.table.members([watched(lease=OTHER)])
    assert world.table.members([watched(root)]) == {LEASE: frozenset()}
    assert world.table.identify(child.pid) == child


def test_real_start_time_is_the_kernels() -> None:
    """The start time is in the kernel's ticks since boot, as psutil's seconds confirm."""
    identity = ProcfsProcessTable().identify(os.getpid())
    assert identity is not None
    since_boot = psutil.Process().create_time() - psutil.boot_time()
    assert abs(identity.start_ticks / os.sysconf("SC_CLK_TCK") - since_boot) < 2


def test_sign_taken_on_later_counts_when_a_member_ends(processes: RealProcesses) -> None:
    """A process that took on a lease's id after the first look is found when a member ends."""
    table = ProcfsProcessTable()
    root, late = table.identify(processes.start()), table.identify(processes.start())
    assert root is not None
    assert late is not None
    assert table.members([watched(root)]) == {LEASE: {root}}
    processes.become(late.pid, LEASE)
    processes.end(root.pid)
    assert table.members([watched(root)]) == {LEASE: {late}}


def test_thread_is_no_process(processes: RealProcesses) -> None:
    """The id of a thread has no identity, though /proc knows it."""
    pid, thread = processes.run_python(
        "import threading; one = threading.Timer(60, print); one.start(); "
        "print(one.native_id, flush=True)"
    )
    assert thread != pid
    assert ProcfsProcessTable().identify(thread) is None


def test_zombie_is_described_but_no_member(processes: RealProcesses) -> None:
    """A process that has ended and is not reaped keeps its identity and belongs to no lease."""
    table = ProcfsProcessTable()
    pid = processes.start()
    process = table.identify(pid)
    assert process is not None
    processes.end(pid, reap=False)
    assert table.members([watched(process)]) == {LEASE: frozenset()}
    assert table.identify(pid) == process
    facts = table.facts([pid])[pid]
    assert (facts.identity, facts.name, facts.command) == (process, "sh", "")


def test_process_without_its_first_thread_lives(processes: RealProcesses) -> None:
    """A process whose first thread has ended, which shows as a zombie, is a member still."""
    source = (
        "import ctypes, threading; threading.Timer(60, print).start(); "
        "print(threading.get_native_id(), flush=True); ctypes.CDLL(None).pthread_exit(None)"
    )
    pid, _ = processes.run_python(source)
    wait_for_zombie(pid)
    process = ProcfsProcessTable().identify(pid)
    assert process is not None
    assert ProcfsProcessTable().members([watched(process)]) == {LEASE: {process}}


def test_name_with_parentheses_is_read_whole(processes: RealProcesses) -> None:
    """A name made to look like the end of its field misleads nobody."""
    name = ") R 1 (x"
    source = f"print(open('/proc/self/comm', 'w').write({name!r}), flush=True); input()"
    pid, _ = processes.run_python(source)
    facts = ProcfsProcessTable().facts([pid])[pid]
    assert facts.name == name
    assert facts.ancestors[0].pid == os.getpid()


def test_command_line_that_is_no_text_can_be_sent_on(processes: RealProcesses) -> None:
    """Bytes of a command line that are no UTF-8 become replacement characters."""
    pid, _ = processes.run_python("print(1, flush=True); input()", b"caf\xe9")
    command = ProcfsProcessTable().facts([pid])[pid].command
    assert command.endswith(" caf\N{REPLACEMENT CHARACTER}")
    assert command.encode()


@pytest.mark.parametrize("pid", [-1, 0, 2**30])
def test_number_that_is_no_pid_has_no_process(pid: int) -> None:
    """What cannot be a pid has no identity and no facts."""
    assert ProcfsProcessTable().identify(pid) is None
    assert ProcfsProcessTable().facts([pid]) == {}


def test_failed_look_is_an_error_not_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no descriptor is left the table says so instead of calling processes gone."""

    def no_descriptor_left(_path: str, _flags: int) -> int:
        raise OSError(24, "Too many open files")

    table = ProcfsProcessTable()
    process = table.identify(os.getpid())
    assert process is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", no_descriptor_left)
        with pytest.raises(OSError, match="Too many open files"):
            table.members([watched(process)])
    assert process in table.members([watched(process)])[LEASE]


def test_nothing_watched_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a watched lease the process table is not read."""
    table = ProcfsProcessTable()
    monkeypatch.setattr(psutil, "pids", _fail)
    assert table.members([]) == {}


def _fail() -> list[int]:
    raise AssertionError("the process table was read")
