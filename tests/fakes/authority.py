"""An authority in memory: decides and applies at once, and says when it was asked what."""

import asyncio
from collections import Counter
from collections.abc import Callable

from gpusched.core.actions import Action, Answer, Join, Prepare, SetGuard
from gpusched.core.changes import Change
from gpusched.core.decide import decide
from gpusched.core.events import Event, Ticked
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.queue_events import ClientLeft, TurnCame
from gpusched.core.replies import Done, Granted, Refusal, Rejected, Reply
from gpusched.core.sample import NodeSample
from gpusched.core.waiting import Key
from gpusched.ports import Clock, Named, Stopping


class FakeAuthority:
    """Decides like the engine; what is decided is durable at once, unless a test says otherwise.

    Attributes:
        events: Every event proposed, in order.
        refreshed: How often a sample was asked for.
        waited: How often somebody waited for durability.
        fault: Raised by the next `propose`.
        names: Of leases for container engines; others are not told.
        kernel: Says what comes of an action; None: nothing is ever asked of the kernel.
    """

    def __init__(self, clock: Clock, look: Callable[[], NodeSample]) -> None:
        self._ledger = Ledger(Policy())
        self._clock = clock
        self._look = look
        self._news = asyncio.Event()
        self._stopped = False
        self.events: list[Event] = []
        self.refreshed = 0
        self.waited = 0
        self.fault: Exception | None = None
        self.names: dict[LeaseId, Named] = {}
        self.kernel: Callable[[Action], Event] | None = None
        self._answers: dict[Key, asyncio.Future[Reply]] = {}
        self._present: Counter[Key] = Counter()
        self._asked: dict[tuple[LeaseId, ProcessId | None] | None, Action] = {}

    @property
    def ledger(self) -> Ledger:
        """The record as it is now."""
        return self._ledger

    def propose(self, event: Event) -> Reply:
        self._check()
        self.events.append(event)
        if self.fault is not None:
            raise self.fault
        return self.decide(event)

    async def named(self, lease: LeaseId) -> Named | None:
        return self.names.get(lease)

    async def durable(self) -> None:
        self._check()
        self.waited += 1

    async def news(self) -> None:
        self._check()
        await self._news.wait()
        self._check()

    async def refresh(self) -> None:
        self.refreshed += 1
        self.tick()

    async def outcome(self, lease: LeaseId, process: ProcessId | None) -> Reply:
        return await self._outcome((lease, process))

    async def served(self, key: Key) -> Reply:
        self._check()
        if self._ledger.waiting.get(key) is None:
            lease = self._ledger.by_request(*key)
            over = Rejected(Refusal.LATER, f"{key[1]} waits no longer; ask again")
            return over if lease is None else Granted(lease)
        if key not in self._answers:
            self._answers[key] = asyncio.get_running_loop().create_future()
        answer = self._answers[key]
        self._present[key] += 1
        try:
            return await asyncio.shield(answer)
        finally:
            self._present[key] -= 1
            if not self._present[key] and not answer.done():
                self.decide(ClientLeft(key))

    async def guarded(self) -> Reply:
        return await self._outcome(None)

    async def _outcome(self, key: tuple[LeaseId, ProcessId | None] | None) -> Reply:
        self._check()
        action = self._asked.pop(key)
        await asyncio.sleep(0)
        assert self.kernel is not None, action
        return self.decide(self.kernel(action))

    def tick(self) -> None:
        """Take the sample that the test's look gives."""
        self.decide(Ticked(self._look()))

    def decide(self, event: Event) -> Reply:
        """Decide on *event* and apply what follows."""
        generation = self._ledger.generation
        decision = decide(self._ledger, event, self._clock.now())
        told = [self._ledger.apply(change) for change in decision.changes]
        if any(one is not None for one in told) or self._ledger.generation != generation:
            self._tell()
        for action in decision.actions:
            if isinstance(action, Prepare | Join):
                self._asked[action.lease, action.process] = action
            elif isinstance(action, SetGuard):
                self._asked[None] = action
            elif isinstance(action, Answer) and action.key in self._answers:
                self._answers.pop(action.key).set_result(action.reply)
        if self._ledger.unserved:
            self.decide(TurnCame())
        return Done(()) if decision.reply is None else decision.reply

    def become(self, *changes: Change) -> None:
        """Apply changes that a test made itself."""
        for change in changes:
            self._ledger.apply(change)
        self._tell()

    def stop(self) -> None:
        """End: everything is refused from now on."""
        self._stopped = True
        while self._answers:
            _, answer = self._answers.popitem()
            answer.set_exception(Stopping("the daemon is stopping"))
            answer.exception()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _check(self) -> None:
        if self._stopped:
            raise Stopping("the daemon is stopping")
