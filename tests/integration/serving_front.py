"""A front over a real grpc.aio server and a real aiohttp server, for the tests of the front."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from aiohttp import web

from gpusched.rpc.front import Front, FrontLimits, peer_of
from gpusched.rpc.peer import Peer, PeerTable, UnknownPeer

BIG = 8 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", 2 * BIG),
    ("grpc.use_local_subchannel_pool", 1),  # a channel of its own has a connection of its own
)
NOBODY = 65534

_CLIENT = """
import json, os, sys, grpc
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    reply = channel.unary_unary("/test.Front/Who")(b"", timeout=20, wait_for_ready=True)
with open("/proc/self/stat") as stat:
    ticks = int(stat.read().rpartition(")")[2].split()[19])
print(json.dumps({"self": [os.getpid(), os.geteuid(), os.getegid(), ticks],
                  "seen": json.loads(reply)}))
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """What a test sees of a running front."""

    front: Front
    peers: PeerTable
    public: Path
    private: Path
    posted: list[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client process is, and what the service took it for: pid, uid, gid, start ticks."""

    self: tuple[int, ...]
    seen: tuple[int, ...]


@asynccontextmanager
async def serving(folder: Path, limits: FrontLimits | None = None) -> AsyncIterator[Serving]:
    """Serves until the test is done with it."""
    private = folder / "p"
    private.mkdir(mode=0o700)
    peers = PeerTable()
    posted: list[bytes] = []
    server = await _grpc_server(private / "grpc", peers)
    runner = await _http_server(posted)
    http = runner.server
    assert http is not None
    front = Front(
        folder / "front",
        private / "grpc",
        peers,
        lambda _peer: http(),
        limits or FrontLimits(),
    )
    front.start()
    try:
        yield Serving(front, peers, folder / "front", private / "grpc", posted)
    finally:
        await front.close()
        await runner.cleanup()
        await server.stop(None)


async def ask(public: Path) -> Answer:
    """Lets a client process of its own ask who it is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENT, str(public), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    answer = json.loads(output)
    return Answer(tuple(answer["self"]), tuple(answer["seen"]))


async def call(target: Path, method: str, request: bytes = b"") -> bytes:
    """Calls the service once, over a connection of its own."""
    async with grpc.aio.insecure_channel(f"unix:{target}", options=OPTIONS) as channel:
        method_call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/test.Front/{method}"
        )
        return await method_call(request, timeout=30)


def connect(path: Path) -> socket.socket:
    """Connects a non-blocking socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.settimeout(0)
    return sock


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until *condition* holds; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def _grpc_server(backend: Path, peers: PeerTable) -> grpc.aio.Server:
    async def who(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            peer = peers.require(context.peer())
        except UnknownPeer as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        return json.dumps(facts(peer)).encode()

    async def echo(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return request

    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Who": grpc.unary_unary_rpc_method_handler(who),
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Front", handlers),)
    )
    server.add_insecure_port(f"unix:{backend}")
    await server.start()
    return server


async def _http_server(posted: list[bytes]) -> web.AppRunner:
    async def post(request: web.Request) -> web.Response:
        posted.clear()
        while data := await request.content.readany():
            posted.append(data)
        peer = peer_of(request.transport)
        assert peer is not None
        return web.json_response({"peer": facts(peer), "size": sum(map(len, posted))})

    app = web.Application()
    app.router.add_post("/v1/post", post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    return runner


def facts(peer: Peer) -> tuple[int, int, int, int]:
    """Puts a peer into a row; -1 where its process is not known."""
    ticks = -1 if peer.process is None else peer.process.start_ticks
    return (peer.pid, peer.uid, peer.gid, ticks)
