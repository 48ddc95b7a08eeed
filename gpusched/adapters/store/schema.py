"""The tables, and how an older file becomes a present one.

The table of migrations only ever grows: what a released gpusched wrote stays readable. No other
module creates or alters a table; a row is read here only to give it a newer form.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, TypedDict

APPLICATION_ID = 0x67707573
"""`gpus` in the file's header: another program's database is refused, never migrated."""

# `lease` keeps its rowid: ids are random, so rows in the order of their ids would dirty a page
# each, while appended ones share it; a batch of 64 takes 2.5 ms without rowid and 1.4 ms with it.
_TABLES = (
    """CREATE TABLE lease (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, uid INTEGER NOT NULL,
        created INTEGER NOT NULL, ended INTEGER, row TEXT NOT NULL
    )""",
    """CREATE TABLE story (
        sequence INTEGER PRIMARY KEY, wall INTEGER NOT NULL, kind TEXT NOT NULL,
        entity TEXT NOT NULL, sentence TEXT NOT NULL, data TEXT NOT NULL
    )""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('boot_id', NULL), ('alive_at', NULL), ('generation', 0)",
)


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _TABLES:
        connection.execute(statement)


def _add_masks_and_ghosts(connection: sqlite3.Connection) -> None:
    """Make rows of format 2: leases have cgroups and a level with a reason, shares a baseline."""
    connection.execute("CREATE TABLE ghost (device TEXT PRIMARY KEY, row TEXT NOT NULL)")
    _each_lease(connection, _with_mask)


def _add_marks_and_peaks(connection: sqlite3.Connection) -> None:
    """Make rows of format 3: leases have peaks, violations and an answer to over-use."""
    connection.execute("CREATE TABLE mark (device TEXT PRIMARY KEY, row TEXT NOT NULL)")
    connection.execute("INSERT INTO meta VALUES ('released', NULL)")
    _each_lease(connection, _with_peaks)


def _add_preferences(connection: sqlite3.Connection) -> None:
    """Make rows of format 4: requests say what they prefer, some wait, leases may be idle."""
    connection.execute(
        "CREATE TABLE waiting (uid INTEGER NOT NULL, request_id TEXT NOT NULL, row TEXT NOT NULL,"
        " PRIMARY KEY (uid, request_id))"
    )
    _each_lease(connection, _with_preferences)


def _each_lease(connection: sqlite3.Connection, newer: Callable[["_Row"], "_Row"]) -> None:
    """Give every lease's row its newer form; one that cannot be read stays as it is."""
    for lease_id, text in connection.execute("SELECT id, row FROM lease").fetchall():
        # Reading it says what is wrong.
        with suppress(ValueError, LookupError, TypeError, RecursionError):
            changed = json.dumps(newer(json.loads(text)), separators=(",", ":"))
            connection.execute("UPDATE lease SET row = ? WHERE id = ?", (changed, lease_id))


class _Clocks(TypedDict):
    kill: None
    settle: None


class _Share(TypedDict):
    baseline: None
    peak: None
    total: None
    pool: str
    alone: bool


class _Request(TypedDict):
    confines_itself: bool
    over_use: str
    min_count: None
    max_count: None
    memory_fraction: None
    sharing: str
    allow_larger_mig: bool
    topology: str
    topology_required: bool
    placement: str
    pool: None
    priority: None
    wait: None
    wait_without_limit: bool
    affinity_key: str


class _Row(TypedDict):
    """The fields of a lease's row that later formats added."""

    format: int
    cgroup: None
    origin: str
    level_reason: str
    detail: str
    clocks: _Clocks
    request: _Request
    shares: list[_Share]
    peak: None
    violations: list[object]
    adopted: bool
    groups: list[int]
    idle: None
    giving_way: None
    priority: None


def _with_mask(row: _Row) -> _Row:
    if row["format"] != 1:
        raise ValueError("not a row of this schema")
    row["format"], row["cgroup"] = 2, None
    row["origin"] = row["level_reason"] = row["detail"] = ""
    row["clocks"]["kill"] = row["clocks"]["settle"] = None
    row["request"]["confines_itself"] = False
    for share in row["shares"]:
        share["baseline"] = None
    return row


def _with_peaks(row: _Row) -> _Row:
    if row["format"] != 2:  # noqa: PLR2004 - the format before
        raise ValueError("not a row of this schema")
    row["format"], row["peak"], row["violations"], row["adopted"] = 3, None, [], False
    row["request"]["over_use"] = "configured"
    for share in row["shares"]:
        share["peak"] = None
    return row


def _with_preferences(row: _Row) -> _Row:
    if row["format"] != 3:  # noqa: PLR2004 - the format before
        raise ValueError("not a row of this schema")
    row["format"], request = 4, row["request"]
    row["idle"] = row["giving_way"] = row["priority"] = None
    request["min_count"] = request["max_count"] = request["memory_fraction"] = None
    request["pool"] = request["priority"] = request["wait"] = None
    request["sharing"] = request["topology"] = request["placement"] = "configured"
    request["allow_larger_mig"] = request["topology_required"] = False
    request["wait_without_limit"], request["affinity_key"] = False, ""
    row["groups"] = []
    for share in row["shares"]:
        # How large a whole device was is found nowhere: its lease counts no memory in a quota.
        share["total"], share["pool"], share["alone"] = None, "default", False
    return row


Migration: TypeAlias = Callable[[sqlite3.Connection], None]
"""One step of the schema; runs inside a transaction and must not end it."""

MIGRATIONS: tuple[Migration, ...] = (
    _create_tables,
    _add_masks_and_ghosts,
    _add_marks_and_peaks,
    _add_preferences,
)
"""Step n makes schema n + 1 of schema n; their number is the present schema."""


class NewerSchema(Exception):
    """The file was written by a newer gpusched.

    Attributes:
        found: Schema of the file.
        known: Newest schema known here.
    """

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"it has schema {found}, this gpusched knows {known}")
        self.found = found
        self.known = known


class ForeignDatabase(Exception):
    """The file is an SQLite database, but no ledger."""


def version(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> int:
    """Read which schema the file has.

    Raises:
        ForeignDatabase: It is not gpusched's.
        NewerSchema: It is of a newer gpusched.
    """
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise ForeignDatabase("it is a database of another program")
    found = _pragma(connection, "user_version")
    if found > len(migrations):
        raise NewerSchema(found, len(migrations))
    return found


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Run the missing steps in one transaction; nothing is changed when one of them fails.

    Also where none is missing the transaction writes a page, so that a file that cannot be
    written is found out here.

    Args:
        connection: Without a transaction under way.
        migrations: All steps, the first one first.

    Raises:
        sqlite3.Error: A step failed, or nothing can be written.
    """
    with connection:  # ends the transaction, one way or the other
        connection.execute("BEGIN IMMEDIATE")
        for step in migrations[_pragma(connection, "user_version") :]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
