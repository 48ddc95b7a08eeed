"""Ledgers of earlier gpusched, each brought to the present schema with everything in it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gpusched.adapters.store.file import create
from gpusched.adapters.store.schema import MIGRATIONS
from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import Level
from gpusched.core.ids import Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import OverUse
from gpusched.ports import Stored, StoreError
from tests.fakes.ledger_file import BOOT, contents

ROWS = Path(__file__).parents[1] / "unit"
FIRST_ROW = (ROWS / "lease_row.1.golden.json").read_text()
"""A row as the gpusched of schema 1 wrote it; never written anew."""

SECOND_ROW = (ROWS / "lease_row.2.golden.json").read_text()
"""A row as the gpusched of schema 2 wrote it; never written anew."""


THIRD_ROW = (ROWS / "lease_row.3.golden.json").read_text()
"""A row as the gpusched of schema 3 wrote it; never written anew."""


def old_ledger(folder: Path, row: str = FIRST_ROW, schema: int = 1) -> Path:
    """A ledger of an earlier schema with one ended lease."""
    folder.mkdir()
    path = folder / "ledger.db"
    create(path, MIGRATIONS[:schema])
    with closing(sqlite3.connect(path)) as connection:
        values = ("lease-0123456789", "ended", 1000, 21, 71, row)
        connection.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?)", values)
        connection.execute("INSERT INTO story VALUES (1, 9, 'daemon', 'daemon', 'began', '{}')")
        connection.execute("UPDATE meta SET value = 3 WHERE key = 'generation'")
        connection.commit()
    return path


def loaded(path: Path) -> Stored:
    with closing(SqliteStore(path)) as store:
        return store.load(BOOT)


def test_a_lease_of_schema_1_is_kept(tmp_path: Path) -> None:
    """A lease from before there were masks is what it was: advisory, in no cgroup, with the
    clocks it had and no others, and with nothing known of the memory before it.
    """
    path = old_ledger(tmp_path / "state")
    for _ in range(2):
        (lease,) = loaded(path).leases
        check_first(lease)


def check_first(lease: Lease) -> None:
    """The lease that `FIRST_ROW` tells of."""
    assert (lease.id, lease.state) == (LeaseId("lease-0123456789"), LeaseState.ENDED)
    assert (lease.uid, lease.gid, lease.user) == (1000, 100, "ann")
    assert (lease.cgroup, lease.origin) == (None, "")
    assert (lease.level, lease.level_reason) == (Level.ADVISORY, "")
    assert lease.clocks == Clocks(Instant(40), Instant(41), Instant(42))
    assert [share.memory for share in lease.shares] == [4 << 30, None]
    assert [share.baseline for share in lease.shares] == [None, None]
    assert lease.processes == (ProcessId(30, 31),)
    assert lease.ended == Moment(Instant(70), 71)
    assert (lease.reason, lease.detail) == (EndReason.RELEASED, "")
    assert lease.request.attach_caller
    assert not lease.request.confines_itself


def test_a_lease_of_schema_2_is_kept(tmp_path: Path) -> None:
    """A lease from before there were peaks has none, nor violations; it was asked for, and what
    happens to it when it holds too much is what is configured.
    """
    path = old_ledger(tmp_path / "state", SECOND_ROW, schema=2)
    for _ in range(2):
        (lease,) = loaded(path).leases
        assert (lease.peak, lease.violations, lease.adopted) == (None, (), False)
        assert [share.peak for share in lease.shares] == [None, None]
        assert [share.baseline for share in lease.shares] == [5, None]
        assert lease.request.over_use is OverUse.CONFIGURED
        assert (lease.level, lease.detail) == (Level.DEVICE_PROGRAM, "not needed")


def test_a_lease_of_schema_3_is_kept(tmp_path: Path) -> None:
    """A lease from before there was a queue preferred nothing, and did not wait."""
    path = old_ledger(tmp_path / "state", THIRD_ROW, schema=3)
    for _ in range(2):
        (lease,) = loaded(path).leases
        request = lease.request
        assert (request.min_count, request.max_count, request.memory_fraction) == (
            None,
            None,
            None,
        )
        assert (request.sharing, request.topology) == (Sharing.CONFIGURED, Topology.CONFIGURED)
        assert request.placement is Placement.CONFIGURED
        assert not request.allow_larger_mig
        assert not request.topology_required
        assert not request.waits
        assert (request.pool, request.priority, request.affinity_key) == (None, None, "")
        assert (lease.peak, lease.adopted) == (7, True)
        assert not any(share.alone for share in lease.shares)


def test_the_rest_of_a_ledger_of_schema_1_is_kept(tmp_path: Path) -> None:
    """History and generation are those that were stored; no device has ghost memory or marks."""
    stored = loaded(old_ledger(tmp_path / "state"))
    assert [line.sentence for line in stored.stories] == ["began"]
    assert (stored.generation, stored.ghosts) == (3, {})
    assert (stored.marks, stored.released) == ({}, None)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the row is"),
        ("{}", "format is missing"),
        (json.dumps({"format": 1}), "format 1 instead of"),
        (FIRST_ROW.replace('"format": 1', '"format": 9'), "format 9 instead of"),
    ],
)
def test_an_unreadable_row_is_not_made_readable(tmp_path: Path, row: str, why: str) -> None:
    """A row that the earlier gpusched cannot have written is refused with its reason, and the
    file stays one of the earlier schema.
    """
    path = old_ledger(tmp_path / "state", row)
    before = contents(path.parent)
    named = f"the row of lease lease-0123456789 cannot be read: {why}"
    with pytest.raises(StoreError) as refused:
        loaded(path)
    assert named in str(refused.value)
    assert contents(path.parent) == before
