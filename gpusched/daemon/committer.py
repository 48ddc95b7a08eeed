"""Where a commit runs: in the event loop while that is quick, in the writer thread when not.

Without a sync a commit is some tens of microseconds, less than the way to a thread and back, and
a thread would contend for the interpreter with grpc at every statement. On a slow disk the same
commit would hold up every client. So the time of the last commit decides about the next, and what
may always take long (folding the log, trimming the history) is left to the thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from gpusched.core.ids import SECOND
from gpusched.ports import Batch, Clock, Store

QUICK = SECOND // 2000
"""A commit that took less may hold up the loop once more."""

MAINTAIN_EVERY = 256
"""Commits between two that also maintain the store."""


class Committer:
    """Commits one batch at a time and says when it has landed.

    Args:
        store: Used by one thread at a time: here, or in the writer thread.
        clock: Measures commits.
        landed: Told of each batch in the event loop: None, or why it was not written.
        quick: Nanoseconds; 0 sends every commit to the writer thread.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        landed: Callable[[BaseException | None], None],
        quick: int = QUICK,
    ) -> None:
        self._store = store
        self._clock = clock
        self._landed = landed
        self._quick = quick
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="gpusched-writer")
        self._took = 0
        self._commits = 0

    def commit(self, batch: Batch) -> None:
        """Begin to write *batch*; it has landed when this returns, or will."""
        self._commits += 1
        if self._commits % MAINTAIN_EVERY == 0:
            self._write_beside(replace(batch, maintain=True))
        elif self._took < self._quick:
            self._write_here(batch)
        else:
            self._write_beside(batch)

    def close(self) -> None:
        """Begin nothing more; what is on its way is still written."""
        self._writer.shutdown(wait=False)

    def _write_here(self, batch: Batch) -> None:
        error: Exception | None = None
        try:
            self._write(batch)
        except Exception as failure:  # noqa: BLE001 - as from the thread: the engine must hear of all
            error = failure
        self._landed(error)

    def _write_beside(self, batch: Batch) -> None:
        self._writer.submit(self._write, batch).add_done_callback(self._written)

    def _write(self, batch: Batch) -> None:
        begun = self._clock.now().instant
        self._store.commit(batch)
        # Maintenance says nothing about how long an ordinary commit takes.
        if not batch.maintain:
            self._took = self._clock.now().instant - begun

    def _written(self, written: Future[None]) -> None:
        # In the writer thread; after the loop has closed there is nobody left to tell.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._landed, written.exception())
