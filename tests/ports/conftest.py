"""Fixtures of more than one suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.ports import Store
from tests.fakes.store import Disk, MemoryStore
from tests.ports.store_worlds import Start


@pytest.fixture(params=["memory", "sqlite"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts stores in memory, and in a file."""
    disk = Disk()
    opened: list[Store] = []

    def begin() -> Store:
        for store in opened:
            store.close()
        memory = request.param == "memory"
        opened.append(MemoryStore(disk) if memory else SqliteStore(tmp_path / "ledger.db"))
        return opened[-1]

    yield begin
    for store in opened:
        store.close()
