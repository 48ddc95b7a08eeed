"""Lets a crowd that asks for surveys share them, so that samples keep getting their turn."""

import asyncio

from gpusched.core.sample import Reading
from gpusched.core.survey import NodeSurvey
from gpusched.ports import Surveyor


class SharedSurveyor:
    """Has one survey read at a time; who asks while one waits to begin gets that one.

    Exists because anybody may ask, and a survey is a hundred samples' worth of calls: asked of
    the library one after the other, twenty of them would make every reading too old to grant on.
    """

    def __init__(self, surveyor: Surveyor) -> None:
        """Have surveys read by *surveyor*."""
        self._surveyor = surveyor
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Task[Reading[NodeSurvey]] | None = None

    async def survey(self) -> Reading[NodeSurvey]:
        """Give a survey that begins after this call, or say why there is none."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._next())
        # Whoever goes away does not take it from the others.
        return await asyncio.shield(self._waiting)

    async def _next(self) -> Reading[NodeSurvey]:
        async with self._turn:
            self._waiting = None  # who asks from now on may know of something newer
            return await self._surveyor.survey()
