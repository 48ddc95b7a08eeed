"""Nothing is told or done before it is durable: the order of the engine, and its groups."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import pytest_asyncio

from gpusched.core.actions import Action, TakeSample, WatchExit
from gpusched.core.changes import LeaseChanged
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    Event,
    ExplainRequested,
    PolicyRead,
    ReleaseRequested,
    Ticked,
)
from gpusched.core.ids import BootId, LeaseId, RequestId
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.replies import Done, Explained, Granted, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from gpusched.daemon.engine import Engine
from gpusched.ports import Batch, Stopping, StoreError
from tests.fakes.builders import ADA, BOB, UNREADABLE, device, process, reading, sample
from tests.fakes.clock import FakeClock
from tests.fakes.daemon import JournalStore
from tests.fakes.store import Disk
from tests.fakes.waiting import standstill

FULL = StoreError("the disk is full; make room")
UNREAD = NodeSample(FakeClock().now().instant, UNREADABLE)


class Bench:
    """An engine over an empty store; `journal` has its commits and actions."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.performed: list[Action] = []
        self.clock = FakeClock()
        self.store = JournalStore(self.journal, Disk())
        self.store.load(BootId("boot"))
        self.journal.clear()
        self.engine = Engine(Ledger(Policy()), self.store, self.clock, self._perform)

    def ask(self, name: str) -> asyncio.Task[object]:
        """Ask for a lease without devices, as soon as the loop turns."""
        return self.task(self.engine.submit(allocation(name)))

    def task(self, awaited: Awaitable[object]) -> asyncio.Task[object]:
        async def _wait() -> object:
            return await awaited

        return asyncio.get_running_loop().create_task(_wait())

    async def hold(self) -> asyncio.Task[object]:
        """Have a first grant on its way to the store, and held up there."""
        self.store.gate.clear()
        first = self.ask("first")
        await standstill()
        assert not first.done()
        return first

    def _perform(self, action: Action) -> None:
        self.performed.append(action)
        self.journal.append(f"act {type(action).__name__}")


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.store.gate.set()
    with suppress(Stopping):
        await made.engine.close()


def allocation(name: str) -> AllocateRequested:
    return AllocateRequested(ADA, Request(RequestId(name), count=0), LeaseId(f"lease-{name}"))


def attachment(name: str) -> AttachRequested:
    uids = (ADA.uid, ADA.uid, ADA.uid)
    return AttachRequested(ADA, LeaseId(f"lease-{name}"), process(50), uids)


def leases_of(batch: Batch) -> list[str]:
    return [one.lease.id for one in batch.changes if isinstance(one, LeaseChanged)]


async def test_commit_then_act_then_reply(bench: Bench) -> None:
    """What is decided is committed, then acted upon, then answered: never another order."""
    await bench.engine.submit(allocation("a"))
    bench.journal.clear()
    asked = bench.task(bench.engine.submit(attachment("a")))
    asked.add_done_callback(lambda _: bench.journal.append("reply"))
    reply = await asked
    await standstill()
    assert isinstance(reply, Done)
    assert bench.performed == [WatchExit(process(50)), TakeSample()]
    assert bench.journal == ["commit", "act WatchExit", "act TakeSample", "reply"]


async def test_nothing_is_done_before_the_commit(bench: Bench) -> None:
    """An action waits for its commit, however long that takes."""
    await bench.engine.submit(allocation("a"))
    bench.store.gate.clear()
    asked = bench.task(bench.engine.submit(attachment("a")))
    await standstill()
    assert bench.performed == []
    bench.store.gate.set()
    await asked
    assert len(bench.performed) == 2


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (allocation("other"), Granted),
        (allocation("first"), Granted),
        (ReleaseRequested(BOB, LeaseId("lease-first")), Rejected),
        (ReleaseRequested(ADA, LeaseId("lease-unknown")), Rejected),
        (ExplainRequested(ADA, Request(RequestId("x"), count=0)), Explained),
        (Ticked(UNREAD), Done),
    ],
    ids=["grant", "repeat", "rejection", "not found", "explanation", "tick"],
)
async def test_every_reply_waits(bench: Bench, event: Event, kind: type) -> None:
    """A reply waits until what it reflects is durable, that of a rejection or a repeat too."""
    first = await bench.hold()
    second = bench.task(bench.engine.submit(event))
    await standstill()
    assert not second.done()
    bench.store.gate.set()
    assert isinstance(await first, Granted)
    assert isinstance(await second, kind)


@pytest.mark.parametrize("wait", [Engine.durable, Engine.news], ids=["durable", "news"])
async def test_readers_wait(bench: Bench, wait: Callable[[Engine], Awaitable[None]]) -> None:
    """Whoever reads the ledger, or watches it, hears of nothing that is not durable."""
    first = await bench.hold()
    reader = bench.task(wait(bench.engine))
    await standstill()
    assert not reader.done()
    bench.store.gate.set()
    await asyncio.gather(first, reader)
    assert bench.journal == ["commit"]


async def test_durable_is_at_once_when_nothing_is_pending(bench: Bench) -> None:
    """Reading waits for nothing when everything decided is durable already."""
    bench.store.gate.clear()
    await bench.engine.durable()
    reply = await bench.engine.submit(ReleaseRequested(ADA, LeaseId("lease-unknown")))
    assert isinstance(reply, Rejected)
    assert bench.store.batches == []


async def test_decisions_of_one_turn_share_a_commit(bench: Bench) -> None:
    """What is decided in one turn of the loop is one transaction."""
    await asyncio.gather(*map(bench.ask, "abc"))
    assert [leases_of(one) for one in bench.store.batches] == [["lease-a", "lease-b", "lease-c"]]


async def test_decisions_during_a_commit_share_the_next(bench: Bench) -> None:
    """What is decided while a commit is on its way goes, in order, into one next commit."""
    first = await bench.hold()
    others = []
    for name in "abc":
        others.append(bench.ask(name))
        await standstill()
    bench.store.gate.set()
    await asyncio.gather(first, *others)
    assert [leases_of(one) for one in bench.store.batches] == [
        ["lease-first"],
        ["lease-a", "lease-b", "lease-c"],
    ]
    assert [one.generation for one in bench.store.batches] == [1, 4]


async def test_reply_does_not_wait_for_a_later_group(bench: Bench) -> None:
    """A reply waits for its own group only."""
    first = await bench.hold()
    later = bench.ask("later")
    bench.store.gate.set()
    await first
    assert not later.done()
    await later


@pytest.mark.parametrize("wait", [Engine.durable, Engine.news], ids=["durable", "news"])
async def test_a_cancelled_waiter_cancels_nobody(
    bench: Bench, wait: Callable[[Engine], Awaitable[None]]
) -> None:
    """A client that goes away takes neither its grant nor anybody else's answer with it."""
    first = await bench.hold()
    leaving, staying = bench.ask("leaving"), bench.ask("staying")
    gone, reader = bench.task(wait(bench.engine)), bench.task(wait(bench.engine))
    await standstill()
    leaving.cancel()
    gone.cancel()
    await standstill()
    bench.store.gate.set()
    assert isinstance(await staying, Granted)
    await asyncio.gather(first, reader)
    assert set(bench.store.disk.leases) == {"lease-first", "lease-leaving", "lease-staying"}


async def test_failed_commit_stops_everything(bench: Bench) -> None:
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


async def test_nothing_goes_on_after_a_failed_commit(bench: Bench) -> None:
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
    await bench.engine.close()
    assert bench.engine.ledger.generation == generation
    assert bench.store.batches == []


async def test_defect_of_the_store_stops_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in a way nobody foresaw ends the daemon as well, and is named."""

    def commit(_: Batch) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(bench.store, "commit", commit)
    with pytest.raises(Stopping):
        await bench.engine.submit(allocation("a"))
    assert await bench.engine.failed == "commit failed: ZeroDivisionError('oh')"


async def test_failure_that_nobody_waits_for_is_noticed(bench: Bench) -> None:
    """A failed commit ends the daemon also when every client has gone."""
    asked = await bench.hold()
    asked.cancel()
    bench.store.broken = FULL
    bench.store.gate.set()
    assert await bench.engine.failed == str(FULL)


async def test_close_makes_durable_what_was_decided(bench: Bench) -> None:
    """Closing waits for everything that was decided, and for what is decided meanwhile."""
    first = await bench.hold()
    closing = bench.task(bench.engine.close())
    await standstill()
    late = bench.ask("late")
    await standstill()
    assert not closing.done()
    bench.store.gate.set()
    await closing
    assert set(bench.store.disk.leases) == {"lease-first", "lease-late"}
    assert isinstance(await first, Granted)
    assert isinstance(await late, Granted)


async def test_closed_engine_refuses(bench: Bench) -> None:
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


async def test_close_says_that_the_last_commit_failed(bench: Bench) -> None:
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


async def test_cancelled_close_starts_no_further_commit(bench: Bench) -> None:
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


@pytest.mark.parametrize(
    "event",
    [
        allocation("a"),
        Ticked(sample(reading(device()))),
        PolicyRead(Policy(), {"history": "5"}),
    ],
    ids=["lease", "inventory", "story"],
)
async def test_news(bench: Bench, event: Event) -> None:
    """A changed lease, a changed inventory and a line of history are news."""
    watching = [bench.task(bench.engine.news()) for _ in range(2)]
    await standstill()
    await bench.engine.submit(event)
    await asyncio.gather(*watching)
    assert len(bench.store.batches) == 1


async def test_tick_without_news(bench: Bench) -> None:
    """A tick that finds nothing new wakes nobody and writes nothing."""
    same = Ticked(sample(reading(device())))
    await bench.engine.submit(same)
    watching = bench.task(bench.engine.news())
    await standstill()
    await bench.engine.submit(same)
    await bench.engine.submit(Ticked(UNREAD))
    await standstill()
    assert not watching.done()
    assert len(bench.store.batches) == 1


async def test_touch(bench: Bench) -> None:
    """Being alive is committed, with the time, and is no news."""
    watching = bench.task(bench.engine.news())
    await standstill()
    now = bench.clock.advance(5)
    bench.engine.touch()
    bench.engine.touch()
    await bench.engine.durable()
    await standstill()
    assert bench.store.batches == [Batch((), 0, now.instant)]
    assert not watching.done()


def test_commit_that_outlives_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A commit that returns when the loop has gone is kept, and nobody stumbles over it."""

    async def leave() -> Bench:
        made = Bench()
        made.store.gate.clear()
        made.engine.touch()
        await standstill()
        return made

    bench = asyncio.run(leave())
    bench.store.gate.set()
    bench.engine._writer.shutdown(wait=True)
    assert len(bench.store.batches) == 1
    assert caplog.records == []


async def test_fake_gate_is_waited_at(bench: Bench) -> None:
    """The gate of the store really holds a commit up: the tests above rely on it."""
    first = await bench.hold()
    assert bench.store.batches == []
    bench.store.gate.set()
    await first
    assert len(bench.store.batches) == 1
