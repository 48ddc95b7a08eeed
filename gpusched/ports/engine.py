"""The engine, as those who speak to clients see it."""

from collections.abc import Coroutine
from typing import Protocol

from gpusched.core.events import Event
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Reply
from gpusched.core.waiting import Key
from gpusched.ports.containers import Named


class Authority(Protocol):
    """The engine, as those who speak to clients see it. Used in the event loop only."""

    @property
    def ledger(self) -> Ledger:
        """The record as it is now. Only to be read, and not across an `await`."""
        ...

    def propose(self, event: Event) -> Reply:
        """Have *event* decided; the reply may be told to nobody before `durable` has returned.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        ...

    async def durable(self) -> None:
        """Wait until everything decided so far is durable: before any reply or reading is told.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        ...

    async def news(self) -> None:
        """Wait for the next change of leases, inventory or history.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        ...

    async def refresh(self) -> None:
        """Take a sample begun after this call, and decide on it. Calls in between share one."""
        ...

    async def outcome(self, lease: LeaseId, process: ProcessId | None) -> Reply:
        """Wait for what comes of `Underway`; to be called in the same step as `propose`.

        Raises:
            Stopping: The daemon ends.
        """
        ...

    def served(self, key: Key) -> Coroutine[None, None, Reply]:
        """Wait until a request is granted, or waits no longer.

        To be called in the same step as `propose`, after `Queued`: its client is there from then
        on. Who is cancelled has left, and the request keeps its place for a while.

        Raises:
            Stopping: The daemon ends.
        """
        ...

    async def guarded(self) -> Reply:
        """Wait for what comes of `Guarding`; to be called in the same step as `propose`.

        Raises:
            Stopping: The daemon ends.
        """
        ...

    async def named(self, lease: LeaseId) -> Named | None:
        """Give the name of a lease for container engines, which know it by then.

        Returns:
            The name, or why there is none; None: engines are not told of this lease.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        ...


class Stopping(Exception):
    """The daemon takes no more requests."""
