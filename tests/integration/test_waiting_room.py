"""Where clients wait: who hears what, and how the core hears that nobody is left."""

import asyncio
from dataclasses import replace

import pytest

from gpusched.core.actions import Answer
from gpusched.core.events import AllocateRequested, CancelRequested, ReleaseRequested, Ticked
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.queue_events import ClientLeft
from gpusched.core.replies import Granted, Queued, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.waiting import Key
from gpusched.daemon.waiting_room import WaitingRoom
from gpusched.ports import Stopping, StoreError
from tests.fakes.builders import ADA, device, reading, sample
from tests.fakes.engine_bench import EngineBench
from tests.fakes.waiting import standstill, until

KEY: Key = (ADA.uid, RequestId("waits"))
WISH = Request(RequestId("waits"), wait_without_limit=True)
WAITS = AllocateRequested(ADA, WISH, LeaseId("lease-to-come"))


class Room(EngineBench):
    """A waiting room at an engine whose one device is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.room = WaitingRoom()
        self.room.serve(self.engine)

    async def full(self) -> None:
        """Let one request have the device, and the other wait."""
        taken = sample(reading(device()), at=self.clock.now())
        await self.engine.submit(Ticked(taken))
        first = AllocateRequested(ADA, Request(RequestId("has")), LeaseId("lease-first"))
        assert isinstance(await self.engine.submit(first), Granted)
        assert isinstance(await self.engine.submit(WAITS), Queued)

    def answered(self) -> None:
        """Pass on what the engine has answered, as the executor does."""
        for one in self.performed:
            if isinstance(one, Answer):
                self.room.answer(one)

    @property
    def left(self) -> list[object]:
        """Who the core was told has left."""
        return [one for one in self.events if isinstance(one, ClientLeft)]


@pytest.fixture
async def room() -> Room:
    """A room with one request that waits."""
    made = Room()
    await made.full()
    return made


async def test_all_who_wait_for_a_request_hear_its_grant(room: Room) -> None:
    """Two clients with one request id are both answered, and nobody has left."""
    clients = [room.task(room.room.served(KEY)) for _ in range(2)]
    await standstill()
    await room.engine.submit(ReleaseRequested(ADA, LeaseId("lease-first")))
    await until(lambda: any(isinstance(one, Answer) for one in room.performed))
    room.answered()
    replies = await asyncio.gather(*clients)
    assert [isinstance(one, Granted) for one in replies] == [True, True]
    assert room.left == []


async def test_the_core_hears_of_the_last_one_who_leaves(room: Room) -> None:
    """A request keeps its clients until the last of them is gone."""
    clients = [room.task(room.room.served(KEY)) for _ in range(2)]
    await standstill()
    for client, left in zip(clients, ([], [ClientLeft(KEY)]), strict=True):
        client.cancel()
        await standstill()
        assert room.left == left
    waiting = room.engine.ledger.waiting.get(KEY)
    assert waiting is not None
    assert waiting.abandoned is not None


async def test_who_comes_back_as_his_old_connection_goes_is_there(room: Room) -> None:
    """Who has his place back is there at once, also if his old connection is only closed then."""
    before = room.task(room.room.served(KEY))
    await standstill()
    before.cancel()
    assert isinstance(room.engine.propose(WAITS), Queued)
    back = room.task(room.room.served(KEY))
    await standstill()
    assert room.left == []
    waiting = room.engine.ledger.waiting.get(KEY)
    assert waiting is not None
    assert waiting.abandoned is None
    back.cancel()


async def test_who_comes_after_the_grant_is_told_of_it(room: Room) -> None:
    """A request that was served between its answer and the wait for it is granted all the same."""
    await room.engine.submit(ReleaseRequested(ADA, LeaseId("lease-first")))
    reply = await room.room.served(KEY)
    assert isinstance(reply, Granted)
    assert reply.lease.id == "lease-to-come"


async def test_who_comes_after_a_withdrawal_is_told_so(room: Room) -> None:
    """A request that was withdrawn meanwhile waits for nothing."""
    await room.engine.submit(CancelRequested(ADA, RequestId("waits")))
    reply = await room.room.served(KEY)
    assert isinstance(reply, Rejected)
    assert reply.why is Refusal.LATER
    assert reply.sentence == "waits waits no longer; ask again"


async def test_who_asks_anew_is_not_told_what_became_of_the_request_before(room: Room) -> None:
    """While an answer is on its way to the disk its id is free: the next request has its own."""
    before = room.task(room.room.served(KEY))
    await standstill()
    room.store.gate.clear()
    room.engine.propose(CancelRequested(ADA, RequestId("waits")))
    assert isinstance(room.engine.propose(replace(WAITS, lease_id=LeaseId("other"))), Queued)
    anew = room.task(room.room.served(KEY))
    await standstill()
    room.store.gate.set()
    await until(lambda: any(isinstance(one, Answer) for one in room.performed))
    room.answered()
    assert isinstance(await before, Rejected)
    await standstill()
    assert not anew.done()
    assert room.left == []
    anew.cancel()


async def test_at_the_end_all_are_let_go_and_keep_their_place(room: Room) -> None:
    """A daemon that stops tells nobody that he has left: he comes back to the next one."""
    client = room.task(room.room.served(KEY))
    await standstill()
    await room.engine.close()
    room.room.close()
    with pytest.raises(Stopping):
        await client
    waiting = room.engine.ledger.waiting.get(KEY)
    assert waiting is not None
    assert waiting.abandoned is None


async def test_a_commit_that_fails_lets_all_go(room: Room) -> None:
    """What was decided and never became durable is told to nobody."""
    client = room.task(room.room.served(KEY))
    await standstill()
    room.store.broken = StoreError("the disk is full")
    with pytest.raises(Stopping):
        await room.engine.submit(ReleaseRequested(ADA, LeaseId("lease-first")))
    with pytest.raises(Stopping):
        await client
