"""The changes of one batch as statements: what is put, what is dropped, what is told."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpusched.adapters.store.device_rows import ghost_row, marks_row
from gpusched.adapters.store.rows import lease_columns, story_columns
from gpusched.adapters.store.waiting_rows import waiting_columns
from gpusched.core.changes import (
    DriverReleased,
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
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import Lease
from gpusched.core.marks import Marks
from gpusched.core.waiting import Key, Waiting
from gpusched.ports import Batch

_PUT_LEASE = """INSERT INTO lease (id, state, uid, created, ended, row) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, uid = excluded.uid,
    created = excluded.created, ended = excluded.ended, row = excluded.row"""
_DROP_LEASE = "DELETE FROM lease WHERE id = ?"
_PUT_STORY = """INSERT INTO story (sequence, wall, kind, entity, sentence, data)
    VALUES (?, ?, ?, ?, ?, ?)"""
_PUT_GHOST = "INSERT OR REPLACE INTO ghost (device, row) VALUES (?, ?)"
_DROP_GHOST = "DELETE FROM ghost WHERE device = ?"
_PUT_MARKS = "INSERT OR REPLACE INTO mark (device, row) VALUES (?, ?)"
_DROP_MARKS = "DELETE FROM mark WHERE device = ?"
_PUT_WAITING = "INSERT OR REPLACE INTO waiting (uid, request_id, row) VALUES (?, ?, ?)"
_DROP_WAITING = "DELETE FROM waiting WHERE uid = ? AND request_id = ?"
_PUT_RELEASED = "UPDATE meta SET value = ? WHERE key = 'released'"


@dataclass(slots=True)
class SortedBatch:
    """The changes of a batch by what is to be done; of each row only the last version."""

    leases: dict[LeaseId, Lease | None] = field(default_factory=dict)
    waiting: dict[Key, Waiting | None] = field(default_factory=dict)
    ghosts: dict[DeviceUuid, Ghost | None] = field(default_factory=dict)
    marks: dict[DeviceUuid, Marks] = field(default_factory=dict)
    released: list[DriverReleased] = field(default_factory=list)
    told: list[StoryLine] = field(default_factory=list)

    @classmethod
    def of(cls, batch: Batch) -> "SortedBatch":  # noqa: C901 - a dispatch
        """Sort *batch*."""
        found = cls()
        for change in batch.changes:
            match change:
                case LeaseChanged(lease):
                    found.leases[lease.id] = lease
                case LeaseForgotten(lease_id):
                    found.leases[lease_id] = None
                case WaitingChanged(waiting):
                    found.waiting[waiting.key] = waiting
                case WaitingGone(key):
                    found.waiting[key] = None
                case GhostChanged(device, ghost):
                    found.ghosts[device] = ghost
                case MarksChanged(device, marks):
                    found.marks[device] = marks
                case DriverReleased():
                    found.released = [change]
                case StoryTold(line):
                    found.told.append(line)
        return found

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it, inside the transaction that is open.

        Raises:
            sqlite3.Error: Not written.
        """
        put = [lease_columns(one) for one in self.leases.values() if one is not None]
        dropped = [(name,) for name, one in self.leases.items() if one is None]
        waits = [waiting_columns(one) for one in self.waiting.values() if one is not None]
        served = [key for key, one in self.waiting.items() if one is None]
        ghosts = [(name, ghost_row(one)) for name, one in self.ghosts.items() if one is not None]
        gone = [(name,) for name, one in self.ghosts.items() if one is None]
        marks = [(name, marks_row(one)) for name, one in self.marks.items() if not one.none]
        unmarked = [(name,) for name, one in self.marks.items() if one.none]
        rows: tuple[tuple[str, Sequence[tuple[object, ...]]], ...] = (
            (_PUT_LEASE, put),
            (_DROP_LEASE, dropped),
            (_PUT_WAITING, waits),
            (_DROP_WAITING, served),
            (_PUT_GHOST, ghosts),
            (_DROP_GHOST, gone),
            (_PUT_MARKS, marks),
            (_DROP_MARKS, unmarked),
            (_PUT_RELEASED, [(one.why,) for one in self.released]),
            (_PUT_STORY, [story_columns(line) for line in self.told]),
        )
        for statement, values in rows:
            if values:
                connection.executemany(statement, values)
