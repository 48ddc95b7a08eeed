"""The public socket: accepts, asks the kernel who connected, and hands the connection on.

HTTP/2 goes on to grpc.aio, over a private socket bound to a name that `PeerTable` knows; all
else goes to an HTTP/1.1 protocol in this process. What is said inside either protocol is none of
this file's business, and no decision about a caller is taken here but how many connections it may
hold.
"""

import asyncio
import errno
import json
import os
import secrets
import socket
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gpusched.rpc.listener import Listener, check_length
from gpusched.rpc.peer import Peer, PeerConnection, PeerTable, identify
from gpusched.rpc.splice import scratch, splice

HttpHandler = Callable[[Peer], asyncio.Protocol]
"""Makes the protocol that serves one HTTP/1.1 connection of that peer."""

_PREFACE = b"PRI "  # RFC 9113 section 3.4; HTTP/1 has no such method
_FIRST_CHUNK = 64 * 1024
_NAME_BYTES = 8
_CONNECT_PAUSE_S = 0.01
_ROOT = 0

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """What a client may take of the front.

    Attributes:
        connections_per_uid: Open connections of one user; root has no limit. A connection costs
            four descriptors with gRPC, two with HTTP/1.1.
        connections: Open connections of all users but root together, who may be one man: whoever
            has subordinate uids is as many users. Else they could take every descriptor.
        first_bytes_s: Seconds until a client must have shown which protocol it speaks, and again
            until grpc must have taken the connection.
    """

    connections_per_uid: int = 1024
    connections: int = 1 << 15
    first_bytes_s: float = 10.0


_DEFAULT_LIMITS = FrontLimits()


class Front:
    """One listening unix socket that serves gRPC and HTTP/1.1 and knows its clients.

    A connection over the limit is answered with one HTTP/1.1 429 that says why, and closed: curl
    prints it, grpc reports UNAVAILABLE and tries again with back-off.

    Args:
        socket_path: Where to listen, for everybody (0666); its directory exists.
        backend: grpc.aio's own socket; its directory is 0700 and ours, for whoever can write
            there could be taken for any caller. Names of connections appear in it for a moment.
        peers: Told of each gRPC connection while it lives.
        http: Makes what serves the other connections.
        limits: What a client may take.
    """

    def __init__(
        self,
        socket_path: Path,
        backend: Path,
        peers: PeerTable,
        http: HttpHandler,
        limits: FrontLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._backend = backend
        self._peers = peers
        self._http = http
        self._limits = limits
        self._listener = Listener(socket_path, self._admit)
        self._held: Counter[int] = Counter()
        # The event loop holds tasks weakly: one that nobody else holds may be collected.
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffer = scratch()

    def start(self) -> None:
        """Listen, in the running event loop.

        A socket left behind by a killed daemon is replaced: call it under the daemon's
        single-instance lock.

        Raises:
            OSError: The path is too long, or taken by something that is no socket; the private
                directory is open to others; or the kernel refuses.
        """
        check_private(self._backend.parent)
        self._listener.start()

    def stop_accepting(self) -> None:
        """Take no more connections; those that exist live on. Idempotent."""
        self._listener.close()

    async def close(self) -> None:
        """Stop accepting and close every connection. Idempotent."""
        self.stop_accepting()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _admit(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        try:
            connection = identify(sock)
        except OSError as error:
            _log.debug("front.unidentified", why=str(error))
            sock.close()
            return
        uid = connection.peer.uid
        if (why := self._too_many(uid)) is not None:
            _refuse(sock, uid, why)
            connection.close()
            return
        self._held[uid] += 1
        task = asyncio.get_running_loop().create_task(self._serve(sock, connection))
        self._tasks.add(task)
        # Not in a `finally` of the task: one cancelled before its first step has none.
        task.add_done_callback(lambda task: self._release(task, sock, connection))

    def _too_many(self, uid: int) -> str | None:
        held, limits = self._held[uid], self._limits
        if uid == _ROOT:
            return None
        if held >= limits.connections_per_uid:
            return f"uid {uid} holds {held} connections, all that it may: close some or share one"
        if self._held.total() - self._held[_ROOT] >= limits.connections:
            return f"all users hold {limits.connections} connections, as many as fit: try again"
        return None

    def _release(
        self, task: asyncio.Task[None], sock: socket.socket, connection: PeerConnection
    ) -> None:
        uid = connection.peer.uid
        self._tasks.discard(task)
        self._held[uid] -= 1
        if not self._held[uid]:
            del self._held[uid]
        connection.close()
        sock.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("front.connection_failed", uid=uid, exc_info=error)

    async def _serve(self, sock: socket.socket, connection: PeerConnection) -> None:
        """Serve one connection to its end."""
        try:
            async with asyncio.timeout(self._limits.first_bytes_s):
                first = await _first_bytes(sock)
            if first.startswith(_PREFACE):
                await self._to_grpc(sock, connection, first)
            elif first:
                await self._to_http(sock, connection.peer, first)
        except OSError as error:  # a TimeoutError is one
            _log.debug("front.connection_ended", uid=connection.peer.uid, why=repr(error))

    async def _to_grpc(
        self, sock: socket.socket, connection: PeerConnection, first: bytes
    ) -> None:
        name = secrets.token_hex(_NAME_BYTES)
        self._peers.register(name, connection)
        try:
            async with asyncio.timeout(self._limits.first_bytes_s):
                backend = await self._connect(name)
            with backend:
                await splice(sock, backend, first, self._buffer)
        finally:
            self._peers.forget(name)

    async def _to_http(self, sock: socket.socket, peer: Peer, first: bytes) -> None:
        protocol = _HttpConnection(peer, self._http(peer), first)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        try:
            await protocol.ended.wait()
        finally:
            # asyncio may have let go of its loop already: abort() fails after a close that had
            # to wait for a slow reader.
            if not protocol.ended.is_set():
                transport.abort()
                await protocol.ended.wait()

    async def _connect(self, name: str) -> socket.socket:
        """Connect to grpc from a socket that bears *name*; wait while its backlog is full.

        `loop.sock_connect` must not do this: on a unix socket EAGAIN means "not connected, try
        again", and asyncio takes it for "under way".
        """
        while True:
            try:
                return _connect_as(self._backend.parent / name, self._backend)
            except BlockingIOError:
                await asyncio.sleep(_CONNECT_PAUSE_S)


class _HttpConnection(asyncio.Protocol):
    """Replays the first bytes to an HTTP/1.1 protocol, then passes all events on to it."""

    def __init__(self, peer: Peer, handler: asyncio.Protocol, first: bytes) -> None:
        self.peer = peer
        self.ended = asyncio.Event()
        self._handler = handler
        self._first = first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._handler.connection_made(transport)
        self._handler.data_received(self._first)

    def data_received(self, data: bytes) -> None:
        self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self._handler.connection_lost(exc)


def peer_of(transport: asyncio.BaseTransport | None) -> Peer | None:
    """Find who is at the other end of an HTTP/1.1 connection of the front; None for others.

    For request handlers that see the transport but not the protocol's factory.
    """
    protocol = None if transport is None else transport.get_protocol()
    return protocol.peer if isinstance(protocol, _HttpConnection) else None


async def _first_bytes(sock: socket.socket) -> bytes:
    """Read until the protocol shows; empty when the client ends before."""
    loop = asyncio.get_running_loop()
    first = b""
    while len(first) < len(_PREFACE) and _PREFACE.startswith(first):
        chunk = await loop.sock_recv(sock, _FIRST_CHUNK)
        if not chunk:
            return b""
        first += chunk
    return first


def check_private(directory: Path) -> None:
    """Refuse a directory in which names of connections have no room, or are not ours alone.

    Raises:
        OSError: Its path is too long, or others may enter it.
    """
    check_length(directory / ("0" * 2 * _NAME_BYTES))
    status = directory.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(
            errno.EPERM, "must belong to the daemon's user with mode 0700", str(directory)
        )


def _connect_as(name: Path, backend: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(str(name))
        try:
            sock.connect(str(backend))
        finally:
            name.unlink()  # the address stays with the socket; only the file goes
    except OSError:
        sock.close()
        raise
    return sock


def _refuse(sock: socket.socket, uid: int, why: str) -> None:
    # As the gateway refuses: clients of its are told why.
    text = json.dumps({"error": {"code": "RESOURCE_EXHAUSTED", "message": why}}) + "\n"
    head = (
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    with sock, suppress(OSError):
        sock.send((head + text).encode())
    _log.debug("front.refused", uid=uid, why=why)
