"""A ledger that cannot be understood: refused in one line, and left as it was."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gpusched.adapters.store.schema import MIGRATIONS
from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.ports import StoreError
from tests.fakes.ledger_file import BOOT, LEASES, contents, make_ledger, refusal


@pytest.fixture(params=["closed", "killed"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_ledger(tmp_path, killed=request.param == "killed")


def edit(path: Path, statement: str) -> None:
    """Change the database without folding its log into the file."""
    with closing(sqlite3.connect(path)) as keeper, closing(sqlite3.connect(path)) as connection:
        keeper.execute("SELECT * FROM meta").fetchone()
        connection.execute(statement)
        connection.commit()
        saved = path.parent.with_name("saved")
        shutil.copytree(path.parent, saved, ignore=shutil.ignore_patterns("*-shm"))
    shutil.rmtree(path.parent)
    saved.rename(path.parent)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Overwrite everything behind the first page."""
    with path.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xa5" * (path.stat().st_size - 4096))


def replace_by_text(path: Path) -> None:
    path.write_text("this is a text, and certainly longer than the header of a database\n" * 4)


def test_sound_ledger_is_loaded(ledger: Path) -> None:
    """A ledger is loaded whole, whether its daemon ended in order or was killed."""
    with closing(SqliteStore(ledger)) as store:
        stored = store.load(BOOT)
    assert len(stored.leases) == len(stored.stories) == stored.generation == LEASES


@pytest.mark.parametrize("ledger", ["closed"], indirect=True)
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (truncate, "the file is empty"),
        (halve, "it is damaged"),
        (scribble, "it is damaged"),
        (replace_by_text, "it is not an SQLite database"),
    ],
)
def test_corrupt_file_is_left_as_it_was(
    ledger: Path, damage: Callable[[Path], None], why: str
) -> None:
    """A corrupt ledger is refused with the reason and the command that moves it away, and not a
    byte of it is changed.
    """
    damage(ledger)
    line = refusal(ledger)
    assert f": {why}" in line
    assert "the file was left as it was; move it away to start with an empty ledger" in line


@pytest.mark.parametrize("ledger", ["killed"], indirect=True)
@pytest.mark.parametrize("damage", [truncate, replace_by_text])
def test_corrupt_file_keeps_its_log(ledger: Path, damage: Callable[[Path], None]) -> None:
    """The log beside a corrupt ledger is neither replayed nor removed: it may be the rescue."""
    damage(ledger)
    refusal(ledger)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE lease SET row = '{' WHERE uid = 1000", "the row of lease lease-0000000001 can"),
        (
            "UPDATE lease SET row = replace(row, '\"active\"', '\"asleep\"')",
            "the row of lease lease-0000000001 cannot be read: unknown state 'asleep'",
        ),
        (
            "UPDATE lease SET row = (SELECT row FROM lease WHERE id = 'lease-0000000002')",
            "the row of lease lease-0000000001 is that of lease-0000000002",
        ),
        (
            "UPDATE story SET kind = 'gossip' WHERE sequence = 3",
            "story line 3 cannot be read: unknown kind 'gossip'",
        ),
        (
            "INSERT INTO ghost VALUES ('GPU-1', '{}')",
            "the row of the ghost memory of GPU-1 cannot be read: memory is missing",
        ),
        ("DELETE FROM meta WHERE key = 'generation'", "generation is missing"),
        ("DROP TABLE story", "no such table: story"),
        ("PRAGMA application_id = 7", "it is a database of another program"),
    ],
)
def test_unreadable_row_is_left_as_it_was(ledger: Path, statement: str, why: str) -> None:
    """A ledger with a row that cannot be understood is refused, naming the row, and not a byte of
    file and log is changed.
    """
    edit(ledger, statement)
    line = refusal(ledger)
    assert why in line
    assert "move it away" in line


def test_newer_schema_is_refused(ledger: Path) -> None:
    """The ledger of a newer gpusched is refused, naming both schemas and both ways out."""
    edit(ledger, "PRAGMA user_version = 99")
    line = refusal(ledger)
    assert f"it has schema 99, this gpusched knows {len(MIGRATIONS)}" in line
    assert "use the newer gpusched" in line
    assert "--state-dir" in line


def add_note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE lease ADD COLUMN note TEXT DEFAULT '-'")


def add_note_again(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE lease ADD COLUMN note2 TEXT DEFAULT '-'")


def test_older_schema_is_migrated(ledger: Path) -> None:
    """The ledger of an older gpusched is brought to the present schema, once."""
    newer = (*MIGRATIONS, add_note, add_note_again)
    for _ in range(2):
        with closing(SqliteStore(ledger, migrations=newer)) as store:
            assert len(store.load(BOOT).leases) == LEASES
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)
        assert connection.execute("SELECT note, note2 FROM lease").fetchone() == ("-", "-")


def test_failing_migration_leaves_file_as_it_was(ledger: Path) -> None:
    """A migration that fails in its second step leaves nothing of the first."""
    before = contents(ledger.parent)
    with pytest.raises(StoreError, match="duplicate column name: note"):
        SqliteStore(ledger, migrations=(*MIGRATIONS, add_note, add_note)).load(BOOT)
    assert contents(ledger.parent) == before


@pytest.mark.parametrize("ledger", ["killed"], indirect=True)
def test_log_without_file_is_refused(ledger: Path) -> None:
    """Where only the log of a ledger is left, no new one is begun: the log would end up in it."""
    ledger.unlink()
    assert "the file is missing, but its log (-wal) is there" in refusal(ledger)


@pytest.mark.parametrize("ledger", ["killed"], indirect=True)
def test_advice_leads_to_empty_ledger(ledger: Path) -> None:
    """The command that a refusal names moves the ledger away, log included; then it starts."""
    replace_by_text(ledger)
    command = refusal(ledger).partition("empty ledger: ")[2]
    subprocess.run(["/bin/sh", "-c", command], check=True)  # noqa: S603 - the advice is the test
    with closing(SqliteStore(ledger)) as store:
        assert store.load(BOOT).leases == ()
    assert {path.name for path in (ledger.parent / "broken").iterdir()} == {
        "ledger.db",
        "ledger.db-wal",
    }
