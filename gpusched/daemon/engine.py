"""The single writer: the only owner of the ledger and the only caller of `decide`.

Every event goes decide → apply → commit → act → reply. What is decided while one commit is on its
way goes into the next together. Nothing is told to anybody before it is durable. A failed commit
is fail-stop: the store is the truth, and going on without it would grant what a restart forgets.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gpusched.core.actions import Action
from gpusched.core.changes import POWER_SAFE, Durable
from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.events import Event
from gpusched.core.ledger import Ledger
from gpusched.core.queue_events import TurnCame
from gpusched.core.replies import Done, Reply
from gpusched.daemon.committer import QUICK, Committer
from gpusched.ports import Batch, Clock, Stopping, Store, StoreError

NOTHING = Done(())
STOPPING = "the daemon is stopping"


@dataclass(slots=True)
class _Group:
    """Decisions that are committed together.

    Attributes:
        done: Resolved when the group is durable; fails with `Stopping` when it never will be.
        changes: What the store keeps of them.
        actions: What is done once they are durable.
        wanted: Whether there is anything to commit.
        news: Whether those who watch the ledger have something new to see.
    """

    done: asyncio.Future[None]
    changes: list[Durable] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    wanted: bool = False
    news: bool = False


class Engine:
    """Decides, one event at a time, in the event loop."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        clock: Clock,
        perform: Callable[[Action], None],
        quick: int = QUICK,
    ) -> None:
        """Take over *ledger*; from now on nobody else may change it.

        Args:
            ledger: Restored, or empty.
            store: Used by nobody else.
            clock: The time of every decision.
            perform: Carries out one action; must not block.
            quick: Nanoseconds that a commit may hold up the loop; see `Committer`.
        """
        self.ledger = ledger
        self._clock = clock
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._committer = Committer(store, clock, self._landed, quick)
        self._gathering = _Group(self._loop.create_future())
        self._flying: _Group | None = None
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._stopped: str | None = None
        self.failed: asyncio.Future[str] = self._loop.create_future()
        """Resolved with a sentence when a commit fails: the daemon has to end."""

    def propose(self, event: Event) -> Reply:
        """Decide on *event*; its reply may be told to nobody before `durable` has returned.

        For who has more to prepare of the answer while the commit is on its way.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        self._refuse_when_stopped()
        decision = decide(self.ledger, event, self._clock.now())
        self._take(decision)
        # In the same commit: a release and the grant that it makes possible are one step.
        while self.ledger.unserved:
            self._take(decide(self.ledger, TurnCame(), self._clock.now()))
        return NOTHING if decision.reply is None else decision.reply

    async def submit(self, event: Event) -> Reply:
        """Decide on *event*; return its reply once everything it reflects is durable.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        reply = self.propose(event)
        await self.durable()
        return reply

    async def durable(self) -> None:
        """Wait until everything decided so far is durable.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        self._refuse_when_stopped()
        group = self._gathering if self._gathering.wanted else self._flying
        if group is not None:
            # One waiter that is cancelled must not cancel the commit of the others.
            await asyncio.shield(group.done)

    async def news(self) -> None:
        """Wait until something of the ledger or its history has changed, durably.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        self._refuse_when_stopped()
        await asyncio.shield(self._news)

    def touch(self) -> None:
        """Commit that the daemon is alive now, even though nothing has changed."""
        if self._stopped is None:
            self._want_commit()

    async def close(self) -> None:
        """Make durable what was decided, then refuse everything. Idempotent.

        Raises:
            Stopping: A commit failed, this one or an earlier one: it is no orderly end.
        """
        try:
            # Others may decide while this waits; nothing may be on its way when it returns.
            while self._stopped is None and (self._flying is not None or self._gathering.wanted):
                await self.durable()
        finally:
            self._stop(STOPPING)
            self._committer.close()
        # It may have failed while others were closed, before there was anything to wait for here.
        if self.failed.done():
            raise Stopping(self.failed.result())

    def _take(self, decision: Decision) -> None:
        group, generation = self._gathering, self.ledger.generation
        kept = [self.ledger.apply(change) for change in decision.changes]
        durable = [change for change in kept if change is not None]
        group.changes.extend(durable)
        group.actions.extend(decision.actions)
        if durable or self.ledger.generation != generation:
            group.news = True
        if group.news or decision.actions:
            self._want_commit()

    def _want_commit(self) -> None:
        self._gathering.wanted = True
        self._commit()

    def _commit(self) -> None:
        if self._flying is not None or not self._gathering.wanted or self._stopped is not None:
            return
        group, self._gathering = self._gathering, _Group(self._loop.create_future())
        self._flying = group
        batch = Batch(
            tuple(group.changes),
            self.ledger.generation,
            self._clock.now().instant,
            power_safe=any(isinstance(one, POWER_SAFE) for one in group.changes),
        )
        self._committer.commit(batch)

    def _landed(self, error: BaseException | None) -> None:
        group, self._flying = self._flying, None
        if error is not None or group is None:
            self._fail(group, error)
            return
        if not group.done.done():
            group.done.set_result(None)
        for action in group.actions:
            self._perform(action)
        if group.news:
            news, self._news = self._news, self._loop.create_future()
            news.set_result(None)
        self._commit()

    def _fail(self, group: _Group | None, error: BaseException | None) -> None:
        sentence = str(error) if isinstance(error, StoreError) else f"commit failed: {error!r}"
        if group is not None and not group.done.done():
            refuse(group.done, sentence)
        self._stop(sentence)
        if not self.failed.done():
            self.failed.set_result(sentence)

    def _stop(self, sentence: str) -> None:
        # The first sentence is the reason; whatever stops it again only follows.
        self._stopped = self._stopped or sentence
        for waiting in (self._gathering.done, self._news):
            if not waiting.done():
                refuse(waiting, sentence)

    def _refuse_when_stopped(self) -> None:
        if self._stopped is not None:
            raise Stopping(self._stopped)


def refuse(waiting: asyncio.Future[None], sentence: str) -> None:
    """Let whoever awaits *waiting* fail with `Stopping`."""
    waiting.set_exception(Stopping(sentence))
    # Mark it as seen: that nobody waited for it is no defect.
    waiting.exception()
