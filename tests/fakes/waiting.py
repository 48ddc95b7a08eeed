"""How a test waits: until something is so, or long enough that it would have happened.

Neither waits for a length of time; a condition that never comes true fails the test.
"""

import asyncio
from collections.abc import Callable

TURNS = 20
"""Turns of the event loop; nothing in the daemon takes more of them to reach a standstill."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the fakes have no event for each condition
            await asyncio.sleep(0.001)


async def standstill() -> None:
    """Let everything happen that needs no thread and no timer."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
