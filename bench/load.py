"""A process of clients: `python -m bench.load SOCKET CLIENTS`, told what to do on its stdin.

Each line there is `null SECONDS` or `durable SECONDS`; the answer is a line of JSON. Every client
has its own connection and calls in a closed loop: the next call when the last one is answered.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from bench.http2 import GrpcConnection, header_block
from gpusched.api.v1 import lease_pb2, leases_pb2, request_pb2

MEMORY = 1 << 30
"""Bytes of every lease: all clients together fit on one large device."""

WARM_UP = 0.3
"""Seconds at the start of a phase that are not counted."""

PATIENCE = 20.0
"""Seconds that the last calls of a phase may take."""

PING = header_block("/gpusched.v1.Node/Ping")
ALLOCATE = header_block("/gpusched.v1.Leases/Allocate")
RELEASE = header_block("/gpusched.v1.Leases/Release")
WISH = request_pb2.AllocateRequest(memory_bytes=MEMORY).SerializeToString()


@dataclass(slots=True)
class Phase:
    """What all clients of this process do for a while.

    Attributes:
        durable: Whether they allocate and release; else they ping.
        begins: Calls answered from here on count.
        ends: Calls answered from here on do not.
        running: Clients that still have something to end.
        over: Resolved when they have; fails when a connection is lost.
        calls: Answered in time.
        refused: At any time.
    """

    durable: bool
    begins: float
    ends: float
    running: int
    over: asyncio.Future[None]
    calls: int = 0
    refused: int = 0


class Client:
    """One connection in a closed loop."""

    def __init__(self) -> None:
        self.connection = GrpcConnection(self._replied, self._lost)
        self._phase: Phase | None = None
        self._allocating = False

    def begin(self, phase: Phase) -> None:
        """Call until the phase ends."""
        self._phase = phase
        self._next(phase)

    def _next(self, phase: Phase) -> None:
        self._allocating = phase.durable
        if phase.durable:
            self.connection.call(ALLOCATE, WISH)
        else:
            self.connection.call(PING, b"")

    def _replied(self, message: bytes | None) -> None:
        phase = self._phase
        if phase is None:
            return
        now = perf_counter()
        if message is None:
            phase.refused += 1
        elif phase.begins <= now < phase.ends:
            phase.calls += 1
        if self._allocating and message is not None:
            self._allocating = False
            lease = lease_pb2.Grant.FromString(message).lease.id
            release = leases_pb2.ReleaseRequest(lease_id=lease)
            self.connection.call(RELEASE, release.SerializeToString())
        elif now < phase.ends:
            self._next(phase)
        else:
            self._phase = None
            phase.running -= 1
            if not phase.running:
                phase.over.set_result(None)

    def _lost(self, why: str) -> None:
        if self._phase is not None and not self._phase.over.done():
            self._phase.over.set_exception(ConnectionError(why))


async def play(clients: list[Client], *, durable: bool, seconds: float) -> Phase:
    """Let all clients call for *seconds*.

    Raises:
        ConnectionError: One of them lost its connection.
        TimeoutError: A call is not answered.
    """
    begins = perf_counter() + WARM_UP
    over = asyncio.get_running_loop().create_future()
    phase = Phase(durable, begins, begins + seconds, len(clients), over)
    for client in clients:
        client.begin(phase)
    async with asyncio.timeout(WARM_UP + seconds + PATIENCE):
        await over
    return phase


def _connection(client: Client) -> GrpcConnection:
    return client.connection


async def main(socket: str, count: int) -> None:
    """Connect, then do what stdin says until it ends."""
    loop = asyncio.get_running_loop()
    clients = [Client() for _ in range(count)]
    for client in clients:
        await loop.create_unix_connection(partial(_connection, client), socket)
    await play(clients, durable=False, seconds=0)
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, seconds = line.split()
        phase = await play(clients, durable=kind == "durable", seconds=float(seconds))
        print(json.dumps({"calls": phase.calls, "refused": phase.refused}), flush=True)
    for client in clients:
        client.connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
