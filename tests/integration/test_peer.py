"""Who is at the other end of a unix socket, asked of the running kernel."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.core.ids import ProcessId
from gpusched.rpc import peer as peer_module
from gpusched.rpc.peer import Peer, PeerConnection, PeerTable, UnknownPeer, identify
from tests.descriptors import descriptors
from tests.integration.serving_front import NOBODY

_CONNECT = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, fileno=int(sys.argv[1]))
sock.connect(sys.argv[2])
print(flush=True)
sys.stdin.read()
"""
_SOMEBODY = Peer(1, 2, 3, None)


@pytest.fixture
def listener(socket_folder: Path) -> Iterator[socket.socket]:
    """A listening unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(socket_folder / "s"))
        sock.listen()
        yield sock


@pytest.mark.parametrize("option", [peer_module.SO_PEERPIDFD, 0x7FFF])
def test_a_peer_lives_as_long_as_its_process(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, option: int
) -> None:
    """With a kernel that gives pidfds and with one that does not, the end of a peer is seen."""
    monkeypatch.setattr(peer_module, "SO_PEERPIDFD", option)
    with socket.socket(socket.AF_UNIX) as sock, _connected_by_child(sock, listener) as child:
        accepted, _ = listener.accept()
        with accepted:
            connection = identify(accepted)
        assert connection.peer.pid == child.pid
        assert connection.peer.process == ProcessId(child.pid, _start_ticks(child.pid))
        assert connection.peer.cgroup == _cgroup(child.pid)
        assert connection.is_alive()
        child.communicate()
        assert not connection.is_alive()
        connection.close()


@pytest.mark.parametrize("option", [peer_module.SO_PEERPIDFD, 0x7FFF])
def test_a_peer_gone_before_the_accept_has_no_identity(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, option: int
) -> None:
    """A process that ended before it could be identified is not taken for a later one."""
    monkeypatch.setattr(peer_module, "SO_PEERPIDFD", option)
    with socket.socket(socket.AF_UNIX) as sock:
        with _connected_by_child(sock, listener) as child:
            child.communicate()
        accepted, _ = listener.accept()
        with accepted:
            connection = identify(accepted)
    assert connection.peer == Peer(child.pid, os.geteuid(), os.getegid(), None)
    assert not connection.is_alive()
    connection.close()


def test_a_zombie_has_no_identity(listener: socket.socket) -> None:
    """A process that has ended is gone, though its start time can be read until it is reaped."""
    with socket.socket(socket.AF_UNIX) as sock, _connected_by_child(sock, listener) as child:
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        accepted, _ = listener.accept()
        with accepted:
            connection = identify(accepted)
        assert _start_ticks(child.pid) > 0
    assert connection.peer.process is None
    connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to connect as another user")
def test_a_number_that_passed_to_another_user_is_not_trusted(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, socket_folder: Path
) -> None:
    """Without a pidfd from the socket, a pid whose uid is not the caller's proves nothing."""
    monkeypatch.setattr(peer_module, "SO_PEERPIDFD", 0x7FFF)
    socket_folder.chmod(0o711)
    (socket_folder / "s").chmod(0o666)
    before = descriptors()
    with socket.socket(socket.AF_UNIX) as sock:
        os.seteuid(NOBODY)
        try:
            sock.connect(str(socket_folder / "s"))
        finally:
            os.seteuid(0)
        accepted, _ = listener.accept()
        with accepted:
            connection = identify(accepted)
    assert (connection.peer.uid, connection.peer.process) == (NOBODY, None)
    assert descriptors() <= before


def test_a_pidfd_is_closed_once() -> None:
    """Closing twice does not close the descriptor that has taken the number since."""
    first = os.open("/dev/null", os.O_RDONLY)
    connection = PeerConnection(_SOMEBODY, first)
    connection.close()
    taken = os.open("/dev/null", os.O_RDONLY)
    assert taken == first
    connection.close()
    os.close(taken)


def test_a_caller_is_found_by_the_name_of_its_connection() -> None:
    """A caller is found while its connection is registered, whatever grpc makes of the folder."""
    table = PeerTable()
    table.register("c1", PeerConnection(_SOMEBODY, None))
    assert table.require("unix:/run/a%20b/c1") is _SOMEBODY
    assert not table.is_alive("unix:/run/c1")
    table.forget("c1")
    assert table.lookup("unix:/run/a%20b/c1") is None


@pytest.mark.parametrize(
    "context_peer", ["", "unix:", "unix:/run/c2", "ipv4:127.0.0.1:1/c1", "unix-abstract:c1"]
)
def test_a_stranger_is_no_caller(context_peer: str) -> None:
    """A call that did not come through the front is refused, with what to do."""
    table = PeerTable()
    table.register("c1", PeerConnection(_SOMEBODY, None))
    with pytest.raises(UnknownPeer, match="connect to the daemon's public socket"):
        table.require(context_peer)
    assert not table.is_alive(context_peer)


def test_a_name_stands_for_one_connection() -> None:
    """A name that is taken cannot be given to a second connection."""
    table = PeerTable()
    table.register("c1", PeerConnection(_SOMEBODY, None))
    with pytest.raises(ValueError, match="taken"):
        table.register("c1", PeerConnection(_SOMEBODY, None))


def _connected_by_child(sock: socket.socket, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Lets a child connect *sock*, which this process keeps open, and wait for its input's end."""
    child = subprocess.Popen(  # noqa: S603 - this interpreter, no shell
        [sys.executable, "-I", "-c", _CONNECT, str(sock.fileno()), listener.getsockname()],
        pass_fds=[sock.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _cgroup(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().split("\n")
    return next((one[3:] for one in lines if one.startswith("0::")), "")


def _start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
