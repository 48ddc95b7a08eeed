"""What the daemon needs of the world: small protocols, each met by a real adapter and a fake.

Only the shapes stand here. Adapters translate their errors at their edge; absence ("no GPU",
"no systemd") is an adapter too, chosen in `bootstrap`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gpusched.core.changes import Durable, StoryLine
from gpusched.core.events import Event
from gpusched.core.ids import BootId, Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Reply
from gpusched.core.sample import NodeReading, ProcessFacts, Reading


class StoreError(Exception):
    """The store cannot be used or a commit failed.

    Its text is one line for the user: what failed, why, what to do.
    """


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store gives back at start.

    Attributes:
        leases: Every lease kept, live and ended.
        stories: The newest story lines, oldest first.
        boot_id: Boot in which the store was last written; None for a new one.
        alive_at: Last instant at which the daemon is known to have run.
        generation: Of the ledger when it was last written.
    """

    leases: tuple[Lease, ...] = ()
    stories: tuple[StoryLine, ...] = ()
    boot_id: BootId | None = None
    alive_at: Instant | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction.

    Attributes:
        changes: In the order in which they were decided; a lease may occur more than once.
        generation: Of the ledger after the last of them.
        alive_at: Now.
        maintain: Whether the store may also do what takes long: fold its log, trim its history.
        power_safe: Whether it must survive a loss of power (SQLite `synchronous=FULL`); leases
            need not: every holder is gone then.
    """

    changes: tuple[Durable, ...]
    generation: int
    alive_at: Instant
    power_safe: bool = False
    maintain: bool = False


class Store(Protocol):
    """Keeps the ledger. Blocking; used by one thread at a time."""

    def load(self, boot_id: BootId) -> Stored:
        """Give what was kept and mark the store as used by *boot_id* from now on.

        Raises:
            StoreError: Unreadable, corrupt or of a newer schema; the file is left as it was.
        """
        ...

    def commit(self, batch: Batch) -> None:
        """Write *batch*, durably against the end of this process when it returns.

        Raises:
            StoreError: Nothing of the batch was written.
        """
        ...

    def close(self) -> None:
        """Give up the file. Idempotent."""
        ...


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


class Stopping(Exception):
    """The daemon takes no more requests."""


class Clock(Protocol):
    """The time, and the boot it counts from."""

    def now(self) -> Moment:
        """Give the present moment."""
        ...

    def boot_id(self) -> BootId:
        """Give the id of the running boot."""
        ...


class IdSource(Protocol):
    """Fresh identities."""

    def lease_id(self) -> LeaseId:
        """Give an id that no lease ever had."""
        ...


class Sampler(Protocol):
    """Reads every device once per call."""

    async def sample(self) -> Reading[NodeReading]:
        """Read all devices, or say in one line why none could be read.

        Never raises for what the driver or the library does, and always returns within the
        sampler's own deadline.
        """
        ...

    async def close(self) -> None:
        """Let go of the library. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A lease whose processes are to be looked for.

    Attributes:
        lease: Its id, as its processes carry it in `GPUSCHED_LEASE`.
        uid: Only processes of this user can belong to it by that sign.
        roots: Processes attached by name.
    """

    lease: LeaseId
    uid: int
    roots: tuple[ProcessId, ...]


class ProcessTable(Protocol):
    """What `/proc` knows. Blocking: a busy host has thousands of processes."""

    def identify(self, pid: int) -> ProcessId | None:
        """Give the identity of the process that has *pid* now; None where there is none."""
        ...

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        """Give real, effective and saved uid; None where the process is gone."""
        ...

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        """Describe the processes among *pids* that exist."""
        ...

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        """Find the living processes of each lease.

        A process belongs to a lease when it is a root, descends from a member (also one that was
        seen earlier and has ended since), or carries the lease's id and its holder's uid.
        """
        ...


class ExitWatch(Protocol):
    """Tells at once when a process ends."""

    def watch(self, process: ProcessId, ended: Callable[[], None]) -> None:
        """Call *ended* in the event loop once *process* has ended, also when it already has."""
        ...

    def close(self) -> None:
        """Forget all. Idempotent."""
        ...


class ServiceManager(Protocol):
    """Whoever started the daemon and wants to hear how it is (systemd's notify protocol)."""

    def notify(self, state: str) -> None:
        """Send one or more assignments such as `READY=1`; never fails."""
        ...

    def watchdog_interval(self) -> float | None:
        """Seconds between `WATCHDOG=1` that are asked for; None where nobody asks."""
        ...
