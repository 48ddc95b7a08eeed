"""Where the ledger is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gpusched.core.changes import Durable, StoryLine
from gpusched.core.ghost import Ghost
from gpusched.core.ids import BootId, DeviceUuid, Instant
from gpusched.core.lease import Lease
from gpusched.core.marks import Marks
from gpusched.core.waiting import Waiting


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
        ghosts: Memory that had not come back, by device.
        marks: Cordons and taints, by device.
        released: Why an operator had the driver let go; None: it is not let go.
        waiting: Requests that wait.
    """

    leases: tuple[Lease, ...] = ()
    stories: tuple[StoryLine, ...] = ()
    boot_id: BootId | None = None
    alive_at: Instant | None = None
    generation: int = 0
    ghosts: Mapping[DeviceUuid, Ghost] = field(default_factory=dict)
    marks: Mapping[DeviceUuid, Marks] = field(default_factory=dict)
    released: str | None = None
    waiting: tuple[Waiting, ...] = ()


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
