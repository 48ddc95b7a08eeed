"""Over-use with real processes: warned, SIGTERM, SIGKILL, and the neighbour left alone."""

import subprocess
import threading
from pathlib import Path

import pytest

from gpusched.api.v1 import event_pb2, lease_pb2
from gpusched.cli.words import instant
from gpusched.client import Client
from tests.e2e.host import GIB, Host, first_line, lease_of, members
from tests.e2e.opener import cgroup, starting_in
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


def _run(host: Host, *work: str) -> subprocess.Popen[str]:
    """Start a worker under a share of 4 GiB of the first device."""
    wish = ("--device", "0", "--memory", "4GiB")
    command = (str(GPUSCHED), "run", *wish, "--", str(GPUSCHED), "simulated-worker", *work)
    worker = host.start(*command)
    assert first_line(worker)
    return worker


def _outsider(host: Host, folder: Path) -> subprocess.Popen[str]:
    """Start a worker in a cgroup, without a lease, on 5 GiB of the first device."""
    where = (f"GPUSCHED_SIMULATOR={host.state / 'simulator'}", "CUDA_VISIBLE_DEVICES=0")
    work = ("env", *where, str(GPUSCHED), "simulated-worker", "--memory", "5GiB")
    worker = host.start(*starting_in(folder), *work)
    assert first_line(worker)
    return worker


def _sentences(host: Host, lease: str) -> list[str]:
    events = host.told("events").parts("events")
    return [one.text("sentence") for one in events if one.text("id") == lease]


def _events(host: Host, lease: str) -> list[event_pb2.Event]:
    with Client(host.environment["GPUSCHED_SOCKET"]) as client:
        return [one for one in client.events().events if one.id == lease]


def _sampled(host: Host) -> float:
    """Give when the last sample was taken, in Unix seconds."""
    return instant(host.told("leases").text("sampled_at")) or 0.0


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
    wanted = (
        *("granted to", "attached", "SIGTERM is sent in 2 s", "ends because it held more"),
        *("SIGTERM was sent", "SIGKILL was sent", "ended because it held more"),
    )
    places = [next(i for i, one in enumerate(told) if word in one) for word in wanted]
    assert places == sorted(places)
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
    _serve(host, _TERMINATE.replace('"terminate"', '"warn"'))
    wish = ("--device", "0", "--memory", "4GiB", "--over-use", "terminate")
    lease, listening = host.allocate(*wish), threading.Event()
    heard: list[tuple[lease_pb2.Notice, bool]] = []
    with cgroup() as session:
        worker = _outsider(host, session)

        def listen() -> None:
            with Client(host.environment["GPUSCHED_SOCKET"]) as client:
                for listed in client.watch_leases(lease):
                    listening.set()
                    heard.extend((one, worker.poll() is None) for one in listed.notices)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        assert listening.wait(10)
        assert host.gpusched("attach", lease, "--pid", str(worker.pid)).returncode == 0
        host.until(lambda: host.ended(lease) == "END_REASON_OVER_LIMIT", 30)
        assert worker.wait(10) == 0
    listener.join(10)
    assert not listener.is_alive()
    ((notice, alive),) = heard
    assert alive
    assert "SIGTERM is sent in 2 s" in notice.sentence
    assert notice.action == lease_pb2.NOTICE_ACTION_TERMINATE
    (signalled,) = [one for one in _events(host, lease) if "SIGTERM was sent" in one.sentence]
    assert notice.at.ToNanoseconds() < notice.action_at.ToNanoseconds()
    assert notice.action_at.ToNanoseconds() <= signalled.at.ToNanoseconds()


def test_a_lease_in_place_is_not_signalled(own_host: Host) -> None:
    """A service that is attached where it is gets warned, whatever its lease asks for: no sample
    of long after its grace changes that.
    """
    host = own_host
    _serve(host, _TERMINATE)
    with cgroup() as slice_, cgroup("foo.service", slice_) as folder:
        lease = host.allocate("--device", "0", "--memory", "4GiB", "--over-use", "terminate")
        service = _outsider(host, folder)
        assert host.gpusched("attach", lease, "--pid", str(service.pid)).returncode == 0
        host.until(lambda: host.leases()[lease].parts("violations"))
        (violation,) = host.leases()[lease].parts("violations")
        assert violation.text("next_action") == ""
        since = instant(violation.text("since")) or 0.0
        host.until(lambda: _sampled(host) > since + 4, 20)
        assert service.poll() is None
        assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
        told = _sentences(host, lease)
        why = "it is only warned: its processes are in a cgroup of others"
        assert len([one for one in told if one.endswith(why)]) == 1
        assert not any("was sent" in one for one in told)
        assert end(service) == 0


def test_a_process_outside_the_mask_is_told_and_left_alone(own_host: Host) -> None:
    """Where the mask is only asked for, a program that ignores it is a breach, and lives."""
    host = own_host
    _serve(host, _TERMINATE)
    wish = ("--device", "0", "--memory", "4GiB", "--enforce", "advisory")
    work = (str(GPUSCHED), "simulated-worker", "--memory", "5GiB")
    worker = host.start(
        *(str(GPUSCHED), "run", *wish, "--", "env", "CUDA_VISIBLE_DEVICES=1", *work)
    )
    assert first_line(worker)
    lease, other = lease_of(worker.pid), host.devices()[1].text("uuid")
    host.until(lambda: host.leases()[lease].parts("violations"))
    (violation,) = host.leases()[lease].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OUTSIDE_MASK"
    assert violation.text("device_uuid") == other
    assert violation.part("process").number("pid") == worker.pid
    since = instant(violation.text("since")) or 0.0
    host.until(lambda: _sampled(host) > since + 4, 20)
    assert worker.poll() is None
    assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
    sentence = f"process {worker.pid} is on {other}, which is not of the lease"
    assert _sentences(host, lease).count(sentence) == 1
    assert end(worker) == 0
