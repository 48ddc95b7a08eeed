"""Who waits for what comes of an action, until it is told or never will be.

It knows neither actions nor the engine.
"""

import asyncio
from collections.abc import Awaitable, Hashable
from typing import Generic, TypeVar

from gpusched.core.replies import Reply
from gpusched.ports import Stopping

K = TypeVar("K", bound=Hashable)


class Outcomes(Generic[K]):
    """Replies that are still to come, each under a key."""

    def __init__(self) -> None:
        self.ended: str | None = None
        """Why nothing more comes; None while something may."""
        self._waiting: dict[K, asyncio.Future[Reply]] = {}

    async def heard(self, key: K) -> Reply:
        """Wait for the next reply about *key*; those who wait together hear the same.

        Raises:
            Stopping: None will come.
            Exception: A defect that was met on the way to it.
        """
        if self.ended is not None:
            raise Stopping(self.ended)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        # One who leaves must not take the others along.
        return await asyncio.shield(waiting)

    async def tell(self, key: K, reply: Awaitable[Reply]) -> None:
        """Let those who wait for *key* now hear *reply*; who comes later waits for the next.

        Raises:
            Exception: What *reply* fails with, but for `Stopping`; they have heard it, too.
        """
        waiting = self._waiting.pop(key, None)
        try:
            told = await reply
        except Exception as error:
            if waiting is not None:
                _fail(waiting, error)
            if not isinstance(error, Stopping):
                raise
        else:
            if waiting is not None:
                waiting.set_result(told)

    def answer(self, key: K, reply: Reply) -> None:
        """Let those who wait for *key* now hear *reply*, as `tell` does."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.set_result(reply)

    def end(self, sentence: str) -> None:
        """Let everybody who waits, and who comes later, fail with `Stopping`. Idempotent."""
        self.ended = self.ended or sentence
        while self._waiting:
            _key, waiting = self._waiting.popitem()
            _fail(waiting, Stopping(self.ended))


def _fail(waiting: asyncio.Future[Reply], error: Exception) -> None:
    waiting.set_exception(error)
    waiting.exception()  # that nobody waited for it any more is no defect
