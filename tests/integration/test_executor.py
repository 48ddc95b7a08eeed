"""What is done once a decision is durable: exits are watched, samples are taken at once."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest_asyncio
from structlog.testing import capture_logs

from gpusched.core.actions import ReleaseDriver, ResumeDriver, TakeSample, WatchExit
from gpusched.daemon.executor import Executor
from gpusched.daemon.kernel import Kernel
from gpusched.daemon.poller import Poller
from gpusched.daemon.ticker import Ticker
from gpusched.daemon.waiting_room import WaitingRoom
from tests.fakes.daemon import LONG, READABLE
from tests.fakes.enforcer import FakeEnforcer
from tests.fakes.engine_bench import EngineBench
from tests.fakes.exits import FakeExitWatch
from tests.fakes.guard import FakeGuard
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.service_manager import FakeServiceManager
from tests.fakes.signaller import FakeSignaller
from tests.fakes.waiting import standstill


class Bench:
    """An executor whose ticker runs, and ticks by itself once an hour."""

    def __init__(self) -> None:
        self.engine = EngineBench()
        self.table = FakeProcessTable()
        self.exits = FakeExitWatch(self.table)
        self.sampler = FakeSampler(READABLE)
        poller = Poller(self.sampler, self.table, self.engine.clock)
        clock, enforcer = self.engine.clock, FakeEnforcer(self.table, self.engine.clock)
        signaller = FakeSignaller(self.table)
        kernel = Kernel(enforcer, FakeGuard(), signaller, self.table, clock)
        self.ticker = Ticker(poller, clock, FakeServiceManager(), LONG, kernel.denied)
        self.executor = Executor(self.ticker, self.exits, kernel, self.sampler, WaitingRoom())


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    ticking = made.engine.task(made.ticker.run(made.engine.engine))
    await standstill()
    yield made
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    await made.engine.engine.close()


async def test_take_sample(bench: Bench) -> None:
    """A sample that is asked for is taken at once."""
    bench.executor.perform(TakeSample())
    assert bench.sampler.calls == 0
    await standstill()
    assert bench.sampler.calls == 1


async def test_exit_is_looked_at_at_once(bench: Bench) -> None:
    """The end of a watched process leads to a sample at once, and its life to none."""
    process = bench.table.start()
    bench.executor.perform(WatchExit(process))
    await standstill()
    assert bench.sampler.calls == 0
    bench.table.end(process)
    await standstill()
    assert bench.sampler.calls == 1


async def test_process_that_has_ended_already(bench: Bench) -> None:
    """A process that ended before it was watched leads to a sample as well."""
    process = bench.table.start()
    bench.table.end(process)
    bench.executor.perform(WatchExit(process))
    await standstill()
    assert bench.sampler.calls == 1


async def test_exit_that_cannot_be_watched(bench: Bench) -> None:
    """An exit that cannot be watched is logged; the next tick finds it anyway."""
    process = bench.table.start()
    bench.exits.failure = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with capture_logs() as logs:
        bench.executor.perform(WatchExit(process))
    assert [(one["event"], one["pid"], one["reason"]) for one in logs] == [
        ("exit is not watched", process.pid, "Too many open files")
    ]
    await standstill()
    assert bench.sampler.calls == 0


async def test_the_driver_is_let_go_and_taken_up(bench: Bench) -> None:
    """The sampler is told, at once."""
    bench.executor.perform(ReleaseDriver())
    assert bench.sampler.released
    bench.executor.perform(ResumeDriver())
    assert not bench.sampler.released
