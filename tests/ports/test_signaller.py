"""The signaller, fake and real: a signal reaches exactly the process that is meant."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.adapters.signals import PidfdSignaller
from gpusched.core.ids import ProcessId
from gpusched.ports import Signaller
from tests.descriptors import descriptors
from tests.fakes.processes import FakeProcessTable
from tests.fakes.signaller import FakeSignaller
from tests.ports.real_processes import RealProcesses
from tests.ports.worlds import FakeWorld, RealWorld, World


class Signalled(Protocol):
    """A world, and who signals in it."""

    world: World
    signaller: Signaller


class Fake:
    """Processes in memory."""

    def __init__(self) -> None:
        self.world: World = FakeWorld()
        assert isinstance(self.world.table, FakeProcessTable)
        self.signaller: Signaller = FakeSignaller(self.world.table)


class Real:
    """Shells of this host."""

    def __init__(self, processes: RealProcesses) -> None:
        self.world: World = RealWorld(processes)
        self.signaller: Signaller = PidfdSignaller(self.world.table.identify)


@pytest.fixture(params=["fake", "real"])
def place(request: pytest.FixtureRequest) -> Iterator[Signalled]:
    if request.param == "fake":
        yield Fake()
        return
    with RealProcesses() as processes:
        yield Real(processes)


def test_a_signal_arrives(place: Signalled) -> None:
    """One that is there is signalled, and SIGKILL ends it."""
    process, other = place.world.start(), place.world.start()
    assert place.signaller.send(process, signal.SIGKILL)
    if not isinstance(place, Fake):
        pidfd = os.pidfd_open(process.pid)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        os.close(pidfd)
    standing = place.world.table.standing
    assert standing(process) is None
    assert standing(other) is not None


def test_one_that_is_gone(place: Signalled) -> None:
    """A process that has ended is no failure."""
    process = place.world.start()
    gone = ProcessId(process.pid, process.start_ticks)
    if isinstance(place, Fake):
        place.world.end(process)
    else:
        gone = ProcessId(_unused_pid(), 1)
    assert not place.signaller.send(gone, signal.SIGTERM)


def test_the_next_owner_of_a_pid_is_left_alone(place: Signalled) -> None:
    """Whoever has the pid now, and is not the one that was meant, gets no signal."""
    process = place.world.start()
    meant = ProcessId(process.pid, process.start_ticks - 1)
    assert not place.signaller.send(meant, signal.SIGKILL)
    assert place.world.table.standing(process) is not None


def test_one_that_ends_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends after it was identified is no failure either."""

    def gone(_descriptor: int, _number: int) -> None:
        raise ProcessLookupError

    table = ProcfsProcessTable()
    itself = table.identify(os.getpid())
    assert itself is not None
    monkeypatch.setattr(signal, "pidfd_send_signal", gone)
    assert not PidfdSignaller(table.identify).send(itself, signal.SIGTERM)


def test_one_that_may_not_be_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel refuses is told, and no descriptor is left."""

    def refused(_descriptor: int, _number: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    table = ProcfsProcessTable()
    itself = table.identify(os.getpid())
    assert itself is not None
    monkeypatch.setattr(signal, "pidfd_send_signal", refused)
    before = descriptors()
    with pytest.raises(PermissionError):
        PidfdSignaller(table.identify).send(itself, signal.SIGTERM)
    assert descriptors() <= before


def test_the_fake_can_fail_like_the_real_one() -> None:
    """A test can let the next signal fail, and only the next."""
    table = FakeProcessTable()
    signaller, process = FakeSignaller(table), table.start()
    signaller.failure = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    with pytest.raises(PermissionError):
        signaller.send(process, signal.SIGTERM)
    assert signaller.send(process, signal.SIGTERM)
    assert signaller.sent == [(process, signal.SIGTERM)]


def _unused_pid() -> int:
    """Give a pid that nobody has: above the last one that the kernel gives."""
    return int(Path("/proc/sys/kernel/pid_max").read_text())
