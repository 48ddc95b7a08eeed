"""Specification: the guard keeps processes without a lease away, and ends when it is told to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.cgroup.guard import CgroupGuard, infrastructure_folders
from gpusched.adapters.cgroup.programs import Programs
from gpusched.bootstrap.guard_off import take_off
from gpusched.ports import GuardState
from tests.fakes.device_world import MAJOR, Opener, cgroup, make_nodes, mask_allowing
from tests.fakes.guarded_host import ALL, ELSEWHERE, OTHERS, Host, guarded_host, names_at
from tests.integration.test_mask_swaps import busy

pytestmark = pytest.mark.root

REPLACEMENTS = 1000

_FIRST_DAEMON = """
import sys
from pathlib import Path
from gpusched.adapters.cgroup.guard import CgroupGuard
from gpusched.core.mask import Governed, NodeRange
top, major, *inodes = sys.argv[1:]
guard = CgroupGuard(Path(top), Path("/elsewhere"))
guard.on(Governed((NodeRange(int(major), 0, 253),)), map(int, inodes))
print("on", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def host() -> Iterator[Host]:
    """Three cgroups."""
    with guarded_host() as made:
        yield made


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A governed device node."""
    return make_nodes(tmp_path, 1)[0]


@pytest.fixture
def guard(host: Host) -> Iterator[CgroupGuard]:
    """The guard of a daemon that is outside of the host."""
    made = CgroupGuard(host.top, ELSEWHERE)
    yield made
    made.close()


@pytest.fixture
def lease(host: Host) -> Iterator[Opener]:
    """A process of the lease."""
    with Opener(host.lease) as opener:
        yield opener


@pytest.fixture
def stranger(host: Host) -> Iterator[Opener]:
    """A process without a lease."""
    with Opener(host.nobodys) as opener:
        yield opener


def kill_a_daemon(host: Host) -> None:
    """Switches the guard on in another process, and ends that with SIGKILL."""
    words = [str(host.top), str(MAJOR), str(host.inode)]
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", _FIRST_DAEMON, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "on\n"
        first.kill()


def test_only_leases_open(
    guard: CgroupGuard, host: Host, node: Path, lease: Opener, stranger: Opener
) -> None:
    """Who has no lease is denied, and counted; a lease opens, and so do the cgroups in it."""
    assert guard.status() == GuardState(on=False)
    guard.on(ALL, [host.inode])
    assert [lease.tries(verb, node) for verb in ("read", "write")] == ["ENXIO", "ENXIO"]
    assert [stranger.tries(verb, node) for verb in ("read", "write")] == ["EPERM", "EPERM"]
    with cgroup(host.lease) as inner, Opener(inner) as child:
        assert child.tries("read", node) == "ENXIO"
    with cgroup(host.nobodys) as inner, Opener(inner) as child:
        assert child.tries("read", node) == "EPERM"
    with Opener(host.top) as at_the_top:
        assert at_the_top.tries("read", node) == "EPERM"
    assert guard.status() == GuardState(on=True, denied=4)


def test_nothing_else_changes(
    guard: CgroupGuard, host: Host, node: Path, stranger: Opener
) -> None:
    """Whoever has no lease opens what is not governed and may make nodes, which he cannot open."""
    guard.on(OTHERS, [])
    assert stranger.tries("write", Path("/dev/null")) == "ok"
    assert stranger.tries("read", node.parent / "absent") == "ENOENT"
    assert stranger.tries("mknod", node) == "ok"
    assert stranger.tries("read", node.parent / "node0.copy") == "EPERM"
    with Opener(host.top.parent) as outside:
        assert outside.tries("read", node) == "ENXIO"


def test_leases_come_and_go(guard: CgroupGuard, host: Host, node: Path, lease: Opener) -> None:
    """A lease is admitted from the moment it is named to the moment it is dismissed."""
    guard.on(ALL, [])
    assert lease.tries("read", node) == "EPERM"
    guard.admit(host.inode)
    guard.admit(host.inode)
    assert lease.tries("read", node) == "ENXIO"
    guard.on(ALL, [])
    assert lease.tries("read", node) == "ENXIO"
    guard.dismiss(host.inode)
    guard.dismiss(host.inode)
    assert lease.tries("read", node) == "EPERM"


def test_leases_named_before(guard: CgroupGuard, host: Host, node: Path, lease: Opener) -> None:
    """A lease that was named while the guard was off is admitted when it is switched on."""
    guard.admit(host.inode)
    assert names_at(host.top) == []
    guard.on(ALL, [])
    assert lease.tries("read", node) == "ENXIO"


def test_off(guard: CgroupGuard, host: Host, node: Path, stranger: Opener) -> None:
    """Off denies nothing, twice is once, and the count begins anew with the next on."""
    guard.on(ALL, [])
    assert stranger.tries("read", node, times=3) == "EPERM"
    guard.off()
    guard.off()
    assert stranger.tries("read", node) == "ENXIO"
    assert names_at(host.top) == []
    guard.on(ALL, [])
    assert guard.status() == GuardState(on=True, denied=0)


def test_off_without_a_daemon(host: Host, node: Path, stranger: Opener) -> None:
    """The guard of a killed daemon denies until it is taken off, which no daemon is needed for."""
    kill_a_daemon(host)
    assert stranger.tries("read", node) == "EPERM"
    assert take_off(host.top) == (host.top,)
    assert stranger.tries("read", node) == "ENXIO"
    assert take_off(host.top) == ()


def test_off_looks_two_levels_down(host: Host) -> None:
    """The guard is found up to two levels below, where a container's daemon may have put it."""
    with cgroup(host.lease) as second, cgroup(second) as third:
        for folder in (host.lease, second, third):
            CgroupGuard(folder, ELSEWHERE).on(ALL, [])
        assert set(take_off(host.top)) == {host.lease, second}
        assert names_at(third) == ["gs_guard"]


def test_restart(
    guard: CgroupGuard, host: Host, node: Path, lease: Opener, stranger: Opener
) -> None:
    """A daemon finds the guard of a killed one on, with its leases and its count."""
    kill_a_daemon(host)
    assert [lease.tries("read", node), stranger.tries("read", node)] == ["ENXIO", "EPERM"]
    assert guard.status() == GuardState(on=True, denied=1)
    guard.admit(host.nobodys.stat().st_ino)
    assert stranger.tries("read", node) == "ENXIO"
    guard.dismiss(host.nobodys.stat().st_ino)
    guard.on(ALL, [])
    assert [lease.tries("read", node), stranger.tries("read", node)] == ["EPERM", "EPERM"]
    assert guard.status() == GuardState(on=True, denied=3)
    assert names_at(host.top) == ["gs_guard"]


def test_replaced_without_a_gap(guard: CgroupGuard, host: Host, node: Path) -> None:
    """While what is governed changes, no denied open succeeds and no lease's is refused."""
    guard.on(ALL, [host.inode])
    with busy(host.nobodys, node, node) as stranger, busy(host.lease, node, node) as lease:
        for turn in range(REPLACEMENTS):
            guard.on(OTHERS if turn % 2 else ALL, [host.inode])
        denied, leaked, *_ = map(int, stranger.communicate()[0].split())
        wrong, _, allowed, refused_to_lease = map(int, lease.communicate()[0].split())
    assert (leaked, wrong, refused_to_lease) == (0, 0, 0)
    assert min(denied, allowed) > REPLACEMENTS, "the openers were not busy"
    counted = guard.status().denied
    assert counted == 2 * denied


def test_programs_of_others(guard: CgroupGuard, host: Host, node: Path, lease: Opener) -> None:
    """Other programs on the same cgroup stay, and narrow what the guard lets through."""
    programs = Programs()
    programs.apply(host.top, mask_allowing(1))
    programs.close()
    before = names_at(host.top)
    guard.on(ALL, [host.inode])
    assert lease.tries("read", node) == "EPERM"
    assert guard.status().denied == 0
    guard.on(OTHERS, [host.inode])
    assert sorted(names_at(host.top)) == sorted([*before, "gs_guard"])
    guard.off()
    assert names_at(host.top) == before


def test_own_and_infrastructure(host: Host, node: Path, stranger: Opener) -> None:
    """The daemon's own cgroup is admitted, and a service also after it was started again."""
    with cgroup(host.top) as service:
        guard = CgroupGuard(host.top, host.nobodys, [service, host.top, host.top / "absent"])
        guard.on(ALL, [])
        service.rmdir()
        service.mkdir()
        with Opener(service) as started, Opener(host.lease) as other:
            assert started.tries("read", node) == "EPERM"
            guard.renew()
            guard.dismiss(service.stat().st_ino)
            assert started.tries("read", node) == "ENXIO"
            assert stranger.tries("read", node) == "ENXIO"
            assert other.tries("read", node) == "EPERM"
        guard.close()


def test_infrastructure_by_name() -> None:
    """An operator names units of the system, or cgroups by their path."""
    found = infrastructure_folders(Path("/cg"), ["dcgm.service", "/gpu.slice", "/a/b/"])
    assert found == (
        Path("/cg/system.slice/dcgm.service"),
        Path("/cg/gpu.slice"),
        Path("/cg/a/b"),
    )
