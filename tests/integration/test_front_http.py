"""The front's other protocol: HTTP/1.1 by aiohttp, on the same socket."""

import asyncio
import json
import os
from functools import partial
from pathlib import Path

from aiohttp import ClientSession, UnixConnector
from structlog.testing import capture_logs

from gpusched.rpc.front import Front
from gpusched.rpc.peer import PeerTable
from tests.integration.serving_front import BIG, eventually, serving

HEAD = b"POST /v1/post HTTP/1.1\r\nHost: gpusched\r\n"


async def test_http_knows_its_client(socket_folder: Path) -> None:
    """A request over HTTP/1.1 has the same caller as one over gRPC."""
    async with (
        serving(socket_folder) as served,
        ClientSession(connector=UnixConnector(str(served.public))) as session,
        session.post("http://gpusched/v1/post", data=b"body") as reply,
    ):
        answer = await reply.json()
    assert answer["peer"][:3] == [os.getpid(), os.geteuid(), os.getegid()]
    assert answer["size"] == 4


async def test_http_connections_are_kept(socket_folder: Path) -> None:
    """One connection carries several requests, bodies in pieces and single bytes included."""
    async with serving(socket_folder) as served:
        reader, writer = await asyncio.open_unix_connection(served.public)
        for byte in HEAD + b"Content-Length: 3\r\n\r\none":
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await _reply(reader))["size"] == 3
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        served.posted.clear()
        for _ in range(3):
            had = len(served.posted)
            writer.write(b"2\r\nab\r\n")
            await eventually(partial(_has_more, served.posted, had))
        writer.write(b"0\r\n\r\n")
        assert (await _reply(reader))["size"] == 6
        writer.close()


async def test_a_big_body_passes(socket_folder: Path) -> None:
    """A body larger than every buffer on its way arrives whole."""
    body = bytes(900_000)
    async with serving(socket_folder) as served:
        reader, writer = await asyncio.open_unix_connection(served.public)
        writer.write(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert (await _reply(reader))["size"] == len(body)
        writer.close()


class _SaysMuch(asyncio.Protocol):
    """Answers with more than any buffer takes, and closes at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        self._transport.write(bytes(BIG))
        self._transport.close()


async def test_a_slow_reader_of_a_last_answer_is_no_fault(socket_folder: Path) -> None:
    """A big answer that is closed behind arrives whole, and nothing of it is an error."""
    private = socket_folder / "p"
    private.mkdir(mode=0o700)
    front = Front(socket_folder / "front", private / "grpc", PeerTable(), lambda _: _SaysMuch())
    front.start()
    with capture_logs() as events:
        reader, writer = await asyncio.open_unix_connection(socket_folder / "front")
        writer.write(HEAD)
        await asyncio.sleep(0.1)
        assert len(await reader.read()) == BIG
        writer.close()
        await writer.wait_closed()
        await front.close()
    assert events == []


def _has_more(posted: list[bytes], had: int) -> bool:
    return len(posted) > had


async def _reply(reader: asyncio.StreamReader) -> dict[str, int]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 200 ")
    lengths = [line for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0].split()[1]))
    answer: dict[str, int] = json.loads(body)
    return answer
