"""Idle leases with real processes: told, asked, kept by renewing, and ended."""

import re
import subprocess
import threading

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.client import Client
from gpusched.client.document import Document
from tests.e2e.host import Host, first_line, lease_of, members
from tools.stage import GPUSCHED, end

pytestmark = pytest.mark.root

# Longer than a worker takes to have its memory; to be asked, longer than three commands take.
REPORT = '[leases]\nidle_after = "5s"\ngrace = "1s"\n'
END = REPORT + 'idle_policy = "end"\nidle_grace = "8s"\n'


def serve(host: Host, more: str) -> None:
    """Start the daemon anew with more in its configuration."""
    host.config.write_text(host.config.read_text() + more)
    assert host.stop_daemon() == 0
    host.start_daemon()


def run(host: Host, *work: str) -> tuple[subprocess.Popen[str], str]:
    """Start a worker under a share of 4 GiB; give it and its lease."""
    words = (str(GPUSCHED), "run", "--memory", "4GiB", "--")
    worker = host.start(*words, str(GPUSCHED), "simulated-worker", "--memory", "3GiB", *work)
    assert first_line(worker)
    return worker, lease_of(worker.pid)


def told(host: Host, lease: str, word: str = "idle") -> list[str]:
    """Give the events of a lease that say *word*."""
    events = host.told("events").parts("events")
    said = [one.text("sentence") for one in events if one.text("id") == lease]
    return [one for one in said if word in one]


def listen(host: Host, lease: str) -> tuple[list[lease_pb2.Notice], threading.Thread]:
    """Watch a lease to its end; give the list that its notices go to."""
    heard: list[lease_pb2.Notice] = []
    listening = threading.Event()

    def listens() -> None:
        with Client(host.environment["GPUSCHED_SOCKET"]) as client:
            for listed in client.watch_leases(lease):
                listening.set()
                heard.extend(listed.notices)

    listener = threading.Thread(target=listens, daemon=True)
    listener.start()
    assert listening.wait(10)
    return heard, listener


def of(host: Host, lease: str) -> Document:
    return host.leases()[lease]


def test_a_worker_that_frees_its_memory_is_reported(own_host: Host) -> None:
    """It is told once, with what is missing; status and leases say for how long; the worker lives,
    and its neighbour that uses the device is not told anything.
    """
    host = own_host
    serve(host, REPORT)
    worker, lease = run(host, "--free-after", "0.5")
    neighbour, other = run(host)
    host.until(lambda: told(host, lease))
    (sentence,) = told(host, lease)
    assert re.fullmatch(r"idle: no process on its devices for \ds; it is only reported", sentence)
    assert told(host, other) == []
    found = of(host, lease)
    assert found.text("idle_kind") == "IDLE_KIND_NO_PROCESS"
    assert float(found.text("idle_time").removesuffix("s")) >= 5
    assert "idle_since" in found
    assert "idle_deadline" not in found
    assert "idle_since" not in of(host, other)
    assert (worker.poll(), neighbour.poll()) == (None, None)
    assert members(found) == [worker.pid]


def test_whole_devices_are_idle_by_their_utilization(own_host: Host) -> None:
    """A process that holds its memory and runs nothing is idle; work on the device ends that."""
    host = own_host
    host.control("[[device]]\nindex = 0\nutilization = 50\n")
    serve(host, REPORT)
    worker = host.worker("3GiB", "--device", "0")
    lease = lease_of(worker.pid)
    host.control("[[device]]\nindex = 0\nutilization = 0\n")
    host.until(lambda: told(host, lease))
    assert of(host, lease).text("idle_kind") == "IDLE_KIND_NO_UTILIZATION"
    host.control("[[device]]\nindex = 0\nutilization = 7\n")
    host.until(lambda: "idle_since" not in of(host, lease))
    (again,) = told(host, lease, "in use again")
    assert again.startswith("in use again, after no utilization of its devices for ")


def test_renewed_it_is_kept_and_else_it_is_ended(own_host: Host) -> None:
    """A holder hears of it first, and what comes when. Who renews keeps his lease until he is
    asked again; who does not is ended with SIGTERM, and the history tells it in order.
    """
    host = own_host
    serve(host, END)
    worker, lease = run(host, "--free-after", "0.1")
    heard, listener = listen(host, lease)
    host.until(lambda: heard)
    assert heard[0].kind == lease_pb2.NOTICE_KIND_IDLE
    assert heard[0].action == lease_pb2.NOTICE_ACTION_END
    grace = heard[0].action_at.ToNanoseconds() - heard[0].at.ToNanoseconds()
    assert round(grace / 1e9, 1) == 8
    assert "unless used or renewed in" in host.gpusched("leases").stdout
    assert "idle " in host.gpusched("status").stdout
    renewed = host.gpusched("renew", lease)
    assert (renewed.returncode, renewed.stdout) == (0, f"{lease} ends with its last process\n")
    assert "idle_deadline" not in of(host, lease)
    host.until(lambda: host.ended(lease) == "END_REASON_IDLE", 40)
    assert worker.wait(10) == 0
    listener.join(10)
    assert len(heard) == 2
    events = told(host, lease, "")
    asked = "it ends in 8s unless it is used, or `gpusched renew"
    wanted = (
        "granted to",
        asked,
        "renewed: kept though idle",
        asked,
        "ends because it was idle: ",
    )
    places = [-1]
    for word in wanted:
        places.append(next(i for i, one in enumerate(events) if word in one and i > places[-1]))
    assert events.index("SIGTERM was sent to its processes") > places[-1]
    assert events[-1].startswith("ended because it was idle: no process on its devices for ")


def test_a_restart_does_not_count(own_host: Host) -> None:
    """An idle lease is so after a `kill -9`, is not told a second time, and is not idle for the
    time that no daemon was there.
    """
    host = own_host
    serve(host, REPORT)
    worker, lease = run(host, "--free-after", "0.1")
    host.until(lambda: told(host, lease))
    since = of(host, lease).text("idle_since")
    host.kill_daemon()
    host.start_daemon()
    host.until(lambda: "idle_since" in of(host, lease))
    assert of(host, lease).text("idle_since") == since
    assert len(told(host, lease)) == 1
    assert end(worker) == 0
