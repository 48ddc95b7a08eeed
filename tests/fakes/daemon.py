"""A host in memory and the daemon on it, to be started, ended and started again.

`journal` has what the daemon did to its world, in order: `load`, `commit`, `sample`, `reload`,
what the service manager was told, the doors, and each close.
"""

import asyncio
import signal

from gpusched.core.enforcement import Ability, Level
from gpusched.core.events import AllocateRequested, AttachRequested
from gpusched.core.ids import SECOND, BootId, LeaseId, ProcessId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.replies import Done, Granted, Underway
from gpusched.core.request import Request
from gpusched.core.sample import NodeReading, Reading
from gpusched.daemon.lifecycle import Reloaded, World, run
from gpusched.ports import Authority, Batch, Stored
from tests.fakes.builders import ADA, device, reading, sample
from tests.fakes.clock import FakeClock
from tests.fakes.doors import FakeDoors
from tests.fakes.enforcer import FakeEnforcer
from tests.fakes.exits import FakeExitWatch
from tests.fakes.guard import FakeGuard
from tests.fakes.kernel_builders import noded
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.service_manager import FakeServiceManager
from tests.fakes.signaller import FakeSignaller
from tests.fakes.store import Disk, MemoryStore
from tests.fakes.waiting import until

LONG = 3600.0
"""Seconds between ticks where a test wants none by itself."""

READABLE = noded(sample(reading(device()))).reading

NO_CGROUPS = Ability(Level.ADVISORY, "there are no cgroups here")


class JournalStore(MemoryStore):
    """Tells what was done with it, commits once they are durable."""

    def __init__(self, journal: list[str], disk: Disk | None = None) -> None:
        super().__init__(disk)
        self._journal = journal

    def load(self, boot_id: BootId) -> Stored:
        self._journal.append("load")
        return super().load(boot_id)

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self._journal.append("commit")

    def close(self) -> None:
        super().close()
        self._journal.append("store closed")


class JournalSampler(FakeSampler):
    """Tells when it is asked."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__(READABLE)
        self._journal = journal

    async def sample(self) -> Reading[NodeReading]:
        self._journal.append("sample")
        return await super().sample()

    async def close(self) -> None:
        await super().close()
        self._journal.append("sampler closed")


class JournalExits(FakeExitWatch):
    """Tells when it is closed."""

    def __init__(self, journal: list[str], processes: FakeProcessTable) -> None:
        super().__init__(processes)
        self._journal = journal

    def close(self) -> None:
        super().close()
        self._journal.append("exits closed")


class JournalEnforcer(FakeEnforcer):
    """Tells when it is closed. Its cgroups are the kernel's: they outlive a daemon."""

    def __init__(self, journal: list[str], processes: FakeProcessTable, clock: FakeClock) -> None:
        super().__init__(processes, clock)
        self._journal = journal

    async def close(self) -> None:
        await super().close()
        self._journal.append("enforcer closed")


class JournalGuard(FakeGuard):
    """Tells when it is closed."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self._journal = journal

    def close(self) -> None:
        super().close()
        self._journal.append("guard closed")


class DaemonHost:
    """One host; each `start` is another daemon over the same disk, clock, kernel and processes."""

    def __init__(self, clock: FakeClock | None = None, *, cgroups: bool = True) -> None:
        self.journal: list[str] = []
        self.disk = Disk()
        self.clock = clock or FakeClock(1000 * SECOND)
        self.table = FakeProcessTable()
        self.enforcer = JournalEnforcer(self.journal, self.table, self.clock)
        if not cgroups:
            self.enforcer.able = NO_CGROUPS
        self.guard = JournalGuard(self.journal)
        self.policy = Policy()
        self.interval = LONG
        self.boot_patience = 0.0
        self.reloaded: Reloaded | None = None
        self.renew()

    def renew(self) -> None:
        """Make what a daemon uses and closes."""
        self.store = JournalStore(self.journal, self.disk)
        self.sampler = JournalSampler(self.journal)
        self.exits = JournalExits(self.journal, self.table)
        self.manager = FakeServiceManager(self.journal)
        self.doors = FakeDoors(self.journal)

    def launch(self) -> asyncio.Task[str | None]:
        """Start a daemon; it may fail before it serves. One that never ends fails the test."""

        async def _bounded() -> str | None:
            async with asyncio.timeout(10):
                return await run(self._world())

        return asyncio.get_running_loop().create_task(_bounded())

    async def start(self) -> tuple[asyncio.Task[str | None], Authority]:
        """Start a daemon and wait until it serves; give its run and who answers behind it."""
        running = self.launch()
        await until(lambda: "READY=1\nSTATUS=serving" in self.manager.states or running.done())
        if running.done():
            running.result()
        assert self.doors.authority is not None
        return running, self.doors.authority

    def _world(self) -> World:
        return World(
            version="1.2.3",
            policy=self.policy,
            interval=self.interval,
            boot_patience=self.boot_patience,
            clock=self.clock,
            store=self.store,
            sampler=self.sampler,
            table=self.table,
            enforcer=self.enforcer,
            guard=self.guard,
            exits=self.exits,
            signaller=FakeSignaller(self.table),
            manager=self.manager,
            doors=self.doors,
            reload=self._reload,
            quick=0,  # every commit in the writer thread: tests hold it up at the store's gate
        )

    def _reload(self) -> Reloaded | None:
        self.journal.append("reload")
        return self.reloaded


async def end(running: asyncio.Task[str | None]) -> None:
    """End a daemon as its service manager does; it has to go in order."""
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) is None


async def grant(authority: Authority) -> Lease:
    """A lease without devices."""
    request = Request(RequestId("a"), count=0)
    reply = authority.propose(AllocateRequested(ADA, request, LeaseId("lease-a")))
    await authority.durable()
    assert isinstance(reply, Granted)
    return reply.lease


async def attach(
    host: DaemonHost, authority: Authority, granted: Lease, process: ProcessId
) -> Lease:
    """Let *process* join a lease, and wait until the kernel has it; give the lease."""
    standing = host.table.standing(process)
    assert standing is not None
    reply = authority.propose(AttachRequested(ADA, granted.id, process, standing))
    if isinstance(reply, Underway):
        reply = await authority.outcome(granted.id, process)
    await authority.durable()
    assert isinstance(reply, Done)
    return reply.leases[0]
