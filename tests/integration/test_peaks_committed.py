"""How often the peaks of leases are committed: a sample a second must not be a commit a second."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest_asyncio

from gpusched.core.events import AllocateRequested, AttachRequested
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import Lease
from gpusched.core.request import Request
from gpusched.core.sizes import GIB, MIB
from gpusched.daemon.poller import Poller
from gpusched.daemon.ticker import ALIVE_INTERVAL, Ticker
from gpusched.ports import Stopping
from tests.fakes.builders import ADA, A, context, device, reading, sample
from tests.fakes.daemon import LONG
from tests.fakes.engine_bench import EngineBench, leases_of
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.service_manager import FakeServiceManager

MINE = LeaseId("lease-1")


class Bench(EngineBench):
    """A daemon's inside with one lease, whose worker is on the first device."""

    def __init__(self) -> None:
        super().__init__()
        self.table = FakeProcessTable()
        self.worker = self.table.start(uid=ADA.uid)
        self.sampler = FakeSampler()
        poller = Poller(self.sampler, self.table, self.clock)
        self.ticker = Ticker(poller, self.clock, FakeServiceManager(), LONG, tuple)

    async def begin(self) -> None:
        """Grant the lease, and let the worker in."""
        await self.hold_memory(0)
        await self.engine.submit(AllocateRequested(ADA, Request(A, memory=20 * GIB), MINE))
        standing = self.table.standing(self.worker)
        assert standing is not None
        await self.engine.submit(AttachRequested(ADA, MINE, self.worker, standing))

    async def hold_memory(self, memory: int, seconds: int = 0) -> int:
        """Let the worker hold so much, and a tick see it; give how often its lease was written."""
        before = len(self.store.batches)
        self.clock.advance(seconds * SECOND)
        rows = (context(self.worker.pid, memory),) if memory else ()
        self.sampler.reading = sample(reading(device(), *rows), at=self.clock.now()).reading
        await self.ticker.tick(self.engine)
        await self.engine.durable()
        return sum(MINE in leases_of(one) for one in self.store.batches[before:])

    def kept(self) -> Lease:
        """The lease as the store has it."""
        return self.store.disk.leases[MINE]

    async def end(self) -> None:
        with suppress(Stopping):
            await self.engine.close()


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.begin()
    yield made
    await made.end()


async def test_an_idle_daemon_commits_no_more_for_its_leases(bench: Bench) -> None:
    """While nothing rises there is only the commit that says that the daemon lives."""
    assert await bench.hold_memory(4 * GIB) == 1
    before = len(bench.store.batches)
    rounds = 60
    for _ in range(rounds):
        assert await bench.hold_memory(4 * GIB, 1) == 0
    assert len(bench.store.batches) - before <= rounds * SECOND // ALIVE_INTERVAL + 1


async def test_a_worker_that_grows_slowly_is_written_every_ten_seconds(bench: Bench) -> None:
    """A MiB a second for a minute are six commits, and the store is never ten seconds behind."""
    await bench.hold_memory(16 * GIB)
    writes = 0
    for turn in range(1, 61):
        writes += await bench.hold_memory(16 * GIB + turn * MIB, 1)
        behind = 16 * GIB + turn * MIB - (bench.kept().peak or 0)
        assert behind <= 10 * MIB
    assert writes <= 6


async def test_a_worker_that_grows_fast_is_written_by_steps(bench: Bench) -> None:
    """What is lost by a crash is less than a sixteenth of the peak."""
    writes = 0
    sizes = range(GIB, 20 * GIB, 32 * MIB)
    for memory in sizes:
        writes += await bench.hold_memory(memory)
        assert memory - (bench.kept().peak or 0) <= (bench.kept().peak or 0) // 16
    assert writes < 60 < len(sizes)


async def test_what_is_written_is_the_share_s_peak_too(bench: Bench) -> None:
    """The row in the store has the peak on each device."""
    await bench.hold_memory(3 * GIB)
    assert [one.peak for one in bench.kept().shares] == [3 * GIB]
