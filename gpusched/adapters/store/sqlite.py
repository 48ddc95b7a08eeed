"""The store of the real daemon: one SQLite file, one transaction per batch.

Everything blocks; the engine calls from its writer thread. Form of the rows, checks of the file
and words of the errors live in the modules beside.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gpusched.adapters.store.batch import SortedBatch
from gpusched.adapters.store.device_rows import decode_ghost, decode_marks
from gpusched.adapters.store.faults import CorruptFile, cannot_commit, cannot_open, not_open
from gpusched.adapters.store.fields import Fields, UnreadableRow
from gpusched.adapters.store.file import create, examined, writable
from gpusched.adapters.store.rows import decode_lease, decode_story
from gpusched.adapters.store.schema import (
    MIGRATIONS,
    ForeignDatabase,
    Migration,
    NewerSchema,
    migrate,
)
from gpusched.adapters.store.waiting_rows import decode_waiting
from gpusched.core.changes import StoryLine
from gpusched.core.ids import BootId, DeviceUuid
from gpusched.core.lease import Lease
from gpusched.core.waiting import Waiting
from gpusched.ports import Batch, Stored

T = TypeVar("T")

STORIES_KEPT = 100_000
"""Story lines kept unless the constructor is told otherwise."""

STORIES_LOADED = 1000
"""Newest story lines that `load` gives."""

_TRIM_STORY = "DELETE FROM story WHERE sequence <= (SELECT max(sequence) FROM story) - ?"
# The newest line stays, whatever its age: the next one is numbered after it.
_AGE_STORY = """DELETE FROM story
    WHERE wall < ? AND sequence < (SELECT max(sequence) FROM story)"""
_NEWEST_STORIES = """SELECT sequence, wall, kind, entity, sentence, data FROM story
    WHERE wall >= ? OR sequence = (SELECT max(sequence) FROM story)
    ORDER BY sequence DESC LIMIT ?"""
# One statement for all three rows: each statement hands the interpreter lock over and back.
_PUT_META = """UPDATE meta SET value = CASE key
    WHEN 'boot_id' THEN ? WHEN 'alive_at' THEN ? WHEN 'generation' THEN ? ELSE value END"""

_PUT_FIRST_BOOT = "UPDATE meta SET value = ? WHERE key = 'boot_id' AND value IS NULL"


class SqliteStore:
    """Keeps the ledger in an SQLite file; see `ports.Store`.

    Args:
        path: The file; made by `load` where there is none. Its folder must exist, and be locked
            (`StateLock`): nothing here keeps a second daemon out.
        stories_kept: Story lines to keep, at least; the oldest go first.
        stories_time: Nanoseconds for which they are kept; None: for ever.
        wall: Gives Unix time in nanoseconds, by which a line has its age.
        migrations: Another table of migrations than the shipped one, for tests of upgrades.
    """

    def __init__(
        self,
        path: Path,
        *,
        stories_kept: int = STORIES_KEPT,
        stories_time: int | None = None,
        wall: Callable[[], int] = time.time_ns,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._path = path
        self._stories_kept = stories_kept
        self._stories_time = stories_time
        self._wall = wall
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None
        self._boot_id = BootId("")
        self._power_safe: bool | None = None

    def load(self, boot_id: BootId) -> Stored:
        """Give what was kept, and prove that more can be written.

        The boot id on record changes with the first commit, not here: boot, instant and
        generation must be of the same write. Were it changed now, a daemon that dies before it
        has ended the leases of the former boot would take them for living ones at its next start.

        Args:
            boot_id: Goes on record with every commit from now on; at once where the store is new.

        Returns:
            All leases and requests that wait, and the newest `STORIES_LOADED` story lines that
            are not too old.

        Raises:
            StoreError: Unreadable, corrupt, of a newer schema or not writable; the file is left
                as it was.
        """
        self.close()
        self._boot_id = boot_id
        try:
            if not self._path.exists():
                create(self._path, self._migrations)
            with examined(self._path, self._migrations) as reader:
                stored = _read(reader, self._oldest())
                # Inside: as long as the reader is open, a failure folds no log into the file.
                self._connection = _opened(self._path, self._migrations, boot_id)
        except (OSError, sqlite3.Error) as error:
            raise cannot_open(self._path, error) from error
        except (CorruptFile, ForeignDatabase, NewerSchema, UnreadableRow) as error:
            raise cannot_open(self._path, error) from error
        return stored

    def commit(self, batch: Batch) -> None:
        """Write *batch* in one transaction.

        Raises:
            StoreError: Not written. After an error of the disk itself (fsync) only the next
                `load` can tell, so whoever commits must not go on.
        """
        connection = self._connection
        if connection is None:
            raise not_open(self._path)
        changes = SortedBatch.of(batch)
        try:
            self._set_synchronous(connection, power_safe=batch.power_safe)
            connection.execute("BEGIN IMMEDIATE")
            changes.write(connection)
            if batch.maintain:
                connection.execute(_TRIM_STORY, (self._stories_kept,))
                connection.execute(_AGE_STORY, (self._oldest(),))
            connection.execute(_PUT_META, (self._boot_id, batch.alive_at, batch.generation))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):  # the first error is the one to tell
                connection.rollback()
            raise cannot_commit(self._path, error) from error
        if batch.maintain:
            with suppress(sqlite3.Error):  # the batch is written; the log stays for the next time
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Fold the log into the file and give it up. Idempotent."""
        connection, self._connection = self._connection, None
        self._power_safe = None
        if connection is None:
            return
        with suppress(sqlite3.Error):  # then the log stays, and the next load reads it
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def _oldest(self) -> int:
        """Give the Unix time from which on story lines are kept."""
        return 0 if self._stories_time is None else self._wall() - self._stories_time

    def _set_synchronous(self, connection: sqlite3.Connection, *, power_safe: bool) -> None:
        if power_safe != self._power_safe:
            # SQLite ignores this inside a transaction, hence before BEGIN.
            level = "FULL" if power_safe else "NORMAL"
            connection.execute(f"PRAGMA synchronous = {level}")
            self._power_safe = power_safe


def _opened(path: Path, migrations: Sequence[Migration], boot_id: BootId) -> sqlite3.Connection:
    connection = writable(path)
    try:
        migrate(connection, migrations)
        connection.execute(_PUT_FIRST_BOOT, (boot_id,))
        # Folding the log syncs: that is left to the batches that may take long.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def _read(connection: sqlite3.Connection, oldest: int) -> Stored:
    meta = Fields(dict(connection.execute("SELECT key, value FROM meta")))
    boot_id = meta.maybe("boot_id", meta.text)
    return Stored(
        leases=tuple(_read_leases(connection)),
        stories=tuple(_read_stories(connection, oldest)),
        boot_id=None if boot_id is None else BootId(boot_id),
        alive_at=meta.maybe("alive_at", meta.instant),
        generation=meta.number("generation"),
        ghosts=dict(_by_device(connection, "ghost", decode_ghost, "ghost memory")),
        marks=dict(_by_device(connection, "mark", decode_marks, "marks")),
        released=meta.maybe("released", meta.text),
        waiting=tuple(_read_waiting(connection)),
    )


def _by_device(
    connection: sqlite3.Connection, table: str, decode: Callable[[str], T], what: str
) -> Iterator[tuple[DeviceUuid, T]]:
    """Read a table of one row for each device that has something of its kind."""
    for device, row in connection.execute(f"SELECT device, row FROM {table}"):  # noqa: S608 - ours
        try:
            yield DeviceUuid(device), decode(row)
        except UnreadableRow as error:
            why = f"the row of the {what} of {device} cannot be read: {error}"
            raise UnreadableRow(why) from error


def _read_leases(connection: sqlite3.Connection) -> Iterator[Lease]:
    for name, row in connection.execute("SELECT id, row FROM lease ORDER BY created, id"):
        try:
            lease = decode_lease(row)
        except UnreadableRow as error:
            raise UnreadableRow(f"the row of lease {name} cannot be read: {error}") from error
        if lease.id != name:
            raise UnreadableRow(f"the row of lease {name} is that of {lease.id}")
        yield lease


def _read_waiting(connection: sqlite3.Connection) -> Iterator[Waiting]:
    for uid, request_id, row in connection.execute("SELECT uid, request_id, row FROM waiting"):
        name = f"the row of request {request_id!r} of uid {uid}"
        try:
            waiting = decode_waiting(row)
        except UnreadableRow as error:
            raise UnreadableRow(f"{name} cannot be read: {error}") from error
        if waiting.key != (uid, request_id):
            raise UnreadableRow(f"{name} is that of {waiting.request.request_id!r}")
        yield waiting


def _read_stories(connection: sqlite3.Connection, oldest: int) -> list[StoryLine]:
    """Read the newest lines that are no older than *oldest*, oldest first."""
    lines: list[StoryLine] = []
    for columns in connection.execute(_NEWEST_STORIES, (oldest, STORIES_LOADED)):
        try:
            lines.append(decode_story(columns))
        except UnreadableRow as error:
            raise UnreadableRow(f"story line {columns[0]} cannot be read: {error}") from error
    lines.reverse()
    return lines
