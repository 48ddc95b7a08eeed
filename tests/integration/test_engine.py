"""Nothing is told or done before it is durable: the order of the engine, and its groups."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import pytest_asyncio

from gpusched.core.actions import TakeSample, WatchExit
from gpusched.core.events import (
    Event,
    ExplainRequested,
    PolicyRead,
    ReleaseRequested,
    Ticked,
)
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.operator_events import CordonRequested, ReleaseDriverRequested
from gpusched.core.policy import Policy
from gpusched.core.replies import Done, Explained, Granted, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from gpusched.daemon.engine import Engine
from gpusched.ports import Batch, Stopping, StoreError
from tests.fakes.builders import ADA, BOB, ROOT, UNREADABLE, device, process, reading, sample
from tests.fakes.clock import FakeClock
from tests.fakes.engine_bench import EngineBench, allocation, attachment, leases_of
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


async def test_commit_then_act_then_reply(bench: EngineBench) -> None:
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


async def test_nothing_is_done_before_the_commit(bench: EngineBench) -> None:
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
async def test_every_reply_waits(bench: EngineBench, event: Event, kind: type) -> None:
    """A reply waits until what it reflects is durable, that of a rejection or a repeat too."""
    first = await bench.hold()
    second = bench.task(bench.engine.submit(event))
    await standstill()
    assert not second.done()
    bench.store.gate.set()
    assert isinstance(await first, Granted)
    assert isinstance(await second, kind)


@pytest.mark.parametrize("wait", [Engine.durable, Engine.news], ids=["durable", "news"])
async def test_readers_wait(bench: EngineBench, wait: Callable[[Engine], Awaitable[None]]) -> None:
    """Whoever reads the ledger, or watches it, hears of nothing that is not durable."""
    first = await bench.hold()
    reader = bench.task(wait(bench.engine))
    await standstill()
    assert not reader.done()
    bench.store.gate.set()
    await asyncio.gather(first, reader)
    assert bench.journal == ["commit"]


async def test_durable_is_at_once_when_nothing_is_pending(bench: EngineBench) -> None:
    """Reading waits for nothing when everything decided is durable already."""
    bench.store.gate.clear()
    await bench.engine.durable()
    reply = await bench.engine.submit(ReleaseRequested(ADA, LeaseId("lease-unknown")))
    assert isinstance(reply, Rejected)
    assert bench.store.batches == []


async def test_first_decision_is_committed_at_once(bench: EngineBench) -> None:
    """A decision at rest is committed at once; the others of its turn share the next commit."""
    await asyncio.gather(*map(bench.ask, "abc"))
    assert [leases_of(one) for one in bench.store.batches] == [
        ["lease-a"],
        ["lease-b", "lease-c"],
    ]


async def test_decisions_during_a_commit_share_the_next(bench: EngineBench) -> None:
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


async def test_reply_does_not_wait_for_a_later_group(bench: EngineBench) -> None:
    """A reply waits for its own group only."""
    first = await bench.hold()
    later = bench.ask("later")
    bench.store.gate.set()
    await first
    assert not later.done()
    await later


@pytest.mark.parametrize("wait", [Engine.durable, Engine.news], ids=["durable", "news"])
async def test_a_cancelled_waiter_cancels_nobody(
    bench: EngineBench, wait: Callable[[Engine], Awaitable[None]]
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


@pytest.mark.parametrize(
    "event",
    [
        allocation("a"),
        Ticked(sample(reading(device()))),
        PolicyRead(Policy(), {"history": "5"}),
    ],
    ids=["lease", "inventory", "story"],
)
async def test_news(bench: EngineBench, event: Event) -> None:
    """A changed lease, a changed inventory and a line of history are news."""
    watching = [bench.task(bench.engine.news()) for _ in range(2)]
    await standstill()
    await bench.engine.submit(event)
    await asyncio.gather(*watching)
    assert len(bench.store.batches) == 1


async def test_tick_without_news(bench: EngineBench) -> None:
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


async def test_touch(bench: EngineBench) -> None:
    """Being alive is committed, with the time, and is no news."""
    watching = bench.task(bench.engine.news())
    await standstill()
    now = bench.clock.advance(5)
    bench.engine.touch()
    await bench.engine.durable()
    await standstill()
    assert bench.store.batches == [Batch((), 0, now.instant)]
    assert not watching.done()


async def test_fake_gate_is_waited_at(bench: EngineBench) -> None:
    """The gate of the store really holds a commit up: the tests above rely on it."""
    first = await bench.hold()
    assert bench.store.batches == []
    bench.store.gate.set()
    await first
    assert len(bench.store.batches) == 1


async def test_an_operators_word_is_written_through(bench: EngineBench) -> None:
    """A batch with a mark survives a loss of power; one with leases alone need not."""
    await bench.ask("first")
    await bench.task(bench.engine.submit(CordonRequested(ROOT, device(0).uuid, "loud")))
    await bench.task(bench.engine.submit(ReleaseDriverRequested(ROOT)))
    assert [one.power_safe for one in bench.store.batches] == [False, True, True]
