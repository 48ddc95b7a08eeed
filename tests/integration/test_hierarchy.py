"""The cgroup2 hierarchy: found or mounted, read, emptied, killed and removed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.adapters.cgroup.home import FolderHome
from gpusched.adapters.cgroup.mounting import find_root
from gpusched.core.ids import LeaseId
from gpusched.ports import EnforceError
from tests.ports.cgroup_worlds import RealCgroups
from tests.ports.real_processes import RealProcesses

LINE = "31 24 0:27 {root} {point} {options} shared:9 - cgroup2 cgroup2 rw\n"


@pytest.fixture
def cgroups() -> Iterator[RealCgroups]:
    with RealCgroups() as made:
        yield made


@pytest.fixture
def processes(cgroups: RealCgroups) -> Iterator[RealProcesses]:  # noqa: ARG001 -- they end before their cgroups
    with RealProcesses() as started:
        yield started


def line(point: Path, root: str = "/", options: str = "rw,relatime") -> str:
    escaped = str(point).replace(" ", r"\040")
    return LINE.format(root=root, point=escaped, options=options)


def mounted(point: Path) -> Path:
    """A folder that looks like a mounted hierarchy."""
    point.mkdir()
    (point / "cgroup.procs").touch()
    return point


def ended(pid: int) -> bool:
    """Wait until the child *pid* has ended, and reap it."""
    return os.waitpid(pid, 0)[0] == pid


def test_a_whole_and_writable_mount_is_found(tmp_path: Path) -> None:
    """The hierarchy is where it is mounted whole and writable, blanks in the name included."""
    place = mounted(tmp_path / "a cgroup")
    assert find_root("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + line(place)) == place


@pytest.mark.parametrize(("root", "options"), [("/user.slice", "rw"), ("/", "ro,nosuid")])
def test_a_mount_that_does_not_serve_is_passed_over(
    tmp_path: Path, root: str, options: str
) -> None:
    """A part of the hierarchy, or one that cannot be written, is not taken."""
    place = mounted(tmp_path / "cgroup")
    assert find_root(line(place, root, options)) is None


def test_a_covered_mount_is_passed_over(tmp_path: Path) -> None:
    """A mount over which another was mounted shows no cgroups and is not taken."""
    (tmp_path / "covered").mkdir()
    place = mounted(tmp_path / "other")
    assert find_root(line(place) + line(tmp_path / "covered")) == place
    assert find_root(line(tmp_path / "covered")) is None


@pytest.mark.root
def test_a_host_without_a_mount_gets_one_of_the_daemons_own(tmp_path: Path) -> None:
    """Where cgroup2 is mounted nowhere the daemon mounts it in a folder of its own."""
    program = (
        "import sys; from pathlib import Path\n"
        "from gpusched.adapters.cgroup import mounting\n"
        "mounting.find_root = lambda mounts: None\n"
        "found = mounting.open_hierarchy(Path(sys.argv[1]))\n"
        "print((found.root / 'cgroup.procs').exists())\n"
    )
    # In a mount namespace of its own: nothing of it is left on the host.
    command = ["unshare", "-m", sys.executable, "-c", program, str(tmp_path / "own")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- our words
    assert done.stdout == "True\n"
    assert not (tmp_path / "own" / "cgroup.procs").exists()


@pytest.mark.parametrize("path", ["/../elsewhere", "no-slash", "/a/../../b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    """A cgroup outside of what the daemon sees is refused in one sentence."""
    with pytest.raises(EnforceError, match="namespace"):
        Hierarchy(tmp_path).folder(path)


def test_what_lies_in_what() -> None:
    """A cgroup lies in itself and in those above it, not in one whose name begins alike."""
    assert lies_in("/a", "/a")
    assert lies_in("/a/b", "/a")
    assert lies_in("/a", "/")
    assert not lies_in("/ab", "/a")
    assert not lies_in("/", "/a")
    assert not lies_in(None, "/")


@pytest.mark.root
@pytest.mark.parametrize("way", ["kill", "kill_frozen"])
def test_killing_leaves_nobody(cgroups: RealCgroups, way: str) -> None:
    """Every process of a cgroup and of those below is ended, also one that ignores SIGTERM."""
    path = cgroups.make()
    inner = cgroups.make(path)
    hierarchy = Hierarchy(cgroups.mount)
    command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"]
    shells = [subprocess.Popen(command) for _ in range(2)]  # noqa: S603 -- our words
    for shell, place in zip(shells, (path, inner), strict=True):
        hierarchy.enter(place, [shell.pid])
    getattr(hierarchy, way)(path)
    assert [shell.wait(10) for shell in shells] == [-signal.SIGKILL] * 2
    pause = threading.Event()
    while hierarchy.populated(path):
        pause.wait(0.001)
    hierarchy.remove(path)
    assert hierarchy.identity(path) is None


@pytest.mark.root
def test_a_signal_reaches_those_inside_only(
    cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """A signal goes to the processes of the cgroup and of those below it, to nobody else."""
    path, outside = cgroups.make(), processes.start()
    hierarchy = Hierarchy(cgroups.mount)
    inside = processes.start()
    hierarchy.enter(cgroups.make(path), [inside])
    hierarchy.send(path, signal.SIGTERM)
    processes.end(inside)
    assert hierarchy.where(outside) == "/" or not lies_in(hierarchy.where(outside), path)
    assert Path(f"/proc/{outside}/stat").read_text().split()[2] in "SR"


@pytest.mark.root
def test_a_frozen_or_threaded_cgroup_is_said(
    cgroups: RealCgroups, processes: RealProcesses
) -> None:
    """What nothing can be done with is said in a sentence: frozen, threaded, gone."""
    path = cgroups.make()
    inner = cgroups.make(path)
    hierarchy = Hierarchy(cgroups.mount)
    assert hierarchy.obstacle(path) is None
    (hierarchy.folder(inner) / "cgroup.type").write_text("threaded")
    assert "threaded" in (hierarchy.obstacle(inner) or "")
    other = cgroups.make()
    hierarchy.enter(other, [processes.start()])
    (hierarchy.folder(other) / "cgroup.freeze").write_text("1")
    pause = threading.Event()
    while (reason := hierarchy.obstacle(other)) is None:
        pause.wait(0.001)
    assert "thaw it" in reason
    assert "gone" in (hierarchy.obstacle("/no-such-cgroup") or "")


@pytest.mark.root
def test_a_used_cgroup_is_not_removed(cgroups: RealCgroups, processes: RealProcesses) -> None:
    """Removing a cgroup with a process is refused; a gone one is no error."""
    path = cgroups.make()
    hierarchy = Hierarchy(cgroups.mount)
    hierarchy.enter(path, [processes.start()])
    with pytest.raises(EnforceError, match="in the way"):
        hierarchy.remove(path)
    hierarchy.remove("/no-such-cgroup")


@pytest.mark.root
async def test_a_home_makes_what_is_empty(cgroups: RealCgroups, processes: RealProcesses) -> None:
    """A home lists what it made, makes it twice as once, and refuses one with processes."""
    hierarchy, place = Hierarchy(cgroups.mount), cgroups.make()
    with ThreadPoolExecutor(1) as threads:
        home = FolderHome(hierarchy, threads, place.lstrip("/"))
        path = await home.make(LeaseId("lease-a"), 0)
        assert await home.make(LeaseId("lease-a"), 0) == path == f"{place}/lease-a"
        assert await home.all() == (path,)
        assert home.made(f"{path}/inner")
        assert not home.made(place)
        await home.enter(path, [processes.start()])
        with pytest.raises(EnforceError, match="has processes already"):
            await home.make(LeaseId("lease-a"), 0)
        with pytest.raises(EnforceError, match="not made by gpusched"):
            await home.remove("/")
        await asyncio.to_thread(hierarchy.empty_into, path, "/")
        await home.remove(path)
        assert await home.all() == ()


def test_a_cgroup_whose_name_is_no_text(cgroups: RealCgroups, processes: RealProcesses) -> None:
    """A name with a carriage return is not cut off there, so that a process is never taken for
    one of a cgroup beside its own; one that is no text is no defect.
    """
    tree, own = Hierarchy(cgroups.mount), cgroups.make()
    pid = processes.start()
    for name in (b"a\r0::b", b"\xff", b"a\x0b"):
        inner = os.fsencode(tree.folder(own)) + b"/" + name
        os.mkdir(inner)  # noqa: PTH102 - bytes that are no text stay what they are
        Path(os.fsdecode(inner), "cgroup.procs").write_text(str(pid))
        assert tree.where(pid) == f"{own}/{name.decode(errors='replace')}"
        tree.enter(own, [pid])
        os.rmdir(inner)  # noqa: PTH106 - as above


def test_mounts_at_names_that_are_no_text(tmp_path: Path) -> None:
    """A mount of somebody else, at whatever name, does not keep the hierarchy from being found."""
    place = mounted(tmp_path / "cgroup")
    strange = "40 24 0:50 / /home/eve/\ufffd\x85\x0c rw shared:9 - fuse.eve eve rw\n"
    assert find_root(line(place) + strange) == place
