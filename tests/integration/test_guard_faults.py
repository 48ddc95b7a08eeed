"""Specification: a guard that cannot be had is one sentence, and is not half on."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.bpf_call import Command
from gpusched.adapters.cgroup.guard import CgroupGuard
from gpusched.adapters.cgroup.guard_program import NAME, encode
from gpusched.ports import EnforceError, GuardState
from tests.fakes.device_world import Opener, make_nodes
from tests.fakes.guarded_host import ALL, ELSEWHERE, OTHERS, Host, guarded_host, names_at
from tests.fakes.refusing_kernel import refused

pytestmark = pytest.mark.root

MOST = 16384


@pytest.fixture
def host() -> Iterator[Host]:
    """Three cgroups."""
    with guarded_host() as made:
        yield made


@pytest.fixture
def guard(host: Host) -> Iterator[CgroupGuard]:
    """The guard of a daemon that is outside of the host."""
    made = CgroupGuard(host.top, ELSEWHERE)
    yield made
    made.close()


@pytest.fixture
def stranger(host: Host) -> Iterator[Opener]:
    """A process without a lease."""
    with Opener(host.nobodys) as opener:
        yield opener


def test_never_against_the_daemon(host: Host) -> None:
    """A daemon that would lose the devices itself refuses, and says what to do."""
    with pytest.raises(EnforceError, match="start it as a service or in a cgroup of its own"):
        CgroupGuard(host.top, host.top).on(ALL, [])
    assert names_at(host.top) == []


def test_no_such_cgroup(host: Host) -> None:
    """A top that is not there is named; asked whether the guard is on, it is off."""
    guard = CgroupGuard(host.top / "absent", ELSEWHERE)
    guard.admit(host.inode)
    guard.dismiss(host.inode)
    guard.renew()
    assert guard.status() == GuardState(on=False)
    with pytest.raises(
        EnforceError, match=r"switched on: \S+/absent: No such file or directory; "
    ):
        guard.on(ALL, [])


def test_no_room(guard: CgroupGuard, host: Host) -> None:
    """A lease that finds no room is refused in words, and those before it stay admitted."""
    guard.on(ALL, range(1, MOST + 1))
    with pytest.raises(EnforceError, match="lets 16384 cgroups through, no more fit"):
        guard.admit(host.inode)
    assert guard.status() == GuardState(on=True, denied=0)
    guard.dismiss(1)
    guard.admit(host.inode)


@pytest.mark.parametrize("command", [Command.PROGRAM_LOAD, Command.ATTACH, Command.MAP_CREATE])
def test_a_refusal_is_a_sentence(guard: CgroupGuard, host: Host, command: Command) -> None:
    """What the kernel refuses is one line, and a guard that is not on is not half on."""
    error = refused(command, errno.EINVAL, lambda: guard.on(ALL, []))
    assert isinstance(error, EnforceError)
    assert str(error).startswith("the guard cannot be switched on: the kernel refused to ")
    assert ("the guard needs Linux 6.1" in str(error)) == (command is Command.PROGRAM_LOAD)
    assert "\n" not in str(error)
    assert names_at(host.top) == []


@pytest.mark.parametrize("command", [Command.PROGRAM_LOAD, Command.ATTACH])
def test_a_refused_change_changes_nothing(
    guard: CgroupGuard, host: Host, command: Command
) -> None:
    """A guard that is on stays on, with its count, where its replacement is refused."""
    guard.on(ALL, [host.inode])
    assert isinstance(refused(command, errno.EINVAL, lambda: guard.on(OTHERS, [])), EnforceError)
    assert names_at(host.top) == ["gs_guard"]
    assert guard.status() == GuardState(on=True, denied=0)


def test_off_that_cannot_detach(
    guard: CgroupGuard, host: Host, tmp_path: Path, stranger: Opener
) -> None:
    """A guard that the kernel does not let go denies nothing any more, and can be put on again."""
    node = make_nodes(tmp_path, 1)[0]
    guard.on(ALL, [])
    error = refused(Command.DETACH, errno.EPERM, guard.off)
    assert str(error).startswith("the guard cannot be switched off: the kernel refused to detach")
    assert names_at(host.top) == ["gs_guard"]
    assert guard.status() == GuardState(on=False, denied=0)
    assert stranger.tries("read", node) == "ENXIO"
    guard.on(ALL, [])
    assert stranger.tries("read", node) == "EPERM"
    assert guard.status() == GuardState(on=True, denied=1)


def test_never_twice(guard: CgroupGuard, host: Host) -> None:
    """Where there are several guards, as of two daemons that raced, the next on leaves one."""
    for _ in range(2):
        descriptor, program = os.open(host.top, os.O_RDONLY), bpf.load_program(encode((), 0), NAME)
        bpf.attach(descriptor, program)
        os.close(program)
        os.close(descriptor)
    assert guard.status() == GuardState(on=True, denied=None)
    guard.on(ALL, [])
    assert names_at(host.top) == ["gs_guard"]
    assert guard.status() == GuardState(on=True, denied=0)
