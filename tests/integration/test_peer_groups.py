"""The groups of who is at the other end of a unix socket, asked of the running kernel."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gpusched.rpc import peer_groups as module
from gpusched.rpc.call import Callers, Users
from gpusched.rpc.peer import identify
from gpusched.rpc.peer_groups import peer_groups

_CONNECT = """
import os, socket, sys
os.setgroups([int(one) for one in sys.argv[2:]])
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
os.setgroups([])
print(flush=True)
sys.stdin.read()
"""
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to take other groups")


@pytest.fixture
def listener(socket_folder: Path) -> Iterator[socket.socket]:
    """A listening unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(socket_folder / "s"))
        sock.listen()
        yield sock


def connected(listener: socket.socket, groups: Sequence[int]) -> socket.socket:
    """Accept the connection of a process that had *groups* when it connected."""
    words = [sys.executable, "-c", _CONNECT, listener.getsockname(), *map(str, groups)]
    with subprocess.Popen(  # noqa: S603 - a program of this test
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        accepted, _ = listener.accept()
        child.communicate()
    return accepted


def test_own_groups_are_told(listener: socket.socket) -> None:
    """A process that connects to itself is told the groups that it has."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert peer_groups(accepted) == tuple(sorted(set(os.getgroups())))


@_AS_ROOT
@pytest.mark.parametrize("groups", [(), (27,), (500, 4, 27), tuple(range(1000, 3000))])
def test_groups_are_those_of_the_connect(listener: socket.socket, groups: tuple[int, ...]) -> None:
    """Whatever a process does later, it is in the groups in which it connected, however many."""
    with connected(listener, groups) as accepted:
        assert peer_groups(accepted) == tuple(sorted(groups))


@_AS_ROOT
def test_a_caller_has_its_groups(listener: socket.socket) -> None:
    """Who calls is known with the groups that the kernel tells."""
    with connected(listener, (4, 27)) as accepted:
        connection = identify(accepted)
    caller = Callers(lambda _uid, _gid: False, Users()).call_of(connection.peer).caller
    assert caller.groups == (4, 27)
    connection.close()


def test_a_kernel_that_cannot_tell_tells_none(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel knows no such option a caller has no groups but his main one."""
    monkeypatch.setattr(module, "SO_PEERGROUPS", 0x7FFF)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert peer_groups(accepted) == ()


def test_what_is_no_socket_is_an_error() -> None:
    """A descriptor that is no unix socket is not taken for a peer without groups."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.close()
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            peer_groups(sock)
