"""Waiting for devices with real processes: the order, restarts and crashes, and every way out."""

import os
import pwd
import signal
import threading

import pytest

from tests.e2e.host import Host, first_line, kill, lease_of, members
from tests.e2e.queueing import Waiter, configured, places, queued, waiting
from tools.stage import end

_ME = pwd.getpwuid(os.getuid()).pw_name
_INTERRUPTED = """
import os, signal, threading, gpusched

client = gpusched.Client()
client.ping()
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    client.allocate(gpus=8, wait_without_limit=True)
except KeyboardInterrupt:
    print(len(client.status().waiting))
"""


def _there(host: Host, count: int) -> bool:
    """Whether so many wait, each with its client."""
    listed = waiting(host)
    return len(listed) == count and not any("abandoned_deadline" in one for one in listed)


@pytest.mark.root  # without, `gpusched run` stays beside its command
@pytest.mark.parametrize("crash", [True, False], ids=["kill -9", "restart"])
def test_a_daemon_that_is_started_anew_keeps_the_places(own_host: Host, *, crash: bool) -> None:
    """Two processes wait; the daemon goes and comes back; both have their places, and are served
    in their order: each becomes its command, with the lease that it waited for.
    """
    host = own_host
    holder = host.allocate("--gpus", "8")
    first, second = (queued(host, "--wait", "--gpus", "8") for _ in range(2))
    before = [(one.number("position"), one.text("enqueued_at")) for one in waiting(host)]
    assert places(host) == [first.name, second.name]
    if crash:
        host.kill_daemon()
    else:
        assert host.stop_daemon() == 0
    host.start_daemon()
    host.until(lambda: _there(host, 2))
    assert places(host) == [first.name, second.name]
    after = [(one.number("position"), one.text("enqueued_at")) for one in waiting(host)]
    assert after == before
    assert host.gpusched("release", holder).returncode == 0
    assert first_line(first.process)
    lease = lease_of(first.pid)
    assert members(host.leases()[lease]) == [first.pid]
    assert places(host) == [second.name]
    assert second.process.poll() is None
    assert end(first.process) == 0
    assert first_line(second.process)
    assert places(host) == []
    assert "the daemon is away; the request keeps its place for a while" in first.said[1]


def test_who_waits_is_told_his_place(host: Host) -> None:
    """A waiting process says its place and what it waits for, again when that is another one."""
    holder = host.allocate("--gpus", "8")
    first, second = (queued(host, "--wait", "--gpus", "8") for _ in range(2))
    assert second.said == [f"gpusched: {second.name} waits, place 2: the end of {holder} of {_ME}"]
    rows = [line.split() for line in host.gpusched("leases").stdout.splitlines()]
    (row,) = [one for one in rows if second.name in one]
    assert row[:4] == ["2", second.name, _ME, "normal"]
    assert row[-6:] == f"the end of {holder} of {_ME}".split()
    assert host.gpusched("cancel", first.name).returncode == 0
    host.until(lambda: len(second.said) == 2)
    assert second.said[1].startswith(f"gpusched: {second.name} waits, place 1: ")


def test_a_wait_that_runs_out(host: Host) -> None:
    """Who waits at most a second ends with 75 then, and one line says what was in the way."""
    holder = host.allocate("--gpus", "8")
    waiter = Waiter(host, "--wait", "1s", "--gpus", "8")
    assert waiter.process.wait(10) == 75
    told, why, *more = waiter.said
    assert told.startswith(f"gpusched: {waiter.name} waits, place 1: ")
    assert why.startswith("gpusched: waited 1s: 8 devices wanted, 0 free now: ")
    assert holder in why
    assert all(one.startswith("gpusched: ") for one in more)
    assert len(more) <= 1
    assert places(host) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_who_is_ended_withdraws(host: Host, number: signal.Signals, code: int) -> None:
    """A process that is ended while it waits takes its request along at once."""
    host.allocate("--gpus", "8")
    waiter = queued(host, "--wait", "--gpus", "8")
    waiter.process.send_signal(number)
    assert waiter.process.wait(10) == code
    assert places(host) == []
    assert len(waiter.said) == 1
    events = [one.text("sentence") for one in host.told("events").parts("events")]
    assert f"waits no longer: {_ME} cancelled it" in events[-1]


def test_who_ignores_a_signal_waits_on(host: Host) -> None:
    """A hang-up does not end what was started to outlive it, as with `nohup`."""
    holder = host.allocate("--gpus", "8")
    waiter = Waiter(host, "--wait", "--gpus", "8", first="trap '' HUP")
    host.until(lambda: waiter.waits)
    waiter.process.send_signal(signal.SIGHUP)
    assert host.gpusched("release", holder).returncode == 0
    assert first_line(waiter.process)


def test_who_is_killed_loses_his_place_after_a_while(own_host: Host) -> None:
    """A process that cannot withdraw keeps its place for the grace, and then leaves."""
    host = own_host
    configured(host, '[queue]\ngrace = "1s"\n')
    host.allocate("--gpus", "8")
    waiter, behind = (queued(host, "--wait", "--gpus", "8") for _ in range(2))
    kill(waiter.pid)
    host.until(lambda: places(host) == [behind.name])
    events = [one.text("sentence") for one in host.told("events").parts("events")]
    assert events[-1] == "waits no longer: its client is gone"


def test_cancel_ends_a_waiter(host: Host) -> None:
    """`gpusched cancel` takes a request out; its process ends with 75 and says who did it."""
    host.allocate("--gpus", "8")
    waiter = queued(host, "--wait", "--gpus", "8")
    done = host.gpusched("cancel", waiter.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert waiter.process.wait(10) == 75
    assert waiter.said[1:] == [f"gpusched: {waiter.name} waits no longer: {_ME} cancelled it"]
    assert "waits or holds a lease" in host.refused(64, "cancel", waiter.name)


def test_a_program_that_is_interrupted_withdraws(host: Host) -> None:
    """Ctrl-C in a program that waits over gRPC takes its request along."""
    host.allocate("--gpus", "8")
    assert host.program(_INTERRUPTED) == ["0"]


def test_allocate_waits_too(host: Host) -> None:
    """`gpusched allocate --wait` gives the lease once it can be had."""
    holder = host.allocate("--gpus", "8")
    releasing = threading.Timer(1.0, host.gpusched, ("release", holder))
    releasing.start()
    assert host.allocate("--wait", "30s", "--gpus", "8") != holder
    releasing.join()


def test_a_frozen_daemon_lets_nobody_s_wait_run_out(own_host: Host) -> None:
    """Time in which the daemon stood still, as on a host that sleeps, is not waited."""
    host = own_host
    configured(host, '[queue]\ngrace = "5m"\n')
    text = host.config.read_text()
    host.config.write_text(text.replace('"100ms"', '"100ms"\nmax_gap = "1s"'))
    assert host.stop_daemon() == 0
    host.start_daemon()
    host.allocate("--gpus", "8")
    waiter = queued(host, "--wait", "3s", "--gpus", "8")
    kill(host.pid, signal.SIGSTOP)
    threading.Event().wait(4)
    kill(host.pid, signal.SIGCONT)
    assert places(host) == [waiter.name]
    assert waiter.process.poll() is None
    assert waiter.process.wait(10) == 75


@pytest.mark.root  # as above
def test_nothing_is_left_of_one_who_was_served(host: Host) -> None:
    """Who waited and was served is a lease as any other, with the wait in its history."""
    holder = host.allocate("--gpus", "8")
    waiter = queued(host, "--wait", "--device", "0")
    assert host.gpusched("release", holder).returncode == 0
    assert first_line(waiter.process)
    lease = lease_of(waiter.pid)
    events = host.told("events").parts("events")
    kinds = [one.text("kind") for one in events if one.text("id") == lease]
    assert kinds[:2] == ["queued", "granted"]
    assert end(waiter.process) == 0
    host.until(lambda: host.ended(lease))


@pytest.mark.root  # as above
def test_devices_of_one_who_was_killed_go_to_the_next(own_host: Host) -> None:
    """Who is served in his absence has the devices as long as he had his place, and no longer."""
    host = own_host
    configured(host, '[queue]\ngrace = "3s"\n')
    holder = host.allocate("--gpus", "8")
    gone, behind = (queued(host, "--wait", "--gpus", "8") for _ in range(2))
    kill(gone.pid)
    host.until(lambda: any("abandoned_deadline" in one for one in waiting(host)))
    assert host.gpusched("release", holder).returncode == 0
    assert first_line(behind.process)
    (lease,) = host.leases()
    assert lease == lease_of(behind.pid)
