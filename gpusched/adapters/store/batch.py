"""The changes of one batch as statements: what is put, what is dropped, what is told."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpusched.adapters.store.rows import ghost_row, lease_columns, story_columns
from gpusched.core.changes import (
    GhostChanged,
    LeaseChanged,
    LeaseForgotten,
    StoryLine,
    StoryTold,
)
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import Lease
from gpusched.ports import Batch

_PUT_LEASE = """INSERT INTO lease (id, state, uid, created, ended, row) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, uid = excluded.uid,
    created = excluded.created, ended = excluded.ended, row = excluded.row"""
_DROP_LEASE = "DELETE FROM lease WHERE id = ?"
_PUT_STORY = """INSERT INTO story (sequence, wall, kind, entity, sentence, data)
    VALUES (?, ?, ?, ?, ?, ?)"""
_PUT_GHOST = "INSERT OR REPLACE INTO ghost (device, row) VALUES (?, ?)"
_DROP_GHOST = "DELETE FROM ghost WHERE device = ?"


@dataclass(slots=True)
class SortedBatch:
    """The changes of a batch by what is to be done; of each row only the last version."""

    leases: dict[LeaseId, Lease | None] = field(default_factory=dict)
    ghosts: dict[DeviceUuid, Ghost | None] = field(default_factory=dict)
    told: list[StoryLine] = field(default_factory=list)

    @classmethod
    def of(cls, batch: Batch) -> "SortedBatch":
        """Sort *batch*."""
        found = cls()
        for change in batch.changes:
            match change:
                case LeaseChanged(lease):
                    found.leases[lease.id] = lease
                case LeaseForgotten(lease_id):
                    found.leases[lease_id] = None
                case GhostChanged(device, ghost):
                    found.ghosts[device] = ghost
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
        ghosts = [(name, ghost_row(one)) for name, one in self.ghosts.items() if one is not None]
        gone = [(name,) for name, one in self.ghosts.items() if one is None]
        rows: tuple[tuple[str, Sequence[tuple[object, ...]]], ...] = (
            (_PUT_LEASE, put),
            (_DROP_LEASE, dropped),
            (_PUT_GHOST, ghosts),
            (_DROP_GHOST, gone),
            (_PUT_STORY, [story_columns(line) for line in self.told]),
        )
        for statement, values in rows:
            if values:
                connection.executemany(statement, values)
