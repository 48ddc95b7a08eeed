"""The database file: made whole or not at all, and looked at without a byte of it being changed.

A ledger that cannot be used is evidence and perhaps repairable, so every check runs on a
read-only connection before a writable one is opened: a writable one alone would already fold the
write-ahead log into the file when it is closed. No rows are read or written here.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from pathlib import Path

from gpusched.adapters.store.faults import CorruptFile
from gpusched.adapters.store.schema import Migration, migrate, version

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another program that has the file locked (somebody's `sqlite3`)."""

_MAGIC = b"SQLite format 3\0"
_SIDECARS = ("-wal", "-shm")


def create(path: Path, migrations: Sequence[Migration]) -> None:
    """Make an empty ledger at *path*, readable by its owner only.

    It is made beside and renamed, so that a ledger is never seen half made: an empty file is
    always one that was lost, and refused.

    Raises:
        CorruptFile: The write-ahead log of a missing ledger lies there; SQLite would play it into
            the new one.
        sqlite3.Error: It cannot be written.
        OSError: It cannot be written.
    """
    if _has_log(path):
        raise CorruptFile("the file is missing, but its log (-wal) is there")
    fresh = _beside(path, ".new")
    for suffix in ("", "-journal", *_SIDECARS):
        _beside(fresh, suffix).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(writable(fresh)) as connection:
        migrate(connection, migrations)
    fresh.rename(path)
    _sync_folder(path.parent)


@contextmanager
def examined(path: Path, migrations: Sequence[Migration]) -> Iterator[sqlite3.Connection]:
    """Check the ledger at *path* and give a connection that shows it in the present schema.

    A file of an older schema is shown as a migrated copy in memory, so that a migration that
    cannot work is known before the file is touched.

    As long as the context is open, closing another connection does not fold the log into the
    file.

    Raises:
        CorruptFile: It is damaged or no database.
        ForeignDatabase: It is the database of another program.
        NewerSchema: A newer gpusched wrote it.
        sqlite3.Error: It cannot be read, or a migration fails on it.
        OSError: It cannot be read.
    """
    _check_header(path)
    before = {suffix for suffix in _SIDECARS if _beside(path, suffix).exists()}
    with closing(_read_only(path)) as connection:
        try:
            _check_pages(connection)
            if version(connection, migrations) == len(migrations):
                yield connection
            else:
                with closing(_migrated_copy(connection, migrations)) as copy:
                    yield copy
        except BaseException:
            _remove_remains(path, before)
            raise


def writable(path: Path) -> sqlite3.Connection:
    """Open the existing file at *path* for writing, with a write-ahead log.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    connection = _connect(path, "mode=rw")
    try:
        # The answer is not checked: where the file system cannot do it, SQLite keeps its other
        # journal, which is slower and as safe.
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, options: str) -> sqlite3.Connection:
    # One thread at a time is the promise of the port; that it is not always the same thread
    # (load in the main thread, commits in the writer's) is harmless to SQLite.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _read_only(path: Path) -> sqlite3.Connection:
    """Open for looking only.

    `immutable` creates no side file, but does not see the log; so where there is one, `mode=ro`,
    which reads it and needs its index (-shm, rebuilt by whoever opens first) but writes neither
    log nor file. Without its log a file may well look damaged: the log may be half folded in.
    """
    return _connect(path, "mode=ro" if _has_log(path) else "immutable=1")


def _check_header(path: Path) -> None:
    # WARNING: never while this process has the database open; closing any descriptor of a file
    # drops all POSIX locks of the process on it, SQLite's too.
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if not start:
        raise CorruptFile("the file is empty")
    if start != _MAGIC:
        raise CorruptFile("it is not an SQLite database")


def _check_pages(connection: sqlite3.Connection) -> None:
    try:
        finding: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise CorruptFile(f"it is damaged: {error}") from error
        raise
    if finding != "ok":
        raise CorruptFile(f"it is damaged: {' '.join(finding.split())}")


def _migrated_copy(
    connection: sqlite3.Connection, migrations: Sequence[Migration]
) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.backup(copy)
        migrate(copy, migrations)
    except BaseException:
        copy.close()
        raise
    return copy


def _remove_remains(path: Path, before: AbstractSet[str]) -> None:
    """Remove the side files that were not there before a refused start; none has content."""
    for suffix in _SIDECARS:
        if suffix not in before and not (suffix == "-wal" and _has_log(path)):
            _beside(path, suffix).unlink(missing_ok=True)


def _has_log(path: Path) -> bool:
    log = _beside(path, "-wal")
    return log.exists() and log.stat().st_size > 0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
