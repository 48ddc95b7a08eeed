"""Where no daemon can be reached the user learns which of the cases it is: exit code 69."""

import socket
import sys
from pathlib import Path

import pytest

import gpusched
from gpusched.client.errors import DaemonUnreachable
from tests.e2e.host import Host
from tools.stage import GPUSCHED

_AS_NOBODY = (sys.executable, "-m", "tests.e2e.as_user", "65534")


def test_no_socket_is_said(host: Host) -> None:
    """Without a socket the user is told how to start a daemon."""
    said = host.refused(69, "--socket", str(host.folder / "nothing"), "status")
    assert "there is no socket at" in said
    assert "gpusched serve" in said


def test_a_socket_without_a_daemon_is_said(host: Host) -> None:
    """A socket that was left behind is not taken for a daemon that is slow."""
    left = host.folder / "left"
    _leave_behind(left)
    said = host.refused(69, "--socket", str(left), "leases")
    assert "was left behind by one that has ended" in said


@pytest.mark.root
def test_a_socket_that_is_not_for_the_user_is_said(host: Host) -> None:
    """Whoever may not open the socket is told so, not that nobody answers."""
    locked = host.folder / "locked"
    locked.mkdir(mode=0o700)
    path = locked / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        done = host.run(*_AS_NOBODY, "--socket", str(path), "status")
    assert done.returncode == 69, done
    assert "not permitted: uid 65534 may not open" in done.stderr


def test_another_program_is_not_taken_for_a_daemon(host: Host) -> None:
    """What answers in another protocol is named as a stranger."""
    path = host.folder / "stranger"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        asking = host.start(str(GPUSCHED), "--socket", str(path), "status")
        connection, _ = stranger.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")
    assert asking.wait(10) == 70


@pytest.mark.parametrize("left", [False, True])
def test_the_client_raises_the_same_sentence(host: Host, *, left: bool) -> None:
    """A program over gRPC learns what the command line says."""
    path = host.folder / f"client-{left}"
    if left:
        _leave_behind(path)
    said = host.refused(69, "--socket", str(path), "status")
    with gpusched.Client(str(path)) as client, pytest.raises(DaemonUnreachable) as caught:
        client.status()
    assert f"gpusched: {caught.value.sentence}\n" == said


def _leave_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
