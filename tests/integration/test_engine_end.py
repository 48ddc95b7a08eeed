"""How the engine ends: a failed commit stops everything, a close loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from gpusched.core.replies import Granted
from gpusched.core.sample import NodeSample
from gpusched.ports import Batch, Stopping, StoreError
from tests.fakes.builders import UNREADABLE
from tests.fakes.clock import FakeClock
from tests.fakes.engine_bench import EngineBench, allocation, attachment
from tests.fakes.waiting import standstill

FULL = StoreError("the disk is full; make room")
UNREAD = NodeSample(FakeClock().now().instant, UNREADABLE)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[EngineBench]:
    made = EngineBench()
    yield made
    made.store.gate.set()
    with suppress(Stopping):
        await made.engine.close()


async def test_failed_commit_stops_everything(bench: EngineBench) -> None:
    """After a failed commit everybody who waits is told why, and nothing is done any more."""
    await bench.engine.submit(allocation("a"))
    bench.store.gate.clear()
    flying = bench.task(bench.engine.submit(attachment("a")))
    await standstill()
    waiting = [flying, bench.ask("b"), bench.task(bench.engine.news())]
    await standstill()
    waiting.append(bench.task(bench.engine.durable()))
    bench.store.broken = FULL
    bench.store.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [Stopping] * 4
    assert {str(one) for one in answers} == {str(FULL)}
    assert bench.performed == []
    assert await bench.engine.failed == str(FULL)
    assert set(bench.store.disk.leases) == {"lease-a"}


async def test_nothing_goes_on_after_a_failed_commit(bench: EngineBench) -> None:
    """After a failed commit nothing is decided, even if the store would work again."""
    bench.store.broken = FULL
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.submit(allocation("a"))
    bench.store.broken = None
    generation = bench.engine.ledger.generation
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.submit(allocation("b"))
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.durable()
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.news()
    bench.engine.touch()
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.close()
    assert bench.engine.ledger.generation == generation
    assert bench.store.batches == []


async def test_defect_of_the_store_stops_too(
    bench: EngineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in a way nobody foresaw ends the daemon as well, and is named."""

    def commit(_: Batch) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(bench.store, "commit", commit)
    with pytest.raises(Stopping):
        await bench.engine.submit(allocation("a"))
    assert await bench.engine.failed == "commit failed: ZeroDivisionError('oh')"


async def test_failure_that_nobody_waits_for_is_noticed(bench: EngineBench) -> None:
    """A failed commit ends the daemon also when every client has gone."""
    asked = await bench.hold()
    asked.cancel()
    bench.store.broken = FULL
    bench.store.gate.set()
    assert await bench.engine.failed == str(FULL)


async def test_close_makes_durable_what_was_decided(
    bench: EngineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits for everything that was decided, and for what is decided meanwhile."""
    commit = bench.store.commit

    def one_at_a_time(batch: Batch) -> None:
        commit(batch)
        bench.store.gate.clear()

    monkeypatch.setattr(bench.store, "commit", one_at_a_time)
    first = await bench.hold()
    closing = bench.task(bench.engine.close())
    await standstill()
    late = bench.ask("late")
    await standstill()
    assert not closing.done()
    bench.store.gate.set()
    assert isinstance(await first, Granted)
    await standstill()
    assert not closing.done()
    bench.store.gate.set()
    await closing
    assert set(bench.store.disk.leases) == {"lease-first", "lease-late"}
    assert isinstance(await late, Granted)


async def test_closed_engine_refuses(bench: EngineBench) -> None:
    """After the close everything is refused, watchers are told, nothing is written."""
    watching = bench.task(bench.engine.news())
    await standstill()
    await bench.engine.close()
    await bench.engine.close()
    with pytest.raises(Stopping, match="the daemon is stopping"):
        await watching
    with pytest.raises(Stopping, match="the daemon is stopping"):
        await bench.engine.submit(allocation("a"))
    bench.engine.touch()
    await standstill()
    assert bench.store.batches == []
    assert not bench.engine.failed.done()


async def test_close_says_that_the_last_commit_failed(bench: EngineBench) -> None:
    """A commit that fails on the way out is no orderly end."""
    first = await bench.hold()
    closing = bench.task(bench.engine.close())
    await standstill()
    bench.store.broken = FULL
    bench.store.gate.set()
    with pytest.raises(Stopping, match="the disk is full"):
        await closing
    with pytest.raises(Stopping, match="the disk is full"):
        await first
    with pytest.raises(Stopping, match="the disk is full"):
        await bench.engine.submit(allocation("b"))
    assert await bench.engine.failed == str(FULL)


async def test_cancelled_close_starts_no_further_commit(bench: EngineBench) -> None:
    """A close that is cut short leaves what is on its way, and begins nothing more."""
    first = await bench.hold()
    second = bench.ask("second")
    closing = bench.task(bench.engine.close())
    await standstill()
    closing.cancel()
    await standstill()
    bench.store.gate.set()
    assert isinstance(await first, Granted)
    with pytest.raises(Stopping):
        await second
    assert set(bench.store.disk.leases) == {"lease-first"}


def test_commit_that_outlives_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A commit that returns when the loop has gone is kept, and nobody stumbles over it."""

    async def leave() -> EngineBench:
        made = EngineBench()
        made.store.gate.clear()
        made.engine.touch()
        await standstill()
        return made

    bench = asyncio.run(leave())
    bench.store.gate.set()
    bench.engine._committer._writer.shutdown(wait=True)
    assert len(bench.store.batches) == 1
    assert caplog.records == []
