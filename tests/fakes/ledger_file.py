"""A ledger on disk to be damaged, and the sentence with which it is refused.

`refusal` also holds what every refusal promises: one line, and not a byte changed.
"""

import shutil
from pathlib import Path

import pytest

from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.core.ids import BootId
from gpusched.ports import StoreError
from tests.fakes.store_writer import batch

BOOT = BootId("boot")
LEASES = 60


def make_ledger(folder: Path, *, killed: bool) -> Path:
    """A ledger of `LEASES` leases, whose daemon was closed or killed (its log is still there)."""
    made = folder / "made" / "ledger.db"
    path = folder / "state" / "ledger.db"
    made.parent.mkdir()
    store = SqliteStore(made)
    store.load(BOOT)
    for number in range(1, LEASES + 1):
        store.commit(batch(number))
    if not killed:
        store.close()
    shutil.copytree(made.parent, path.parent, ignore=shutil.ignore_patterns("*-shm"))
    store.close()
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(path: Path) -> str:
    """The one line with which the ledger at *path* is refused, untouched."""
    before = contents(path.parent)
    with pytest.raises(StoreError) as refused:
        SqliteStore(path).load(BOOT)
    assert contents(path.parent) == before
    line = str(refused.value)
    assert line.startswith(f"cannot open the ledger {path}: ")
    assert "\n" not in line
    return line
