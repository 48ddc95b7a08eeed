"""Preemption with real processes: told, SIGTERM, SIGKILL; and who is left alone."""

import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.client import Client
from tests.e2e.host import Host, first_line, lease_of, members
from tests.e2e.queueing import Waiter, configured, places, queued
from tools.stage import end

pytestmark = pytest.mark.root

_RULES = """
[queue]
preemption_notice = "2s"
[leases]
grace = "1s"
[priorities.batch]
value = -5
preemptible = true
"""
_PREEMPTED = "END_REASON_PREEMPTED"
_LONGER_THAN_THE_NOTICE = 3.0


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon that does not wait long before it ends a lease for another."""
    with Host() as host:
        host.start_daemon()
        configured(host, _RULES)
        yield host


def _running(host: Host, *wishes: str, work: tuple[str, ...] = ()) -> tuple[Waiter, str]:
    """Start a worker, and wait until it has its memory; give its lease, too."""
    worker = Waiter(host, *wishes, work=work)
    assert first_line(worker.process), worker.said
    return worker, lease_of(worker.pid)


def _sentences(host: Host, lease: str) -> list[str]:
    events = host.told("events").parts("events")
    return [one.text("sentence") for one in events if one.text("id") == lease]


def _in_order(told: list[str], *words: str) -> bool:
    """Whether the sentences have these words, one after the other."""
    found = [next((at for at, one in enumerate(told) if word in one), -1) for word in words]
    return -1 not in found and found == sorted(found)


def _notices(host: Host, lease: str) -> tuple[threading.Thread, list[lease_pb2.Notice]]:
    """Listen to the notices of a lease, until it has ended."""
    heard: list[lease_pb2.Notice] = []
    listening = threading.Event()

    def listen() -> None:
        with Client(str(host.socket)) as client:
            for listed in client.watch_leases(lease):
                listening.set()
                heard.extend(listed.notices)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listening.wait(10)
    return listener, heard


def _lives(process: subprocess.Popen[str], seconds: float = _LONGER_THAN_THE_NOTICE) -> bool:
    """Whether a process lives on for longer than the notice."""
    threading.Event().wait(seconds)
    return process.poll() is None


def test_a_worker_gives_way(host: Host) -> None:
    """A preemptible worker is told, gets SIGTERM and ends; its devices go to the higher class, and
    the history of the lease tells it in order.
    """
    worker, lease = _running(host, "--priority", "low", "--gpus", "8")
    listener, heard = _notices(host, lease)
    higher = queued(host, "--wait", "--gpus", "8")
    with Client(str(host.socket)) as client:  # at once: a command may take as long as the notice
        assert client.lease(lease).giving_way.priority == "normal"
    assert worker.process.poll() is None
    assert first_line(higher.process)
    assert worker.process.wait(10) == 0  # the worker ends well on SIGTERM
    assert host.ended(lease) == _PREEMPTED
    assert members(host.leases()[lease_of(higher.pid)]) == [higher.pid]
    listener.join(10)
    (notice, *_) = heard
    assert notice.kind == lease_pb2.NOTICE_KIND_PREEMPTION
    assert notice.action == lease_pb2.NOTICE_ACTION_END
    left = notice.action_at.ToNanoseconds() - notice.at.ToNanoseconds()
    assert left == pytest.approx(2 * 10**9, abs=10**8)
    told = _sentences(host, lease)
    assert _in_order(told, "granted to", "gives way to root", "SIGTERM was sent", "ended because")
    assert "it gave way to a request of a higher class" in told[-1]
    assert not any("SIGKILL" in one for one in told)


def test_a_worker_that_ignores_sigterm_is_killed(host: Host) -> None:
    """Who does not end by himself is ended after the grace."""
    worker, lease = _running(host, "--priority", "batch", "--gpus", "8", work=("--ignore-term",))
    higher = queued(host, "--wait", "--gpus", "8", "--priority", "high")
    assert first_line(higher.process)
    assert worker.process.wait(10) == -signal.SIGKILL
    assert host.ended(lease) == _PREEMPTED
    assert _in_order(_sentences(host, lease), "gives way", "SIGTERM was sent", "SIGKILL was sent")


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [("normal", "high"), ("low", "low"), ("batch", "low"), ("high", "normal")],
)
def test_nobody_else_is_touched(host: Host, theirs: str, mine: str) -> None:
    """A lease without the mark, or of an equal or higher class, runs to its own end."""
    worker, lease = _running(host, "--priority", theirs, "--gpus", "8")
    waiter = queued(host, "--wait", "--gpus", "8", "--priority", mine)
    assert _lives(worker.process)
    assert not any("gives way" in one for one in _sentences(host, lease))
    assert places(host) == [waiter.name]
    assert end(worker.process) == 0
    assert first_line(waiter.process)
    assert host.ended(lease) == "END_REASON_EMPTY"


def test_the_youngest_that_will_do_gives_way(host: Host) -> None:
    """Of two leases one would do: the younger one ends, and the elder lives."""
    elder, _ = _running(host, "--priority", "low", "--gpus", "4")
    younger, lease = _running(host, "--priority", "low", "--gpus", "4")
    higher = queued(host, "--wait", "--gpus", "2")
    assert first_line(higher.process)
    assert younger.process.wait(10) == 0
    assert host.ended(lease) == _PREEMPTED
    assert elder.process.poll() is None


def test_who_is_told_lives_where_the_request_is_withdrawn(host: Host) -> None:
    """A worker that was told to end runs on when nobody waits for its devices any more."""
    worker, lease = _running(host, "--priority", "low", "--gpus", "8")
    higher = queued(host, "--wait", "--gpus", "8")
    with Client(str(host.socket)) as client:  # as above
        assert client.lease(lease).HasField("giving_way")
        client.cancel(higher.name)
    assert _lives(worker.process)
    assert "giving_way" not in host.leases()[lease]
    assert _in_order(_sentences(host, lease), "gives way", "stays: nobody waits for its place")


def test_a_crash_in_between_changes_nothing_but_time(own_host: Host) -> None:
    """A daemon that is killed after the notice ends the lease all the same, after as much time."""
    host = own_host
    configured(host, _RULES.replace('"2s"', '"5s"'))  # longer than the daemon takes to answer
    worker, lease = _running(host, "--priority", "low", "--gpus", "8")
    higher = queued(host, "--wait", "--gpus", "8")
    host.kill_daemon()
    assert _lives(worker.process, 6)
    host.start_daemon()
    assert worker.process.poll() is None
    assert first_line(higher.process)
    assert worker.process.wait(10) == 0
    assert host.ended(lease) == _PREEMPTED
