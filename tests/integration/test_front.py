"""The front over a real grpc.aio server, with real clients."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from gpusched.client.errors import CouldFitLater
from gpusched.client.thin import ThinClient
from gpusched.rpc.front import Front, FrontLimits
from gpusched.rpc.peer import PeerTable
from tests.descriptors import descriptors
from tests.integration.serving_front import (
    BIG,
    NOBODY,
    ask,
    call,
    connect,
    eventually,
    serving,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS = 4
BEGINNINGS = (b"", b"PR", PREFACE, PREFACE + b"\0\0\x09", b"POST /v1/")


@pytest.fixture
def open_folder(socket_folder: Path) -> Path:
    """A folder that every user may enter."""
    socket_folder.chmod(0o755)
    return socket_folder


async def test_a_caller_is_the_process_that_connected(socket_folder: Path) -> None:
    """A service sees the pid, uid, gid and start time that its client has."""
    async with serving(socket_folder) as served:
        answer = await ask(served.public)
    assert answer.seen == answer.self


async def test_clients_are_told_apart(socket_folder: Path) -> None:
    """Two clients at once are each seen as themselves."""
    async with serving(socket_folder) as served:
        one, two = await asyncio.gather(ask(served.public), ask(served.public))
    assert (one.seen, two.seen) == (one.self, two.self)
    assert one.self != two.self


async def test_a_call_past_the_front_is_refused(socket_folder: Path) -> None:
    """A call that reaches grpc's own socket without the front has no caller and is refused."""
    async with serving(socket_folder) as served:
        with pytest.raises(grpc.aio.AioRpcError, match="not known") as refused:
            await call(served.private, "Who")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_big_messages_pass_both_ways(socket_folder: Path) -> None:
    """A message of many chunks comes back byte for byte."""
    message = os.urandom(BIG)
    async with serving(socket_folder) as served:
        assert await call(served.public, "Echo", message) == message


async def test_a_preface_may_come_byte_by_byte(socket_folder: Path) -> None:
    """HTTP/2 is recognised however slowly its first bytes come, and none is lost."""
    async with serving(socket_folder) as served:
        reader, writer = await asyncio.open_unix_connection(served.public)
        for byte in PREFACE:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.001)
        header = await asyncio.wait_for(reader.readexactly(9), 10)
        writer.close()
    assert header[3] == SETTINGS


@pytest.mark.parametrize("sent", [b"", b"PRI"])
async def test_a_silent_client_is_closed(socket_folder: Path, sent: bytes) -> None:
    """A client that does not show its protocol in time is closed without a word."""
    async with serving(socket_folder, FrontLimits(first_bytes_s=0.05)) as served:
        reader, writer = await asyncio.open_unix_connection(served.public)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_slow_backend_holds_the_client_back(socket_folder: Path) -> None:
    """While grpc takes nothing the client can send little, and all of it arrives later."""
    with (
        _deaf_backend(socket_folder) as (backend, front),
        connect(socket_folder / "front") as client,
    ):
        sent = await _send_until_full(client, b"PRI " + bytes(BIG))
        client.shutdown(socket.SHUT_WR)
        inner, _ = backend.accept()
        with inner:
            inner.settimeout(0)
            received = await _read_to_end(inner)
        await front.close()
    assert received == sent < BIG // 4


async def test_a_full_backlog_is_waited_for(socket_folder: Path) -> None:
    """A client that comes while grpc cannot accept is served as soon as it can."""
    with _deaf_backend(socket_folder) as (backend, front):
        crowd = []
        with suppress(BlockingIOError):
            while True:
                crowd.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                crowd[-1].settimeout(0)
                crowd[-1].connect(backend.getsockname())
        client = connect(socket_folder / "front")
        client.send(PREFACE)
        await asyncio.sleep(0.05)
        for sock in crowd[:-1]:
            backend.accept()[0].close()
            sock.close()
        backend.settimeout(0)
        inner, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(backend), 10)
        assert await asyncio.get_running_loop().sock_recv(inner, 99) == PREFACE
        for sock in (crowd[-1], inner, client):
            sock.close()
        await front.close()


async def test_dropped_connections_leave_nothing(
    socket_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two hundred clients that vanish at any point leave no descriptor, caller or alarm behind."""
    async with serving(socket_folder) as served:
        await ask(served.public)
        await eventually(lambda: not len(served.peers))
        before = descriptors()
        with capture_logs() as events, caplog.at_level(logging.INFO):
            for number in range(200):
                reader, writer = await asyncio.open_unix_connection(served.public)
                writer.write(BEGINNINGS[number % len(BEGINNINGS)])
                if number % 2:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), 0.005)
                writer.transport.abort()
            await eventually(lambda: not len(served.peers) and descriptors() <= before)
    assert {event["log_level"] for event in events} <= {"debug"}
    assert not caplog.records


async def test_a_missing_backend_closes_the_client(
    socket_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With nobody behind the front a gRPC client is closed, and nobody is alarmed."""
    (socket_folder / "p").mkdir(mode=0o700)
    peers = PeerTable()
    front = Front(socket_folder / "front", socket_folder / "p" / "grpc", peers, _no_http)
    before = descriptors()
    front.start()
    with capture_logs() as events, caplog.at_level(logging.INFO):
        reader, writer = await asyncio.open_unix_connection(socket_folder / "front")
        writer.write(PREFACE)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await front.close()
    await eventually(lambda: descriptors() <= before)
    assert [event["log_level"] for event in events] == ["debug"]
    assert not caplog.records
    assert not list((socket_folder / "p").iterdir())


async def test_a_half_closed_client_is_closed(socket_folder: Path) -> None:
    """A client that will send no more is closed on both sides."""
    async with serving(socket_folder) as served:
        reader, writer = await asyncio.open_unix_connection(served.public)
        writer.write(PREFACE)
        await reader.readexactly(9)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await eventually(lambda: not len(served.peers))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to connect as another user")
async def test_one_user_cannot_take_all_connections(open_folder: Path) -> None:
    """A user's connection over the limit is told why; others and freed places are served."""
    async with serving(open_folder, FrontLimits(connections_per_uid=2)) as served:
        with _effective_uid(NOBODY):
            held = [connect(served.public) for _ in range(2)]
            refused = connect(served.public)
        told = await _read_all(refused)
        assert told.startswith(b"HTTP/1.1 429 ")
        assert b"uid 65534 holds 2 connections" in told
        assert (await ask(served.public)).seen[1] == os.geteuid()
        await asyncio.to_thread(int)  # what threads need is loaded while it may be
        with _effective_uid(NOBODY), pytest.raises(CouldFitLater, match="holds 2 connections"):
            await asyncio.to_thread(ThinClient(str(served.public)).call, "Node/Ping")
        held.pop().close()
        await eventually(lambda: served.front._held[NOBODY] == 1)
        with _effective_uid(NOBODY):
            held.append(connect(served.public))
        held[-1].send(PREFACE)
        assert await asyncio.get_running_loop().sock_recv(held[-1], 9)
        for sock in held:
            sock.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to connect as other users")
async def test_users_together_leave_descriptors_to_root(open_folder: Path) -> None:
    """Whoever has many uids cannot take every descriptor; root is served still."""
    async with serving(open_folder, FrontLimits(connections=2)) as served:
        held: list[socket.socket] = []
        for uid in (NOBODY, NOBODY - 1, NOBODY - 2):
            with _effective_uid(uid):
                held.append(connect(served.public))
        told = await _read_all(held.pop())
        assert told.startswith(b"HTTP/1.1 429 ")
        assert b"all users hold 2 connections" in told
        assert (await ask(served.public)).seen[1] == 0
        for sock in held:
            sock.close()


async def test_closing_ends_every_connection(socket_folder: Path) -> None:
    """Closing the front ends its connections and removes its socket."""
    async with serving(socket_folder) as served:
        first = [b"", b"P", PREFACE, b"POST /v1/post HTTP/1.1\r\n"]
        opened = [await asyncio.open_unix_connection(served.public) for _ in first]
        for (_, writer), data in zip(opened, first, strict=True):
            writer.write(data)
        await eventually(lambda: len(served.peers) == 1)
        await served.front.close()
        for reader, writer in opened:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1 << 16), 10)
            writer.close()
        assert not served.public.exists()


async def test_an_open_private_folder_is_refused(open_folder: Path) -> None:
    """Where others could connect to grpc in a caller's name, the front does not start."""
    front = Front(open_folder / "front", open_folder / "grpc", PeerTable(), _no_http)
    with pytest.raises(PermissionError, match="mode 0700"):
        front.start()


@contextmanager
def _deaf_backend(folder: Path) -> Iterator[tuple[socket.socket, Front]]:
    """Puts a front before a socket on which nobody accepts."""
    (folder / "p").mkdir(mode=0o700)
    front = Front(folder / "front", folder / "p" / "grpc", PeerTable(), _no_http)
    front.start()
    with socket.socket(socket.AF_UNIX) as backend:
        backend.bind(str(folder / "p" / "grpc"))
        backend.listen(1)
        yield backend, front


def _no_http(_: object) -> asyncio.Protocol:
    raise AssertionError("no HTTP/1.1 here")


async def _read_all(sock: socket.socket) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    told = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return told


async def _send_until_full(sock: socket.socket, data: bytes) -> int:
    """Sends until nothing has been taken for a tenth of a second."""
    sent, waited = 0, 0
    while waited < 20 and sent < len(data):
        try:
            sent += sock.send(data[sent : sent + 65536])
            waited = 0
        except BlockingIOError:
            waited += 1
            await asyncio.sleep(0.005)
    return sent


async def _read_to_end(sock: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    received = 0
    while data := await asyncio.wait_for(loop.sock_recv(sock, 1 << 20), 10):
        received += len(data)
    return received


@contextmanager
def _effective_uid(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
