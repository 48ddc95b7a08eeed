"""Lets a crowd that asks for surveys share them, so that samples keep getting their turn."""

import asyncio

from gpusched.core.sample import Reading, Unavailable
from gpusched.core.survey import NodeSurvey
from gpusched.ports import Surveyor

LONG = 1.0
"""Seconds: a survey in vain that took so long has kept samples waiting."""


class SharedSurveyor:
    """Has one survey read at a time; who asks while one waits to begin gets that one.

    Exists because anybody may ask, and a survey is a hundred samples' worth of calls: asked of
    the library one after the other, twenty of them would make every reading too old to grant on.
    One that hung is answered with its reason for as long as it took: else whoever asks again and
    again has the library most of the time, and samples hardly ever.
    """

    def __init__(self, surveyor: Surveyor, long: float = LONG) -> None:
        """Have surveys read by *surveyor*; *long* is for tests."""
        self._surveyor = surveyor
        self._long = long
        self._last = Unavailable("not read yet")
        self._not_before = 0.0
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Task[Reading[NodeSurvey]] | None = None

    async def survey(self) -> Reading[NodeSurvey]:
        """Give a survey that begins after this call, or say why there is none now."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._next())
        # Whoever goes away does not take it from the others.
        return await asyncio.shield(self._waiting)

    async def _next(self) -> Reading[NodeSurvey]:
        async with self._turn:
            self._waiting = None  # who asks from now on may know of something newer
            clock = asyncio.get_running_loop().time
            begun = clock()
            if begun < self._not_before:
                return self._last
            found = await self._surveyor.survey()
            took = clock() - begun
            if isinstance(found, Unavailable) and took >= self._long:
                self._last, self._not_before = found, begun + 2 * took
            return found
