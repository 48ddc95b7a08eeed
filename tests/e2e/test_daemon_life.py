"""The daemon from start to end, as an operator and a service manager see it."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gpusched
from gpusched.client.errors import DaemonUnreachable
from tests.e2e.host import Host, kill


@pytest.fixture
def unstarted() -> Iterator[Host]:
    """A host whose daemon the test starts itself."""
    with Host("2xL4") as host:
        yield host


def test_sigterm_ends_in_order_with_clients_connected(own_host: Host) -> None:
    """Clients that watch or say nothing do not hold the end up: exit code 0, no socket left."""
    host = own_host
    with socket.socket(socket.AF_UNIX) as silent, gpusched.Client(str(host.socket)) as client:
        silent.connect(str(host.socket))
        watched = client.watch_leases()
        assert next(watched).generation >= 0
        assert host.stop_daemon() == 0
        with pytest.raises(DaemonUnreachable):
            list(watched)
    assert not host.socket.exists()
    assert "Traceback" not in host.log_text


def test_an_orderly_end_keeps_the_leases(own_host: Host) -> None:
    """Leases outlive an upgrade of the daemon."""
    lease = own_host.allocate()
    assert own_host.stop_daemon() == 0
    own_host.start_daemon()
    assert list(own_host.leases()) == [lease]


def _configure(host: Host, text: str) -> None:
    host.config.write_text(text)
    kill(host.pid, signal.SIGHUP)


def test_sighup_applies_the_configuration(own_host: Host) -> None:
    """A new placement holds from the next request on, and the history says what changed."""
    host = own_host
    share = ("--memory", "1GiB", "--gpu-type", "l4")
    host.allocate(*share)
    _configure(host, '[devices]\nplacement = "spread"\n[sampling]\ninterval = "200ms"\n')
    host.until(lambda: "devices.placement" in host.log_text)
    lease = host.allocate(*share)
    (device,) = host.leases()[lease].parts("devices")
    assert device.number("index") == 5
    events = [one.text("sentence") for one in host.told("events").parts("events")]
    assert any("placement" in one for one in events)


def test_sighup_with_faults_changes_nothing(own_host: Host) -> None:
    """Every fault is told in the log, the old configuration stays, and the daemon lives."""
    host = own_host
    _configure(host, '[devices]\nplacement = "heap"\nwithheld = 5\n')
    host.until(lambda: "devices.withheld" in host.log_text)
    assert "devices.placement" in host.log_text
    assert host.allocate() in host.leases()


def test_a_state_directory_has_one_daemon(own_host: Host) -> None:
    """A second daemon on the same state is refused with a line that names the first."""
    other = str(own_host.folder / "other.sock")
    (line,) = own_host.serve_refused(69, "--socket", other)
    assert f"another gpusched (pid {own_host.pid}) uses this state directory" in line
    assert own_host.told("status").parts("devices")


def test_a_socket_has_one_daemon(own_host: Host) -> None:
    """A second daemon on the same socket is refused, and does not take it away."""
    (line,) = own_host.serve_refused(69, "--state-dir", str(own_host.folder / "other"))
    assert f"answers at {own_host.socket}" in line
    assert own_host.told("status").parts("devices")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "cannot listen: what lies there is no socket"),
        ("file/g.sock", "File exists"),
        ("x" * 90, "a unix socket's path has at most 107 bytes"),
    ],
)
def test_a_socket_that_cannot_be_had_is_refused(unstarted: Host, name: str, why: str) -> None:
    """Where the daemon cannot listen it says in one line why, and that --socket names another."""
    (unstarted.folder / "file").touch()
    (line,) = unstarted.serve_refused(69, "--socket", str(unstarted.folder / name))
    assert why in line
    assert line.endswith("; name another socket with --socket")


def test_daemon_and_clients_read_one_address(unstarted: Host) -> None:
    """GPUSCHED_SOCKET in gRPC's form, `unix:PATH`, is PATH to the daemon as to its clients."""
    address = {"GPUSCHED_SOCKET": f"unix:{unstarted.socket}"}
    unstarted.start_daemon(address)
    assert unstarted.gpusched("status", **address).returncode == 0


def test_a_bad_configuration_is_refused_with_all_its_faults(unstarted: Host) -> None:
    """`serve` and `config check` name every fault, each with file and key, and end with 64."""
    host = unstarted
    host.config.write_text(
        '[sampling]\ninterval = 5\n[devices]\nplacement = "heap"\n[leese]\nx = 1\n'
    )
    lines = host.serve_refused(64)
    assert lines == host.refused(64, "config", "check").splitlines()
    assert len(lines) == 3
    for name in ("leese: ", "sampling.interval: ", "devices.placement: "):
        assert any(f"{host.config}: {name}" in line for line in lines)


@pytest.mark.parametrize(
    ("simulate", "fault"),
    [("8xH1000", "H1000"), ("missing.toml", "missing.toml"), ("0xL4", "0xL4")],
)
def test_a_wrong_simulation_is_refused(simulate: str, fault: str) -> None:
    """What `--simulate` cannot be is said before anything is opened."""
    with Host(simulate) as host:
        (line,) = host.serve_refused(64)
        assert fault in line


def _rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)


def _torn(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"torn" * 50 + whole[4296:])  # the second page


@pytest.mark.parametrize("damage", [_rubbish, _torn])
def test_a_damaged_ledger_is_refused_and_left_alone(
    unstarted: Host, damage: Callable[[Path], None]
) -> None:
    """One line says what is wrong and what to do, and not a byte of the file is changed."""
    host, ledger = unstarted, unstarted.state / "ledger.db"
    host.start_daemon()
    assert host.stop_daemon() == 0
    damage(ledger)
    before = ledger.read_bytes()
    (line,) = host.serve_refused(69)
    assert f"cannot open the ledger {ledger}" in line
    assert "move it away" in line
    assert ledger.read_bytes() == before


def test_the_service_manager_hears_how_it_is(unstarted: Host) -> None:
    """READY=1 once clients are answered, WATCHDOG=1 while it lives, STOPPING=1 at the end."""
    host = unstarted
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(host.folder / "notify"))
        manager.settimeout(10)
        host.start_daemon(
            {"NOTIFY_SOCKET": str(host.folder / "notify"), "WATCHDOG_USEC": "2000000"}
        )
        heard = [manager.recv(4096)]
        while not heard[-1].startswith(b"READY=1"):
            heard.append(manager.recv(4096))
        assert manager.recv(4096) == manager.recv(4096) == b"WATCHDOG=1"
        assert host.stop_daemon() == 0
        while heard[-1] != b"STOPPING=1":
            heard.append(manager.recv(4096))


def test_the_log_of_a_service_is_json(unstarted: Host) -> None:
    """Into a pipe every line is a JSON object with time, level and event."""
    host = unstarted
    reading, writing = os.pipe()
    lines: list[str] = []
    with os.fdopen(reading) as pipe:
        taking = threading.Thread(target=lambda: lines.extend(pipe))
        taking.start()
        host.log.unlink(missing_ok=True)
        host.log.symlink_to(f"/proc/{os.getpid()}/fd/{writing}")
        host.start_daemon()
        os.close(writing)
        host.config.write_text("nonsense")
        kill(host.pid, signal.SIGHUP)
        host.until(lambda: len(lines) > 1)
        assert host.stop_daemon() == 0
        taking.join()
    found = [json.loads(line) for line in lines]
    assert all({"time", "level", "event"} <= one.keys() for one in found)
    assert "serving" in [one["event"] for one in found]
