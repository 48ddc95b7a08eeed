"""The service manager: systemd's protocol, and nobody."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpusched.adapters.null import NullServiceManager
from gpusched.adapters.systemd.notify import SystemdServiceManager
from gpusched.ports import ServiceManager

PID = 4321


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(5)
        yield made


def from_environment(**environment: str) -> SystemdServiceManager:
    made = SystemdServiceManager.from_environment(environment, PID)
    assert made is not None
    return made


@pytest.mark.parametrize(
    "manager", [NullServiceManager(), SystemdServiceManager("/nonexistent/notify", None)]
)
def test_telling_nobody_is_no_fault(manager: ServiceManager) -> None:
    """A service manager that does not listen never makes the daemon fail."""
    with capture_logs():
        manager.notify("READY=1")
    assert manager.watchdog_interval() is None


def test_state_reaches_a_socket_with_a_path(listener: socket.socket, socket_folder: Path) -> None:
    """Each state arrives as one datagram at the socket that NOTIFY_SOCKET names."""
    address = str(socket_folder / "notify")
    listener.bind(address)
    manager = from_environment(NOTIFY_SOCKET=address)
    manager.notify("READY=1\nSTATUS=2 leases: 4 GPUs²")
    manager.notify("WATCHDOG=1")
    assert listener.recv(4096).decode() == "READY=1\nSTATUS=2 leases: 4 GPUs²"
    assert listener.recv(4096) == b"WATCHDOG=1"


def test_state_reaches_an_abstract_socket(listener: socket.socket) -> None:
    """A leading @ names an abstract socket."""
    listener.bind(f"\0gpusched-test-{os.getpid()}")
    from_environment(NOTIFY_SOCKET=f"@gpusched-test-{os.getpid()}").notify("STOPPING=1")
    assert listener.recv(4096) == b"STOPPING=1"


def test_unreached_manager_is_logged() -> None:
    """The log says why the service manager could not be told."""
    with capture_logs() as lines:
        SystemdServiceManager("/nonexistent/notify", None).notify("READY=1")
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "No such file" in lines[0]["error"]


def test_a_full_queue_holds_nobody_up(listener: socket.socket, socket_folder: Path) -> None:
    """A service manager that does not read blocks the daemon for a moment only."""
    address = str(socket_folder / "notify")
    listener.bind(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.settimeout(0)
        filler.connect(address)
        while select.select([], [filler], [], 0)[1]:
            filler.send(b"WATCHDOG=1")
    with capture_logs() as lines:
        SystemdServiceManager(address, None).notify("READY=1")
    assert len(lines) == 1


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path"])
def test_only_unix_sockets_are_spoken_to(address: str) -> None:
    """Without a unix socket in NOTIFY_SOCKET nobody listens."""
    assert SystemdServiceManager.from_environment({"NOTIFY_SOCKET": address}, PID) is None
    assert SystemdServiceManager.from_environment({}, PID) is None


def test_watchdog_is_fed_twice_in_its_time() -> None:
    """The interval is half of WATCHDOG_USEC, in seconds."""
    manager = from_environment(
        NOTIFY_SOCKET="/run/n", WATCHDOG_USEC="30000000", WATCHDOG_PID=str(PID)
    )
    assert manager.watchdog_interval() == 15.0
    without_pid = from_environment(NOTIFY_SOCKET="/run/n", WATCHDOG_USEC="500000")
    assert without_pid.watchdog_interval() == 0.25


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
    ],
)
def test_watchdog_of_another_process_is_not_fed(watchdog: dict[str, str]) -> None:
    """Nobody asks where the watchdog is absent, malformed or meant for another pid."""
    assert from_environment(NOTIFY_SOCKET="/run/n", **watchdog).watchdog_interval() is None
