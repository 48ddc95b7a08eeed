"""Where a commit runs: in the loop while that is quick, in the writer thread when it is not."""

import asyncio
import threading

import pytest

from gpusched.core.ids import BootId, Instant
from gpusched.daemon.committer import MAINTAIN_EVERY, QUICK, Committer
from gpusched.ports import Batch, Stored, StoreError
from tests.fakes.clock import FakeClock

MAIN = threading.main_thread()


class SlowStore:
    """A store that takes as long as the test says, and remembers who came."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.takes = 0
        self.fault: Exception | None = None
        self.in_loop: list[bool] = []
        self.maintained: list[int] = []

    def load(self, boot_id: BootId) -> Stored:
        return Stored(boot_id=boot_id)

    def commit(self, batch: Batch) -> None:
        self.in_loop.append(threading.current_thread() is MAIN)
        if batch.maintain:
            self.maintained.append(len(self.in_loop))
        self.clock.advance(self.takes)
        if self.fault is not None:
            raise self.fault

    def close(self) -> None:
        """Nothing is open."""


class Bench:
    """A committer over a slow store."""

    def __init__(self) -> None:
        self.store = SlowStore(FakeClock())
        self.landed: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.committer = Committer(self.store, self.store.clock, self.landed.put_nowait)

    async def commit(self) -> BaseException | None:
        """Commit one batch and wait until it has landed."""
        self.committer.commit(Batch((), 0, Instant(0)))
        async with asyncio.timeout(10):
            return await self.landed.get()


async def test_quick_commits_stay_in_the_loop() -> None:
    """While commits are quick, each has landed when it was asked for."""
    bench = Bench()
    bench.store.takes = QUICK - 1
    for _ in range(3):
        bench.committer.commit(Batch((), 0, Instant(0)))
        assert bench.landed.get_nowait() is None
    assert bench.store.in_loop == [True, True, True]
    bench.committer.close()


async def test_slow_commits_leave_the_loop_and_come_back() -> None:
    """After a slow commit the next runs in the writer thread, until one is quick again."""
    bench = Bench()
    for takes in (QUICK, 4 * QUICK, 0, 0):
        bench.store.takes = takes
        assert await bench.commit() is None
    assert bench.store.in_loop == [True, False, False, True]
    bench.committer.close()


async def test_maintenance_is_for_the_thread() -> None:
    """One commit in so many maintains the store: in the thread, and its time does not count."""
    bench = Bench()
    for number in range(1, MAINTAIN_EVERY + 2):
        bench.store.takes = 4 * QUICK if number == MAINTAIN_EVERY else 0
        assert await bench.commit() is None
    assert bench.store.maintained == [MAINTAIN_EVERY]
    assert bench.store.in_loop.index(False) == MAINTAIN_EVERY - 1
    assert bench.store.in_loop[-1]
    bench.committer.close()


@pytest.mark.parametrize("takes", [0, QUICK])
async def test_a_failure_is_told(takes: int) -> None:
    """Why a batch was not written is told in the loop, wherever it was tried."""
    bench = Bench()
    bench.store.takes = takes
    assert await bench.commit() is None
    bench.store.fault = StoreError("the disk is full")
    assert await bench.commit() is bench.store.fault
    assert bench.store.in_loop == [True, takes == 0]
    bench.committer.close()
