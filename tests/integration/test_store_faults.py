"""What bad luck does to the ledger on disk: no space, no permission, another's lock, `kill -9`."""

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gpusched.adapters.store import file
from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.ids import SECOND, Instant
from gpusched.ports import Batch, StoreError
from tests.fakes.ledger_file import BOOT, LEASES, contents, make_ledger, refusal
from tests.fakes.store_writer import batch

ROOT = Path(__file__).parent.parent.parent
NOBODY = 65534
KILLS = 20


@pytest.fixture(params=["closed", "killed"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_ledger(tmp_path, killed=request.param == "killed")


def test_ledger_is_private(ledger: Path) -> None:
    """Only the daemon's user may read the ledger and its log: requests carry people's labels."""
    store = SqliteStore(ledger.with_name("new.db"))
    store.load(BOOT)
    modes = {path.stat().st_mode & 0o777 for path in ledger.parent.glob("new.db*")}
    store.close()
    assert modes == {0o600}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="gps-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Iterator[Callable[[], None]]:
    """Lets the test become somebody for whom permissions count, until it ends."""
    user = os.geteuid()
    yield lambda: os.seteuid(user or NOBODY)
    os.seteuid(user)


def test_unreadable_file_is_refused(
    ledger: Path, open_folder: Path, unprivileged: Callable[[], None]
) -> None:
    """A ledger that the daemon's user may not read is refused, saying what it needs."""
    path = open_folder / "ledger.db"
    shutil.copy(ledger, path)
    path.chmod(0o000)
    unprivileged()
    with pytest.raises(StoreError, match="permission denied; let the daemon's user read and"):
        SqliteStore(path).load(BOOT)


@pytest.mark.parametrize("present", [False, True])
def test_read_only_folder_is_refused(
    ledger: Path, open_folder: Path, unprivileged: Callable[[], None], *, present: bool
) -> None:
    """In a folder that cannot be written the daemon does not start, and the ledger is left as it
    was; also when there was none.
    """
    path = open_folder / "ledger.db"
    if present:
        shutil.copy(ledger, path)
        path.chmod(0o444)
    before = contents(open_folder)
    open_folder.chmod(0o555)
    unprivileged()
    with pytest.raises(StoreError, match="let the daemon's user read and write"):
        SqliteStore(path).load(BOOT)
    assert contents(open_folder) == before


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """Without its folder a ledger is refused in one line."""
    with pytest.raises(StoreError, match="no such file or directory"):
        SqliteStore(tmp_path / "none" / "ledger.db").load(BOOT)


def test_locked_database_is_refused(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the database a commit is refused, naming how to find it."""
    monkeypatch.setattr(file, "BUSY_TIMEOUT", 0.0)
    with closing(SqliteStore(ledger)) as store, closing(sqlite3.connect(ledger)) as other:
        store.load(BOOT)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked .*\(fuser"):
            store.commit(batch(LEASES + 1))
        other.rollback()
        store.commit(batch(LEASES + 1))


def test_history_is_trimmed(tmp_path: Path) -> None:
    """Maintenance cuts the history to its newest lines."""
    path = tmp_path / "ledger.db"
    with closing(SqliteStore(path, stories_kept=10)) as store:
        store.load(BOOT)
        for number in range(1, 30):
            store.commit(batch(number))
        store.commit(replace(batch(30), maintain=True))
        stored = store.load(BOOT)
    assert [line.sequence for line in stored.stories] == list(range(21, 31))


def test_history_has_an_age(tmp_path: Path) -> None:
    """Lines that are too old are not loaded, and maintenance cuts them off; the newest stays, for
    the next is numbered after it.
    """
    path, month, now = tmp_path / "ledger.db", 30 * 86_400 * SECOND, [0]
    with closing(SqliteStore(path, stories_time=month, wall=lambda: now[0])) as store:
        store.load(BOOT)
        for number in range(1, 4):
            store.commit(told(number, number * SECOND))
        now[0] = 2 * SECOND + month
        assert [line.sequence for line in store.load(BOOT).stories] == [2, 3]
        store.commit(replace(told(4, now[0]), maintain=True))
        now[0] = 0
        assert [line.sequence for line in store.load(BOOT).stories] == [2, 3, 4]
        now[0] = 3 * month
        assert [line.sequence for line in store.load(BOOT).stories] == [4]
        store.commit(replace(told(5, 5 * SECOND), maintain=True))
        now[0] = 0
        assert [line.sequence for line in store.load(BOOT).stories] == [5]


def told(number: int, wall: int) -> Batch:
    """A batch of one line of history."""
    line = StoryLine(wall, StoryKind.DAEMON, "daemon", "said", sequence=number)
    return Batch((StoryTold(line),), number, Instant(number))


def test_log_is_folded_by_maintenance_only(tmp_path: Path) -> None:
    """The log of what was written grows until maintenance folds it into the file."""
    path, log = tmp_path / "ledger.db", tmp_path / "ledger.db-wal"
    with closing(SqliteStore(path)) as store:
        store.load(BOOT)
        for number in range(1, 1200):
            store.commit(batch(number))
        grown, before = log.stat().st_size, path.stat().st_size
        store.commit(replace(batch(1200), maintain=True))
        assert path.stat().st_size > before
        store.commit(batch(1201))
        assert log.stat().st_size <= grown + 40_000


def write(path: Path, first: int, *limits: int) -> "subprocess.Popen[str]":
    arguments = [str(path), str(first), *map(str, limits)]
    return subprocess.Popen(  # noqa: S603 - this interpreter, no shell
        [sys.executable, "-m", "tests.fakes.store_writer", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def granted(path: Path) -> set[int]:
    """The numbers of the leases that the ledger at *path* has."""
    with closing(SqliteStore(path)) as store:
        return {lease.created.wall for lease in store.load(BOOT).leases}


def test_kill_loses_nothing(tmp_path: Path) -> None:
    """`kill -9` at any moment loses no acknowledged commit, 20 times over on one ledger."""
    path = tmp_path / "ledger.db"
    chance = random.Random(20)  # noqa: S311 - moments of a test, not secrets
    acknowledged: set[int] = set()
    for _ in range(KILLS):
        with write(path, max(acknowledged, default=0) + 1000) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randint(1, 400)):
                acknowledged.add(int(writer.stdout.readline()))
            writer.kill()
            # What it wrote before it died, a torn last line excepted.
            acknowledged |= {int(line) for line in writer.stdout if line.endswith("\n")}
        assert acknowledged <= granted(path)


def written_until_refused(path: Path, *limits: int) -> tuple[set[int], str]:
    """Let a writer run into the end of its space; its acknowledged leases and its last line."""
    with write(path, 1, *limits) as writer:
        assert writer.stdout is not None
        *numbers, last = writer.stdout.read().splitlines()
    assert writer.returncode == 1
    return set(map(int, numbers)), last


def test_file_limit_refuses_commit(tmp_path: Path) -> None:
    """A commit that the operating system refuses is refused in one line; all earlier ones stay."""
    path = tmp_path / "ledger.db"
    acknowledged, last = written_until_refused(path, 400_000)
    assert re.match(r"refused: cannot write to the ledger .*: .* \(df, dmesg\) and start", last)
    assert acknowledged == granted(path)
    assert len(acknowledged) > 5


def test_start_without_space_leaves_file_as_it_was(ledger: Path) -> None:
    """Where not a byte can be written the daemon does not start; file and log stay as they are."""
    before = contents(ledger.parent)
    acknowledged, last = written_until_refused(ledger, 0)
    assert not acknowledged
    assert last.startswith(f"refused: cannot open the ledger {ledger}: ")
    assert contents(ledger.parent) == before


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    # Not below tmp_path: pytest renames and removes old ones, in every later run.
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(open_folder)]
    subprocess.run(mount, check=True)  # noqa: S603 - fixed words and the test's own folder
    yield open_folder
    # Lazily: a failed test may still have a file open, and the mount must not stay.
    subprocess.run(["/bin/umount", "--lazy", open_folder], check=True)  # noqa: S603 - see above


def fill(folder: Path) -> Path:
    """Leave no space in the file system of *folder*; give the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as hog, pytest.raises(OSError, match="No space left"):
        for _ in iter(lambda: hog.write(bytes(4096)), 0):
            pass
    return filler


@pytest.mark.root
def test_full_disk_refuses_commit(small_disk: Path, tmp_path: Path) -> None:
    """On a full disk a commit is refused, naming the folder to make space in, and everything
    acknowledged is there.
    """
    path = small_disk / "ledger.db"
    acknowledged, last = written_until_refused(path)
    assert f"the disk is full (SQLITE_FULL); make space in {small_disk} and start" in last
    shutil.copytree(small_disk, tmp_path / "copy")
    assert granted(tmp_path / "copy" / "ledger.db") == acknowledged


@pytest.mark.root
def test_full_disk_refuses_start(ledger: Path, small_disk: Path) -> None:
    """On a full disk the daemon does not start and leaves the ledger as it was; with space again
    it starts.
    """
    path = small_disk / "state" / "ledger.db"
    shutil.copytree(ledger.parent, path.parent)
    filler = fill(small_disk)
    assert re.search(r"disk is full|disk I/O error", refusal(path))
    filler.unlink()
    assert len(granted(path)) == LEASES
