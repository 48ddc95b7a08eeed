"""Work that goes on beside the event loop's other work: begun, waited for, its defects logged."""

import asyncio
from collections.abc import Coroutine

import structlog


class Tasks:
    """Those that run."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """Begin *work*."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    async def finished(self) -> None:
        """Wait until nothing runs any more, what is begun meanwhile included."""
        while self._running:
            await asyncio.wait(self._running)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a defect in an action", exc_info=error)
