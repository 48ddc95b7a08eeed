"""The ledger under load and crashes: nothing acknowledged is lost, nothing contradicts itself."""

import json
import os
import random
import secrets
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.core.ids import BootId, LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from tests.e2e.host import Host
from tools.stage import ROOT, end

ROUNDS, CLIENTS, PAIRS = 20, 8, 500
SEED = "GPUSCHED_TEST_SEED"
# From the first call of the first client to some time before 500 pairs are done.
_EARLIEST, _LATEST = 0.02, 0.8


@dataclass(slots=True)
class Told:
    """What clients were told.

    Attributes:
        granted: Leases whose grant was acknowledged.
        released: Leases whose release was acknowledged.
        doubtful: Leases whose release was asked for and not acknowledged.
    """

    granted: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)

    def add(self, line: str) -> None:
        found: dict[str, list[str]] = json.loads(line)
        self.granted |= set(found["granted"])
        self.released |= set(found["released"])
        self.doubtful |= set(found["doubtful"])


@pytest.mark.long
def test_crashes_under_load_lose_nothing_acknowledged(
    own_host: Host, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """After each of 20 crashes every acknowledged grant is there and the invariants hold."""
    seed = os.environ.get(SEED) or secrets.token_hex(4)
    chance = random.Random(seed)  # noqa: S311 - chance, not secrecy
    told = Told()
    with _clients(own_host) as clients:
        for number in range(ROUNDS):
            _one_round(own_host, clients, told, chance.uniform(_EARLIEST, _LATEST))
            own_host.start_daemon()
            ledger = _loaded(own_host, tmp_path / f"{number}.db")
            _check(ledger, told)
            assert {one.id for one in ledger.live()} == set(own_host.leases())
    record_property(
        "measured",
        f"{ROUNDS} crashes under load: {len(told.granted)} grants acknowledged,"
        f" {len(told.released)} releases, {len(told.doubtful)} releases cut off ({SEED}={seed})",
    )
    assert len(told.granted) > ROUNDS * CLIENTS
    assert told.granted - told.released - told.doubtful


def _one_round(
    host: Host, clients: list[subprocess.Popen[str]], told: Told, moment: float
) -> None:
    """Let all clients work, kill the daemon at *moment*, and take in what they were told."""
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(f"{PAIRS // CLIENTS}\n")
        client.stdin.flush()
    threading.Event().wait(moment)
    host.kill_daemon()
    for client in clients:
        assert client.stdout is not None
        told.add(client.stdout.readline())


def _loaded(host: Host, copy: Path) -> Ledger:
    """Load a copy of the running daemon's ledger as the next daemon would."""
    source = f"file:{host.state / 'ledger.db'}?mode=ro"
    with (
        closing(sqlite3.connect(source, uri=True)) as live,
        closing(sqlite3.connect(copy)) as mine,
    ):
        live.backup(mine)
    store = SqliteStore(copy)
    stored = store.load(BootId("of the test"))
    store.close()
    ledger = Ledger(Policy())
    ledger.restore(stored.leases, stored.stories, stored.generation)
    return ledger


def _check(ledger: Ledger, told: Told) -> None:
    ledger.check_invariants()
    assert [one for one in told.granted if ledger.get(LeaseId(one)) is None] == []
    live = {one.id for one in ledger.live()}
    assert told.granted - told.released - told.doubtful - live == set()
    assert told.released & live == set()


@contextmanager
def _clients(host: Host) -> Iterator[list[subprocess.Popen[str]]]:
    words = [sys.executable, "-m", "tests.e2e.pairs", str(host.socket)]
    pipe = subprocess.PIPE
    clients = [
        subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603 - our own words
        for _ in range(CLIENTS)
    ]
    try:
        yield clients
    finally:
        for client in clients:
            end(client)
            assert client.stdin is not None
            client.stdin.close()
