"""Specification: what the kernel tells of trees, cgroups and open devices is read right."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from gpusched.adapters.procfs import Hierarchy, ProcfsProcessTable
from gpusched.adapters.procfs.facts import user_name
from gpusched.adapters.procfs.tree import standing_of
from gpusched.core.ids import ProcessId
from gpusched.ports import Member, TooMany, Watched
from tests.ports.cgroup_worlds import RealCgroups
from tests.ports.real_processes import LEASE, RealProcesses

WAIT = "print(1, flush=True); input()"


def identity(pid: int) -> ProcessId:
    process = ProcfsProcessTable().identify(pid)
    assert process is not None
    return process


def test_a_kernel_that_lists_no_children(processes: RealProcesses) -> None:
    """The tree is the same where every process must be asked for its parent."""
    root = processes.start()
    processes.fork(processes.fork(root))
    processes.fork(root)
    hierarchy = Hierarchy.here()
    found = [standing_of(identity(root), hierarchy, lists_children=way) for way in (True, False)]
    first, second = found
    assert first is not None
    assert second is not None
    assert len(first.tree) == 4
    assert first.tree[0] == second.tree[0]
    assert set(first.tree) == set(second.tree)
    # Which takes as long as the host has processes.
    with pytest.raises(TooMany):
        standing_of(identity(root), hierarchy, lists_children=False, most=1000)


def test_children_of_every_thread(table: ProcfsProcessTable, processes: RealProcesses) -> None:
    """A child that another thread than the first has started is in the tree."""
    source = (
        "import subprocess, threading\n"
        "def work():\n"
        "    with subprocess.Popen(['cat']) as child:\n"  # ends with the input that it shares
        "        print(child.pid, flush=True)\n"
        "threading.Thread(target=work).start()"
    )
    pid, child = processes.run_python(source)
    standing = table.standing(identity(pid))
    assert standing is not None
    assert [one.process.pid for one in standing.tree] == [pid, child]


def test_who_started_the_daemon_does_not_take_it_along(
    table: ProcfsProcessTable, processes: RealProcesses
) -> None:
    """A lease of the process that started the daemon has neither the daemon nor what it starts."""
    starter, child = identity(os.getppid()), processes.start()
    members = table.members([Watched(LEASE, os.getuid(), (starter,))])[LEASE]
    assert starter in members
    assert not {identity(os.getpid()), identity(child)} & members
    assert starter not in table.facts([child])[child].ancestors


@pytest.mark.root
def test_all_three_uids(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """Real, effective and saved uid are told apart, by every way of asking."""
    source = f"import os; os.setresuid(1001, 1002, 1003); {WAIT}"
    process = identity(processes.run_python(source)[0])
    cgroups.enter(process, cgroup := cgroups.make())
    uids = (1001, 1002, 1003)
    assert table.uids(process) == uids
    assert table.population(cgroup).tree == (Member(process, uids),)
    standing = table.standing(process)
    assert standing is not None
    assert standing.tree == (Member(process, uids),)


@pytest.mark.root
def test_zombie_of_a_removed_cgroup(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A process that has ended is in no cgroup's population; its facts name the one it was in."""
    process = identity(processes.start())
    cgroups.enter(process, cgroup := cgroups.make())
    processes.end(process.pid, reap=False)
    assert table.population(cgroup).tree == ()
    cgroups.remove(cgroup)
    assert table.facts([process.pid])[process.pid].cgroup == cgroup
    assert table.standing(process) is None


@pytest.mark.root
def test_threaded_cgroup_below(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A cgroup below that holds threads only hides none of the processes above it."""
    process = identity(processes.start())
    cgroups.enter(process, cgroup := cgroups.make())
    below = cgroups.make(cgroup)
    (cgroups.folder(below) / "cgroup.type").write_text("threaded")
    (cgroups.folder(below) / "cgroup.threads").write_text(str(process.pid))
    assert table.members([Watched(LEASE, 0, (), cgroup)]) == {LEASE: {process}}


@pytest.mark.root
def test_many_processes_in_one_cgroup(
    table: ProcfsProcessTable, cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A list that is longer than a page is read to its end."""
    folder = cgroups.folder(cgroup := cgroups.make())
    source = (
        "import os\n"
        f"print(0, file=open({str(folder / 'cgroup.procs')!r}, 'w'), flush=True)\n"
        "for _ in range(900):\n"
        "    os.fork() or os._exit(len(os.read(0, 1)))\n"
        "print(1, flush=True); input()"
    )
    pid, _ = processes.run_python(source)
    try:
        standing = table.standing(identity(pid))
        assert standing is not None
        assert len(standing.tree) == 901
        assert set(standing.tree) == set(table.population(cgroup).tree)
    finally:
        (folder / "cgroup.kill").write_text("1")


def test_open_nodes(table: ProcfsProcessTable, processes: RealProcesses, tmp_path: Path) -> None:
    """Character devices are told with their numbers, each once; files and pipes are not."""
    (tmp_path / "file").touch()
    source = f"a = [open(p) for p in ('/dev/zero', '/dev/zero', {str(tmp_path / 'file')!r})]"
    process = identity(processes.run_python(f"{source}; {WAIT}")[0])
    found = [one for one in table.open_nodes([process]) if one.path == "/dev/zero"]
    assert [(one.process, one.major, one.minor) for one in found] == [(process, 1, 5)]
    assert not [one for one in table.open_nodes([process]) if not one.path.startswith("/dev/")]


@pytest.mark.root
def test_node_under_another_name(
    table: ProcfsProcessTable, processes: RealProcesses, tmp_path: Path
) -> None:
    """A device is found by what it is, whatever its node is called and though it was removed."""
    node = tmp_path / "caf\udce9.so"
    if os.statvfs(tmp_path).f_flag & os.ST_NODEV:
        pytest.skip(f"{tmp_path} is mounted without devices")
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    process = identity(processes.run_python(f"a = open({os.fsencode(node)!r}); {WAIT}")[0])
    node.unlink()
    (found,) = [one for one in table.open_nodes([process]) if one.path.startswith(str(tmp_path))]
    assert found.path == f"{tmp_path}/caf\N{REPLACEMENT CHARACTER}.so (deleted)"
    assert (found.major, found.minor) == (1, 7)


def test_open_nodes_of_the_gone(table: ProcfsProcessTable, processes: RealProcesses) -> None:
    """A process that is gone, or was never the one with its pid, hides no other's devices."""
    gone = identity(processes.start())
    there = identity(processes.run_python(f"a = open('/dev/zero'); {WAIT}")[0])
    processes.end(gone.pid)
    earlier = ProcessId(there.pid, there.start_ticks - 1)
    assert {one.process for one in table.open_nodes([gone, earlier, there])} == {there}


def test_the_user_has_a_name(
    table: ProcfsProcessTable, processes: RealProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for once; a uid without a name is known by its number."""
    process = identity(processes.run_python(WAIT)[0])
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert table.facts([process.pid])[process.pid].user == user
    nameless: dict[int, pwd.struct_passwd] = {}
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: nameless[uid])
    assert user_name(os.geteuid()) == user
    assert user_name(2**32 - 5) == ""


@pytest.mark.root
def test_cgroups_deeper_than_a_path_can_say(table: ProcfsProcessTable) -> None:
    """What a user makes of his part of the tree keeps nobody from finding his own containers: a
    cgroup that cannot be listed is left out, and all others are given.
    """
    name = "d" * 250
    with RealCgroups() as cgroups:
        top, beside = cgroups.make(), cgroups.make()
        opened = [os.open(cgroups.folder(top), os.O_DIRECTORY)]
        try:
            for _ in range(20):
                os.mkdir(name, dir_fd=opened[-1])
                opened.append(os.open(name, os.O_DIRECTORY, dir_fd=opened[-1]))
            found = [*table.cgroups()]
            assert {top, f"{top}/{name}", beside} <= {*found}
            inner = [one for one in found if one.startswith(f"{top}/")]
            assert 10 < len(inner) < 20
        finally:
            for one in reversed(opened[:-1]):
                os.rmdir(name, dir_fd=one)
            for one in opened:
                os.close(one)


def test_a_name_that_a_terminal_would_obey(
    table: ProcfsProcessTable, processes: RealProcesses
) -> None:
    """A process chooses its own name, and everybody is told of it who finds a device used: what
    would move his cursor is `?`.
    """
    pid, _ = processes.run_python(
        "import sys; open('/proc/self/comm', 'wb').write(b'\\x1b[2Jgone\\xc2\\x9b'); print(0,"
        " flush=True); sys.stdin.read()"
    )
    assert table.facts([pid])[pid].name == "?[2Jgone?"
