"""Who is at the other end of a unix socket, as the kernel says it.

grpcio cannot tell, so the front asks the kernel when it accepts and keeps the answer in a
`PeerTable` that the services look their callers up in. Nothing of gRPC, HTTP or the ledger may
enter this file, and nothing that a client says about itself.
"""

import errno
import os
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from gpusched.core.ids import ProcessId
from gpusched.rpc.peer_groups import peer_groups

SO_PEERPIDFD = 77
"""Socket option of Linux 6.5 and later (`asm-generic/socket.h`); Python has no name for it."""

_CREDENTIALS = struct.Struct("iII")
_DESCRIPTOR = struct.Struct("i")
_GONE = frozenset({errno.ESRCH, errno.ENODATA})
_UNSUPPORTED = frozenset({errno.ENOPROTOOPT, errno.EINVAL})
_NO_PIDFD = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_START_TICKS = 19  # field 22 of /proc/<pid>/stat, counted from the one after the command's ")"
_CGROUP2 = b"0::"
_EFFECTIVE_UID = 2  # "Uid:", real, effective, saved, file system


class UnknownPeer(Exception):
    """A call whose connection did not come through the front: its caller cannot be trusted.

    Attributes:
        context_peer: What grpc calls the connection.
    """

    def __init__(self, context_peer: str) -> None:
        super().__init__(
            f"caller {context_peer!r} is not known: it did not come through the public socket, "
            "or its connection has ended; connect to the daemon's public socket and call again"
        )
        self.context_peer = context_peer


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that called `connect()`, in the daemon's PID and user namespaces.

    A socket passed on still names the process that connected it.

    Attributes:
        pid: Thread group id; 0 when the process is invisible from the daemon's PID namespace.
        uid: Effective uid when it connected.
        gid: Effective gid when it connected.
        process: Identity of that process, read while a pidfd proved it alive; None when it was
            gone before, or the kernel could not prove it.
        cgroup: Its cgroup2 path at the accept, by the same proof; empty where it is not known, or
            the host has no cgroup2.
        groups: Its supplementary groups when it connected, sorted.
    """

    pid: int
    uid: int
    gid: int
    process: ProcessId | None
    cgroup: str = ""
    groups: tuple[int, ...] = ()


class PeerConnection:
    """A peer and the pidfd that pins its process, for as long as the connection lives.

    It owns the pidfd: `close` closes it once, however often it is called.
    """

    __slots__ = ("_pidfd", "peer")

    def __init__(self, peer: Peer, pidfd: int | None) -> None:
        self.peer = peer
        self._pidfd = pidfd

    def is_alive(self) -> bool:
        """Say whether the process is proven to run; False too where there is no proof."""
        return self._pidfd is not None and _runs(self._pidfd)

    def close(self) -> None:
        """Give up the pidfd. Idempotent."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)


class PeerTable:
    """The living connections by the name that their onward socket is bound to."""

    def __init__(self) -> None:
        self._connections: dict[str, PeerConnection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def register(self, name: str, connection: PeerConnection) -> None:
        """Make *connection* known under *name*, a file name without a slash.

        Raises:
            ValueError: The name is taken; answering for two callers would mix them up.
        """
        if name in self._connections:
            raise ValueError(f"connection name {name!r} is taken")
        self._connections[name] = connection

    def forget(self, name: str) -> None:
        """Let calls under *name* be refused from now on. Idempotent; closes nothing."""
        self._connections.pop(name, None)

    def lookup(self, context_peer: str) -> Peer | None:
        """Find who calls, by what grpc's `context.peer()` says; None for a stranger."""
        connection = self._connection(context_peer)
        return None if connection is None else connection.peer

    def require(self, context_peer: str) -> Peer:
        """Find who calls, by what grpc's `context.peer()` says.

        Raises:
            UnknownPeer: The connection is not the front's.
        """
        peer = self.lookup(context_peer)
        if peer is None:
            raise UnknownPeer(context_peer)
        return peer

    def is_alive(self, context_peer: str) -> bool:
        """Say whether the calling process is proven to run; False for a stranger."""
        connection = self._connection(context_peer)
        return connection is not None and connection.is_alive()

    def _connection(self, context_peer: str) -> PeerConnection | None:
        # grpc percent-encodes the directory in some versions, so only the last part, which has
        # nothing to encode, is compared; the directory is 0700: nobody else binds a name in it.
        transport, _, path = context_peer.partition(":")
        return self._connections.get(path.rpartition("/")[2]) if transport == "unix" else None


def identify(sock: socket.socket) -> PeerConnection:
    """Ask the kernel who connected the unix socket *sock*.

    Returns:
        The peer with its pidfd; the caller closes it.

    Raises:
        OSError: Not a connected unix socket, or the daemon is out of descriptors or memory.
    """
    option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(option)
    pidfd = _peer_pidfd(sock, pid, uid)
    process, cgroup = _identity(pid, pidfd)
    return PeerConnection(Peer(pid, uid, gid, process, cgroup, peer_groups(sock)), pidfd)


def _peer_pidfd(sock: socket.socket, pid: int, uid: int) -> int | None:
    """Open a pidfd of the connecting process; None when it is gone or cannot be proven."""
    try:
        option = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, _DESCRIPTOR.size)
    except OSError as error:
        if error.errno in _GONE:
            return None
        if error.errno in _UNSUPPORTED:  # before 6.5; EINVAL also for a dead peer on some later
            return _pidfd_of(pid, uid)
        raise
    pidfd: int = _DESCRIPTOR.unpack(option)[0]
    return pidfd


def _pidfd_of(pid: int, uid: int) -> int | None:
    """Open a pidfd by number, for kernels without SO_PEERPIDFD.

    The number may have passed to another process between `connect()` and now. Its uid is compared,
    so a caller can at most be taken for another process of its own user; comparing its start
    with the instant of the accept would add nothing, because both happen in one step here.
    """
    if pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PIDFD:
            return None
        raise
    if _effective_uid(pid) == uid and _runs(pidfd):
        return pidfd
    os.close(pidfd)
    return None


def _identity(pid: int, pidfd: int | None) -> tuple[ProcessId | None, str]:
    """Read start time and cgroup; that the process runs afterwards proves whose they were."""
    if pidfd is None:
        return None, ""
    ticks, cgroup = _start_ticks(pid), _cgroup(pid)
    if ticks is None or not _runs(pidfd):
        return None, ""
    return ProcessId(pid, ticks), cgroup


def _runs(pidfd: int) -> bool:
    """Say whether the process has not ended; a zombie has (signal 0 would still reach it)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command may hold spaces and brackets of its own: count from its last bracket.
    return int(stat.rpartition(b")")[2].split()[_START_TICKS])


def _cgroup(pid: int) -> str:
    """Give the cgroup2 path, the line of hierarchy 0 (cgroups(7)); empty without one."""
    try:
        # Not by `Path`: it costs as much again, and every connection comes through here.
        with open(f"/proc/{pid}/cgroup", "rb", buffering=0) as file:  # noqa: PTH123 - see above
            listing = file.read()
    except OSError:
        return ""
    # At the kernel's line ends only: a name may hold a carriage return.
    lines = (listing or b"").split(b"\n")
    path = next((one[len(_CGROUP2) :] for one in lines if one.startswith(_CGROUP2)), b"")
    return path.decode(errors="backslashreplace")


def _effective_uid(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[_EFFECTIVE_UID])
    return None
