"""Over-use with real processes: warned, SIGTERM, SIGKILL, and the neighbour left alone."""

import subprocess
import threading

import pytest

from gpusched.client import Client
from tests.e2e.host import GIB, Host, first_line, lease_of, members
from tools.stage import GPUSCHED, end

pytestmark = pytest.mark.root

_TERMINATE = """
[overuse]
policy = "terminate"
grace = "2s"
[leases]
grace = "1s"
"""


def _serve(host: Host, more: str) -> None:
    """Start the daemon anew with more in its configuration."""
    host.config.write_text(host.config.read_text() + more)
    assert host.stop_daemon() == 0
    host.start_daemon()


def _run(host: Host, *work: str, over_use: str = "") -> subprocess.Popen[str]:
    """Start a worker under a share of 4 GiB of the first device."""
    wish = ("--device", "0", "--memory", "4GiB", *(("--over-use", over_use) if over_use else ()))
    command = (str(GPUSCHED), "run", *wish, "--", str(GPUSCHED), "simulated-worker", *work)
    worker = host.start(*command)
    assert first_line(worker)
    return worker


def _sentences(host: Host, lease: str) -> list[str]:
    events = host.told("events").parts("events")
    return [one.text("sentence") for one in events if one.text("id") == lease]


def _used(host: Host) -> int:
    return host.devices()[0].part("memory").part("used").number("value")


def test_over_use_ends_the_lease_and_no_other(own_host: Host) -> None:
    """A worker that grows past its limit and ignores SIGTERM is warned, sent SIGTERM, killed; its
    neighbour on the device lives on, the memory comes back, and the history tells it in order.
    """
    host = own_host
    _serve(host, _TERMINATE)
    neighbour = _run(host, "--memory", "3GiB")
    worker = _run(host, "--memory", "3GiB", "--grow", "2GiB/1", "--ignore-term")
    lease, other = lease_of(worker.pid), lease_of(neighbour.pid)
    host.until(lambda: host.ended(lease) == "END_REASON_OVER_LIMIT", 30)
    assert worker.wait(10) != 0
    assert neighbour.poll() is None
    assert members(host.leases()[other]) == [neighbour.pid]
    host.until(lambda: _used(host) == 3 * GIB)
    told = _sentences(host, lease)
    wanted = ("granted to", "attached", "SIGTERM is sent in 2 s", "ends because it held more")
    places = [next(i for i, one in enumerate(told) if word in one) for word in wanted]
    assert places == sorted(places)
    assert told.index("SIGTERM was sent to its processes") > places[2]
    assert told[-1].startswith("ended because it held more memory than its limit: ")
    assert not [one for one in _sentences(host, other) if "SIGTERM" in one]
    assert end(neighbour) == 0


def test_a_dry_run_changes_nothing(own_host: Host) -> None:
    """What would be done is in the history, and the worker lives."""
    _serve(own_host, _TERMINATE.replace('grace = "2s"', 'grace = "1s"\ndry_run = "on"'))
    worker = _run(own_host, "--memory", "5GiB")
    lease = lease_of(worker.pid)
    told = "dry run: SIGTERM would be sent now: 1 GiB above 4 GiB"
    own_host.until(lambda: any(told in one for one in _sentences(own_host, lease)))
    assert worker.poll() is None
    assert own_host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
    assert not any("was sent" in one for one in _sentences(own_host, lease))


def test_the_default_only_warns(own_host: Host) -> None:
    """Without a word from anybody a lease above its limit is told so, and no more."""
    host = own_host
    worker = _run(host, "--memory", "5GiB")
    lease = lease_of(worker.pid)
    host.until(lambda: host.leases()[lease].parts("violations"))
    (violation,) = host.leases()[lease].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OVER_LIMIT"
    assert violation.text("next_action") == ""
    assert "above its limit of 4 GiB" in host.gpusched("leases").stdout
    assert worker.poll() is None


def test_a_holder_hears_before_the_signal(own_host: Host) -> None:
    """A watch stream carries the notice, with what comes and when, while the worker still runs."""
    host = own_host
    _serve(host, _TERMINATE)
    heard: list[tuple[str, bool]] = []
    worker = _run(host, "--memory", "3GiB", "--grow", "2GiB/2", over_use="terminate")
    lease, listening = lease_of(worker.pid), threading.Event()

    def listen() -> None:
        with Client(host.environment["GPUSCHED_SOCKET"]) as client:
            for listed in client.watch_leases(lease):
                listening.set()
                heard.extend((one.sentence, worker.poll() is None) for one in listed.notices)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listening.wait(10)
    host.until(lambda: host.ended(lease) == "END_REASON_OVER_LIMIT", 30)
    listener.join(10)
    assert not listener.is_alive()
    ((sentence, alive),) = heard
    assert "SIGTERM is sent in 2 s" in sentence
    assert alive
    assert worker.wait(10) == 0
