"""An engine over a store in memory, and short ways to ask it for things."""

import asyncio
from collections.abc import Awaitable

from gpusched.core.actions import Action
from gpusched.core.changes import LeaseChanged
from gpusched.core.events import AllocateRequested, AttachRequested, Event
from gpusched.core.ids import BootId, LeaseId, RequestId
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.replies import Reply
from gpusched.core.request import Request
from gpusched.daemon.engine import Engine
from gpusched.ports import Batch
from tests.fakes.builders import ADA, process, standing
from tests.fakes.clock import FakeClock
from tests.fakes.daemon import JournalStore
from tests.fakes.store import Disk
from tests.fakes.waiting import standstill


class ListeningEngine(Engine):
    """An engine that remembers what it was told; `fault` is raised by the next proposal."""

    events: list[Event]
    fault: Exception | None = None

    def propose(self, event: Event) -> Reply:
        self.events.append(event)
        if self.fault is not None:
            raise self.fault
        return super().propose(event)


class EngineBench:
    """An engine over an empty store; `journal` has its commits and actions."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.performed: list[Action] = []
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.store = JournalStore(self.journal, Disk())
        self.store.load(BootId("boot"))
        self.journal.clear()
        # Every commit in the writer thread, so that the store's gate can hold it up.
        self.engine = ListeningEngine(
            Ledger(Policy()), self.store, self.clock, self._perform, quick=0
        )
        self.engine.events = self.events

    def ask(self, name: str) -> asyncio.Task[object]:
        """Ask for a lease without devices, as soon as the loop turns."""
        return self.task(self.engine.submit(allocation(name)))

    def task(self, awaited: Awaitable[object]) -> asyncio.Task[object]:
        """Wait beside the test; what never comes fails after ten seconds."""

        async def _wait() -> object:
            async with asyncio.timeout(10):
                return await awaited

        return asyncio.get_running_loop().create_task(_wait())

    async def hold(self) -> asyncio.Task[object]:
        """Have a first grant on its way to the store, and held up there."""
        self.store.gate.clear()
        first = self.ask("first")
        await standstill()
        assert not first.done()
        return first

    def _perform(self, action: Action) -> None:
        self.performed.append(action)
        self.journal.append(f"act {type(action).__name__}")


def allocation(name: str) -> AllocateRequested:
    return AllocateRequested(ADA, Request(RequestId(name), count=0), LeaseId(f"lease-{name}"))


def attachment(name: str) -> AttachRequested:
    return AttachRequested(ADA, LeaseId(f"lease-{name}"), process(50), standing(50))


def leases_of(batch: Batch) -> list[str]:
    return [one.lease.id for one in batch.changes if isinstance(one, LeaseChanged)]
