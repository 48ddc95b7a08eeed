"""Lets no user keep the event loop from the others: of each one call begins in a round of it.

A thousand calls, or a thousand watches that hear of one change, would else be answered in a row
before anybody else is. What is called is none of this file's business.
"""

import asyncio
from collections import deque

_ROOT = 0


class Turns:
    """Who waits for his turn, by uid; root waits for nobody."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[asyncio.Future[None]]] = {}

    async def of(self, uid: int) -> None:
        """Wait until a call of *uid* may begin: at once unless one has begun in this round."""
        if uid == _ROOT:
            return
        loop = asyncio.get_running_loop()
        line = self._lines.get(uid)
        if line is None:
            self._lines[uid] = deque()
            loop.call_soon(self._next, uid)
            return
        turn = loop.create_future()
        line.append(turn)
        await turn

    def _next(self, uid: int) -> None:
        line = self._lines[uid]
        while line:
            turn = line.popleft()
            if not turn.done():  # else its caller has gone
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next, uid)
                return
        del self._lines[uid]
