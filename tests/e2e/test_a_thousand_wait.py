"""A thousand gRPC clients that wait at once: what they cost, and that each is served in its turn.

Each has a connection of its own. The daemon is killed while they wait, and once more while they
are served.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pytest

from gpusched.client.document import Document
from tests.e2e.host import Host
from tests.e2e.queueing import configured, waiting
from tests.e2e.waiters import CLASSES, name_of

CLIENTS, PROCESSES = 1000, 4
EACH = CLIENTS // PROCESSES
MIDDLE = CLIENTS // 3
_SECONDS = 60
_SETTLING_SECONDS, _IDLE_SECONDS = 2.5, 3.0
# A client's share: four descriptors; memory with room for another allocator. Threads are those
# of grpc and of the pool, which come as they are needed and do not grow with clients.
_DESCRIPTORS, _KB, _SPARE_THREADS, _CORE = 4, 120, 6, 0.05
# The highest class first; those of one class in the order in which they came.
_CLASSES = "[priorities.high]\nvalue = 10\n"  # for everybody
_ORDER = ("high", "normal", "low")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a daemon takes: kB of memory, descriptors, threads, and seconds of CPU so far."""

    rss: int
    pss: int
    descriptors: int
    threads: int
    cpu: float

    def __str__(self) -> str:
        return (
            f"RSS {self.rss >> 10} MiB, PSS {self.pss >> 10} MiB,"
            f" {self.descriptors} descriptors, {self.threads} threads"
        )


def cost_of(pid: int) -> Cost:
    """Look at a process."""
    folder = Path("/proc") / str(pid)
    lines = (folder / "smaps_rollup").read_text().splitlines()
    memory = {words[0]: int(words[1]) for words in map(str.split, lines[1:])}
    times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    return Cost(
        memory["Rss:"],
        memory["Pss:"],
        len(list((folder / "fd").iterdir())),
        len(list((folder / "task").iterdir())),
        sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
    )


class Served(TypedDict):
    """A line of a client: its number, the lease, and when that was granted."""

    number: int
    lease: str
    at: int


class Crowd:
    """The clients, and what they were told."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.served: list[Served] = []
        self.places = 0
        self._processes = [self._started(part * EACH) for part in range(PROCESSES)]
        self._readers = [
            threading.Thread(target=self._read, args=(one,)) for one in self._processes
        ]
        for reader in self._readers:
            reader.start()

    def _started(self, first: int) -> subprocess.Popen[str]:
        words = ("-m", "tests.e2e.waiters", str(self._host.socket), str(first), str(EACH))
        return self._host.start(sys.executable, *words)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if "number" in told:
                self.served.append(told)
            else:
                self.places += told["places"]

    def wait(self) -> None:
        """Wait until all have been served and have gone."""
        for reader in self._readers:
            reader.join(_SECONDS)
            assert not reader.is_alive()
        assert [one.wait(_SECONDS) for one in self._processes] == [0] * PROCESSES


def _all_there(host: Host) -> list[Document]:
    """Wait until all wait, each with its client; give them in the order of service."""
    listed: list[Document] = []

    def there() -> bool:
        listed[:] = waiting(host)
        with_client = [one for one in listed if "abandoned_deadline" not in one]
        return len(with_client) == CLIENTS

    host.until(there, _SECONDS)
    return listed


def _idle_cpu(pid: int) -> float:
    """Give the part of a core that a daemon takes while nothing happens."""
    # Who has just come is still told his place.
    threading.Event().wait(_SETTLING_SECONDS)
    before = cost_of(pid).cpu
    threading.Event().wait(_IDLE_SECONDS)
    return (cost_of(pid).cpu - before) / _IDLE_SECONDS


def _names(listed: list[Document]) -> list[str]:
    return [one.part("request").text("request_id") for one in listed]


def _by_policy(listed: list[Document]) -> list[str]:
    """Give the ids as the policy has them: by class, then by when they came."""

    def place(one: Document) -> tuple[int, str]:
        return _ORDER.index(one.text("priority")), one.text("enqueued_at")

    return _names(sorted(listed, key=place))


def _killed(host: Host) -> None:
    host.kill_daemon()
    host.start_daemon()


def _same_places(before: list[Document], after: list[Document]) -> None:
    """Assert that all have the places that they had, which are those of the policy."""
    assert _names(before) == _names(after) == _by_policy(before) == _by_policy(after)
    assert [one.number("position") for one in after] == list(range(1, CLIENTS + 1))
    assert {one.text("priority") for one in after} == set(CLASSES)
    came = [[one.text("enqueued_at") for one in listed] for listed in (before, after)]
    assert came[0] == came[1]


def _served_in_order(crowd: Crowd, order: list[str]) -> None:
    """Assert that each was served once, in this order."""
    served = sorted(crowd.served, key=lambda one: one["at"])
    assert [name_of(one["number"]) for one in served] == order
    assert len({one["lease"] for one in served}) == CLIENTS


@pytest.mark.long
def test_a_thousand_clients_wait_and_are_served_in_their_order(
    own_host: Host, record_property: Callable[[str, object], None]
) -> None:
    """They cost memory and descriptors and no threads; two crashes lose none of them, and each is
    served once: the higher classes first, and within a class who came first.
    """
    host = own_host
    configured(host, _CLASSES)
    holder = host.allocate("--gpus", "8")
    alone, quiet = cost_of(host.pid), _idle_cpu(host.pid)
    crowd = Crowd(host)
    before = _all_there(host)
    full, busy = cost_of(host.pid), _idle_cpu(host.pid)
    _killed(host)
    after = _all_there(host)
    _same_places(before, after)
    back = cost_of(host.pid)

    assert host.gpusched("release", holder).returncode == 0
    host.until(lambda: len(crowd.served) >= MIDDLE, _SECONDS)
    in_the_middle = len(crowd.served)
    _killed(host)
    crowd.wait()
    at_last = cost_of(host.pid)
    for figures in (
        f"alone: {alone}; {quiet:.1%} of a core",
        f"{CLIENTS} wait: {full}; {busy:.1%} of a core",
        f"after kill -9: {back}",
        f"all are served: {at_last}; killed once more when {in_the_middle} were",
        f"{crowd.places} places told",
    ):
        record_property("measured", figures)
    _served_in_order(crowd, _names(before))
    assert waiting(host) == []
    assert not [one for one in host.log_text.splitlines() if '"level": "error"' in one]
    assert full.threads <= alone.threads + _SPARE_THREADS
    assert full.descriptors <= alone.descriptors + (CLIENTS + 1) * _DESCRIPTORS
    assert full.pss - alone.pss < CLIENTS * _KB
    assert busy - quiet < _CORE
