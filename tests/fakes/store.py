"""A store in memory that behaves as the real one does, and can be slow or broken on demand.

It meets the suite of `tests/ports/test_store.py`; what only a file can do (be corrupt, be full)
is not imitated.
"""

import threading
from dataclasses import dataclass, field, replace

from gpusched.core.changes import (
    DriverReleased,
    Durable,
    GhostChanged,
    LeaseChanged,
    LeaseForgotten,
    MarksChanged,
    StoryLine,
    StoryTold,
    WaitingChanged,
    WaitingGone,
)
from gpusched.core.ghost import Ghost
from gpusched.core.ids import BootId, DeviceUuid, Instant, LeaseId
from gpusched.core.lease import Lease
from gpusched.core.marks import Marks
from gpusched.core.waiting import Key, Waiting
from gpusched.ports import Batch, Stored, StoreError

STORIES_LOADED = 1000


@dataclass
class Disk:
    """What outlives a `MemoryStore`: give the same one to the next to imitate a restart."""

    leases: dict[LeaseId, Lease] = field(default_factory=dict)
    stories: dict[int, StoryLine] = field(default_factory=dict)
    boot_id: BootId | None = None
    alive_at: Instant | None = None
    generation: int = 0
    ghosts: dict[DeviceUuid, Ghost] = field(default_factory=dict)
    marks: dict[DeviceUuid, Marks] = field(default_factory=dict)
    released: str | None = None
    waiting: dict[Key, Waiting] = field(default_factory=dict)


class MemoryStore:
    """Keeps the ledger in a `Disk`.

    Attributes:
        disk: What is durable now.
        batches: Every batch that was committed, in order.
        broken: While set, loads and commits raise it and keep nothing.
        gate: While cleared, commits wait; set at first.
    """

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = Disk() if disk is None else disk
        self.batches: list[Batch] = []
        self.broken: StoreError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._boot_id: BootId | None = None

    def load(self, boot_id: BootId) -> Stored:
        if self.broken is not None:
            raise self.broken
        self._boot_id = boot_id
        disk = self.disk
        stored = Stored(
            leases=tuple(disk.leases.values()),
            stories=tuple(disk.stories[key] for key in sorted(disk.stories)[-STORIES_LOADED:]),
            boot_id=disk.boot_id,
            alive_at=disk.alive_at,
            generation=disk.generation,
            ghosts=dict(disk.ghosts),
            marks=dict(disk.marks),
            released=disk.released,
            waiting=tuple(disk.waiting.values()),
        )
        disk.boot_id = disk.boot_id or boot_id
        return stored

    def commit(self, batch: Batch) -> None:
        if not self.gate.wait(timeout=30):
            raise StoreError("the test never opened the gate of its store")
        if self.broken is not None:
            raise self.broken
        if self._boot_id is None:
            raise StoreError("cannot write to the ledger: it is not open")
        after = replace(
            self.disk,
            leases=dict(self.disk.leases),
            stories=dict(self.disk.stories),
            ghosts=dict(self.disk.ghosts),
            marks=dict(self.disk.marks),
            waiting=dict(self.disk.waiting),
        )
        for change in batch.changes:
            keep(after, change)
        self.disk.leases, self.disk.stories = after.leases, after.stories
        self.disk.ghosts, self.disk.waiting = after.ghosts, after.waiting
        self.disk.marks, self.disk.released = after.marks, after.released
        self.disk.boot_id = self._boot_id
        self.disk.alive_at, self.disk.generation = batch.alive_at, batch.generation
        self.batches.append(batch)

    def close(self) -> None:
        self._boot_id = None


def keep(disk: Disk, change: Durable) -> None:  # noqa: C901, PLR0912 - a dispatch
    """Make *disk* what it is after a commit of *change*."""
    match change:
        case LeaseChanged(lease):
            disk.leases[lease.id] = lease
        case LeaseForgotten(lease_id):
            disk.leases.pop(lease_id, None)
        case WaitingChanged(waiting):
            disk.waiting[waiting.key] = waiting
        case WaitingGone(key):
            disk.waiting.pop(key, None)
        case GhostChanged(device, ghost):
            disk.ghosts.pop(device, None)
            if ghost is not None:
                disk.ghosts[device] = ghost
        case MarksChanged(device, marks):
            disk.marks.pop(device, None)
            if not marks.none:
                disk.marks[device] = marks
        case DriverReleased(why):
            disk.released = why
        case StoryTold(line):
            if line.sequence in disk.stories:
                raise StoreError(f"story line {line.sequence} is there already")
            disk.stories[line.sequence] = line
