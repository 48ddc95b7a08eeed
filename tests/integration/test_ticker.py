"""When samples are taken, who may wait for one, and who hears that the daemon lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND
from gpusched.core.sample import NodeReading, Reading
from gpusched.daemon.poller import Poller
from gpusched.daemon.ticker import Ticker
from gpusched.ports import DeniedOpen, Stopping, StoreError
from tests.fakes.builders import UNREADABLE
from tests.fakes.daemon import LONG, READABLE
from tests.fakes.engine_bench import EngineBench, allocation
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.service_manager import FakeServiceManager
from tests.fakes.waiting import standstill, until


class Bench(EngineBench):
    """An engine and its ticker, which ticks by itself once an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.sampler = FakeSampler(READABLE)
        self.manager = FakeServiceManager()
        poller = Poller(self.sampler, FakeProcessTable(), self.clock)
        self.denied: list[DeniedOpen] = []
        self.ticker = Ticker(poller, self.clock, self.manager, LONG, lambda: tuple(self.denied))
        self.ticking = self.task(asyncio.sleep(0))

    async def run(self) -> None:
        """Begin to tick."""
        self.ticking = self.task(self.ticker.run(self.engine))
        await standstill()

    async def refreshing(self) -> asyncio.Task[object]:
        """Somebody who waits for a sample."""
        made = self.task(self.ticker.refresh())
        await standstill()
        return made

    async def answer(self) -> None:
        """Let the sample in progress, and no later one, be read."""
        self.sampler.answering.set()
        self.sampler.answering.clear()
        await standstill()

    async def end(self) -> None:
        self.ticking.cancel()
        with suppress(asyncio.CancelledError, ZeroDivisionError):
            await self.ticking
        self.store.gate.set()
        with suppress(Stopping):
            await self.engine.close()


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    # The first look tells the process table that nothing is watched, in a thread; done here.
    await made.ticker.tick(made.engine)
    await made.engine.durable()
    made.sampler.calls = 0
    yield made
    await made.end()


async def test_ticks_at_intervals(bench: Bench) -> None:
    """A sample is taken at each interval, without anybody asking."""
    bench.ticker.interval = 0.001
    await bench.run()
    await until(lambda: bench.sampler.calls >= 3)


async def test_first_tick_waits_for_its_interval(bench: Bench) -> None:
    """Between intervals nothing is read."""
    await bench.run()
    assert bench.sampler.calls == 0


async def test_wake(bench: Bench) -> None:
    """Woken, it takes one sample at once, however often it was woken."""
    await bench.run()
    bench.ticker.wake()
    bench.ticker.wake()
    await standstill()
    assert bench.sampler.calls == 1


async def test_wake_during_a_sample_is_not_lost(bench: Bench) -> None:
    """What ends while a sample is taken is looked at by another one."""
    bench.sampler.answering.clear()
    await bench.run()
    bench.ticker.wake()
    await standstill()
    bench.ticker.wake()
    await bench.answer()
    assert bench.sampler.calls == 2


async def test_callers_share_a_sample(bench: Bench) -> None:
    """Who asks before a sample begins shares it with all others who did."""
    await bench.run()
    await asyncio.gather(*(bench.ticker.refresh() for _ in range(5)))
    await standstill()
    assert bench.sampler.calls == 1


async def test_sample_in_progress_is_too_old(bench: Bench) -> None:
    """Who asks while a sample is taken waits for the next one, and shares that."""
    bench.sampler.answering.clear()
    await bench.run()
    early = await bench.refreshing()
    late = [await bench.refreshing(), await bench.refreshing()]
    assert bench.sampler.calls == 1
    await bench.answer()
    assert early.done()
    assert not any(one.done() for one in late)
    assert bench.sampler.calls == 2
    await bench.answer()
    await asyncio.gather(early, *late)
    assert bench.sampler.calls == 2


async def test_refresh_is_decided_and_durable(bench: Bench) -> None:
    """Who asked for a sample hears when what follows from it is durable."""
    await bench.run()
    bench.store.gate.clear()
    granting = bench.ask("a")
    asked = await bench.refreshing()
    assert bench.sampler.calls == 1
    assert not asked.done()
    bench.store.gate.set()
    await asyncio.gather(granting, asked)


async def test_denied_opens_are_decided_on(bench: Bench) -> None:
    """What the kernel denied since the last tick goes into the next one."""
    bench.denied = [DeniedOpen(50, 7, 195, 1, count=3)]
    await bench.ticker.tick(bench.engine)
    ticked = bench.events[-1]
    assert isinstance(ticked, Ticked)
    assert ticked.denied == tuple(bench.denied)


async def test_caller_who_leaves_takes_nobody_along(bench: Bench) -> None:
    """A caller who is cancelled does not keep the others from their sample."""
    bench.sampler.answering.clear()
    await bench.run()
    leaving, staying = (bench.task(bench.ticker.refresh()) for _ in range(2))
    await standstill()
    leaving.cancel()
    await bench.answer()
    await staying
    assert leaving.cancelled()
    assert bench.sampler.calls == 1


async def test_watchdog_hears_of_each_tick(bench: Bench) -> None:
    """The service manager is told that the loop goes round: once per tick, after the decision."""
    await bench.run()
    before = len(bench.manager.states)
    for _ in range(3):
        await bench.ticker.refresh()
        await standstill()
    assert bench.manager.states[before:] == ["WATCHDOG=1"] * 3


async def test_stuck_tick_is_no_sign_of_life(bench: Bench) -> None:
    """While a commit hangs the service manager hears nothing, so that it can act."""
    await bench.run()
    before = len(bench.manager.states)
    bench.store.gate.clear()
    granting, asked = bench.ask("a"), await bench.refreshing()
    assert bench.manager.states[before:] == []
    bench.store.gate.set()
    await asyncio.gather(granting, asked)


async def test_store_hears_every_ten_seconds(bench: Bench) -> None:
    """That the daemon is alive is written every ten seconds, and not at every tick."""
    await bench.run()
    bench.clock.advance(10 * SECOND)
    written = len(bench.store.batches)
    for expected in (1, 1, 1, 2):
        await bench.ticker.refresh()
        await standstill()
        await bench.engine.durable()
        assert len(bench.store.batches) - written == expected
        bench.clock.advance(4 * SECOND)
    last = bench.store.batches[-1]
    assert last.changes == ()
    assert last.alive_at == bench.clock.now().instant - 4 * SECOND


async def test_reasons_are_said_once(bench: Bench) -> None:
    """That devices are not read is logged when the reason changes, and once when it is over."""
    other = type(UNREADABLE)("the driver hangs")
    with capture_logs() as logs:
        for given in (READABLE, UNREADABLE, UNREADABLE, other, READABLE, READABLE):
            bench.sampler.reading = given
            await bench.ticker.tick(bench.engine)
    assert [(one["log_level"], one["event"], one.get("reason")) for one in logs] == [
        ("warning", "devices are not read", "no permission"),
        ("warning", "devices are not read", "the driver hangs"),
        ("info", "devices are read again", None),
    ]


async def test_ticking_ends_with_the_engine(bench: Bench) -> None:
    """When a commit fails ticking ends, and who waits for a sample, or asks later, is told why."""
    bench.sampler.answering.clear()
    await bench.run()
    waiting = [await bench.refreshing(), await bench.refreshing()]
    bench.store.broken = StoreError("the disk is full")
    with pytest.raises(Stopping):
        await bench.engine.submit(allocation("a"))
    bench.sampler.answering.set()
    await bench.ticking
    waiting.append(await bench.refreshing())
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(one), str(one)) for one in answers] == [(Stopping, "the disk is full")] * 3


@pytest.mark.parametrize("moment", ["before a sample", "during a sample"])
async def test_nobody_waits_for_ever(bench: Bench, moment: str) -> None:
    """When ticking is ended from outside, whoever waits for a sample is told."""
    bench.sampler.answering.clear()
    if moment == "during a sample":
        await bench.run()
    waiting = await bench.refreshing()
    bench.ticking.cancel()
    await standstill()
    await bench.ticker.close()
    with pytest.raises(Stopping, match="the daemon is stopping"):
        await waiting
    assert bench.sampler.closed


async def test_defect_ends_the_ticking(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in a tick is not swallowed, and leaves nobody waiting."""

    async def sample() -> Reading[NodeReading]:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.sampler, "sample", sample)
    await bench.run()
    with pytest.raises(Stopping, match="the daemon is stopping"):
        await (await bench.refreshing())
    with pytest.raises(ZeroDivisionError):
        await bench.ticking
