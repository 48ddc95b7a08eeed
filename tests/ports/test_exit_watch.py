"""The exit watch, fake and real: the end of a process is heard at once, and only its end."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator

import pytest

from gpusched.adapters.exits import PidfdExitWatch
from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.core.ids import ProcessId
from tests.descriptors import descriptors
from tests.fakes.processes import FakeProcessTable
from tests.ports.real_processes import RealProcesses
from tests.ports.worlds import FakeWorld, RealWorld, World

SECONDS = 5


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    with RealProcesses() as processes:
        yield RealWorld(processes)


class Ear:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.count = 0
        self._heard = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._heard.set()

    async def hear(self) -> None:
        await asyncio.wait_for(self._heard.wait(), SECONDS)


async def rounds() -> None:
    """Let the event loop do all that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_end_of_a_child_is_heard_once(world: World) -> None:
    """Whoever watches a process hears of its end, once, and of nothing before."""

    async def case() -> None:
        process, ear = world.start(), Ear()
        world.exits.watch(process, ear)
        await rounds()
        assert ear.count == 0
        world.end(process)
        await ear.hear()
        await rounds()
        assert ear.count == 1
        world.exits.close()

    asyncio.run(case())


def test_end_of_somebody_elses_child_is_heard(world: World) -> None:
    """A process need not be a child of the daemon, nor be reaped."""

    async def case() -> None:
        parent = world.start()
        process, ear = world.fork(parent), Ear()
        world.exits.watch(process, ear)
        world.end(process)
        await ear.hear()
        world.exits.close()

    asyncio.run(case())


def test_end_of_one_says_nothing_of_another(world: World) -> None:
    """The end of a process is told to its watchers, all of them, and to nobody else."""

    async def case() -> None:
        one, other = world.start(), world.start()
        first, second, quiet = Ear(), Ear(), Ear()
        world.exits.watch(one, first)
        world.exits.watch(one, second)
        world.exits.watch(other, quiet)
        world.end(one)
        await first.hear()
        await second.hear()
        await rounds()
        assert quiet.count == 0
        world.exits.close()

    asyncio.run(case())


def test_process_already_ended_is_told_after_watch(world: World) -> None:
    """The end of a process that is gone is told in the event loop, never inside `watch`."""

    async def case() -> None:
        process, ear = world.start(), Ear()
        world.end(process)
        world.exits.watch(process, ear)
        assert ear.count == 0
        await ear.hear()
        world.exits.close()

    asyncio.run(case())


def test_later_owner_of_the_pid_is_not_watched(world: World) -> None:
    """A process whose pid somebody else has now has ended."""

    async def case() -> None:
        process, ear = world.start(), Ear()
        world.exits.watch(ProcessId(process.pid, process.start_ticks - 1), ear)
        await ear.hear()
        world.exits.close()

    asyncio.run(case())


def test_closed_watch_tells_nothing(world: World) -> None:
    """After close nothing is told, not even what had happened; closing twice is no fault."""

    async def case() -> None:
        living, ended, ear = world.start(), world.start(), Ear()
        world.exits.watch(living, ear)
        world.end(ended)
        world.exits.watch(ended, ear)
        world.exits.close()
        world.exits.close()
        world.end(living)
        await rounds()
        assert ear.count == 0

    asyncio.run(case())


@pytest.mark.parametrize("closed", [False, True])
def test_watching_many_leaks_no_descriptor(*, closed: bool) -> None:
    """After 200 watched processes have ended, or were forgotten, no descriptor is left."""

    async def case(children: list[subprocess.Popen[bytes]]) -> None:
        table = ProcfsProcessTable()
        exits = PidfdExitWatch(table.identify)
        before = descriptors()
        ears = [Ear() for _ in children]
        for child, ear in zip(children, ears, strict=True):
            process = table.identify(child.pid)
            assert process is not None
            exits.watch(process, ear)
        assert descriptors() == before + len(children)
        if closed:
            exits.close()
        for child in children:
            child.kill()
        if not closed:
            await asyncio.gather(*(ear.hear() for ear in ears))
        assert descriptors() <= before

    # cat ends with its standard input, so none outlives this test.
    children = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(200)]  # noqa: S607 -- any cat will do
    try:
        asyncio.run(case(children))
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_no_descriptor_left_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be watched is not said to have ended: the caller hears why."""

    def no_descriptor_left(_pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def case() -> None:
        table, ear = ProcfsProcessTable(), Ear()
        process = table.identify(os.getpid())
        assert process is not None
        monkeypatch.setattr(os, "pidfd_open", no_descriptor_left)
        with pytest.raises(OSError, match=f"process {os.getpid()} cannot be watched") as raised:
            PidfdExitWatch(table.identify).watch(process, ear)
        assert raised.value.errno == errno.EMFILE
        await rounds()
        assert ear.count == 0

    asyncio.run(case())


def test_failed_identification_leaks_no_descriptor() -> None:
    """When the process cannot be identified the error goes on and the descriptor does not stay."""

    def no_descriptor_left(_pid: int) -> ProcessId | None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def case() -> None:
        before = descriptors()
        with pytest.raises(OSError, match="Too many open files"):
            PidfdExitWatch(no_descriptor_left).watch(ProcessId(os.getpid(), 1), Ear())
        assert descriptors() <= before

    asyncio.run(case())


def test_fake_can_fail_like_the_real_one() -> None:
    """A test can let the next watch fail, and only the next."""

    async def case() -> None:
        world = FakeWorld()
        process, ear = world.start(), Ear()
        world.exits.failure = OSError(errno.EMFILE, "no descriptor left")
        with pytest.raises(OSError, match="no descriptor left"):
            world.exits.watch(process, ear)
        world.exits.watch(process, ear)
        assert world.exits.watched == {process}

    asyncio.run(case())


def test_fake_gives_a_pid_again() -> None:
    """The fake's later owner of a pid is another process, and a living one keeps its pid."""
    table = FakeProcessTable()
    first = table.start()
    with pytest.raises(ValueError, match="is taken"):
        table.start(pid=first.pid)
    table.end(first)
    second = table.start(pid=first.pid)
    assert second.pid == first.pid
    assert second != first
