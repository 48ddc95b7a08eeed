"""Where clients wait for the answer to a request that waits, and how it is noticed that they go.

A client costs a future here and nothing else. Which request is served decides the core. What is
heard of one is kept by the lease that is to come of it: its key may be of another request before
the answer is durable.
"""

from collections import Counter
from collections.abc import Coroutine

from gpusched.core.actions import Answer
from gpusched.core.ids import LeaseId
from gpusched.core.queue_events import ClientLeft
from gpusched.core.replies import Granted, Refusal, Rejected, Reply
from gpusched.core.waiting import Key
from gpusched.daemon.engine import STOPPING, Engine
from gpusched.daemon.outcomes import Outcomes
from gpusched.ports import Stopping


class WaitingRoom:
    """Clients whose requests wait."""

    def __init__(self) -> None:
        self._outcomes: Outcomes[LeaseId] = Outcomes()
        self._present: Counter[Key] = Counter()
        self._engine: Engine | None = None

    def serve(self, engine: Engine) -> None:
        """Tell *engine* who leaves, from now on."""
        self._engine = engine
        # What was decided and never committed is told to nobody.
        engine.failed.add_done_callback(lambda failed: self._outcomes.end(failed.result()))

    def served(self, key: Key) -> Coroutine[None, None, Reply]:
        """Wait until a request is granted, or waits no longer.

        Its client is there from the call on, not from the first step of what is given: one who
        leaves in between would else be taken for the last. Who is cancelled has left; when nobody
        is left the core hears of it.

        Raises:
            Stopping: The daemon ends; the request keeps its place.
        """
        self._present[key] += 1
        return self._heard(key, self._to_come(key))

    async def _heard(self, key: Key, to_come: LeaseId | None) -> Reply:
        try:
            if to_come is None or self._to_come(key) != to_come:
                return self._over(key)
            return await self._outcomes.heard(to_come)
        finally:
            self._leave(key)

    def answer(self, answer: Answer) -> None:
        """Let those who wait for a request hear what has become of it."""
        self._outcomes.answer(answer.lease, answer.reply)

    def close(self) -> None:
        """Let everybody go: they come back to the next daemon. Idempotent."""
        self._outcomes.end(STOPPING)

    def _to_come(self, key: Key) -> LeaseId | None:
        """Give the lease that is to come of a request that waits; None: it waits no longer."""
        waiting = None if self._engine is None else self._engine.ledger.waiting.get(key)
        return None if waiting is None else waiting.lease_id

    def _over(self, key: Key) -> Reply:
        """Give the answer to a request that waits no longer: it was told before anybody asked.

        A turn follows every event at once, and time has gone on between the two: who was queued
        may be served before this is called.
        """
        uid, name = key
        lease = None if self._engine is None else self._engine.ledger.by_request(uid, name)
        if lease is None:
            return Rejected(Refusal.LATER, f"{name} waits no longer; ask again")
        return Granted(lease)

    def _leave(self, key: Key) -> None:
        self._present[key] -= 1
        if self._present[key] > 0:
            return
        del self._present[key]
        if self._engine is None or self._to_come(key) is None:
            return
        try:
            self._engine.propose(ClientLeft(key))
        except Stopping:
            return  # the next daemon gives it time to come back
