"""A client process of the test with a thousand that wait: many gRPC clients, a connection each.

Run as `python -m tests.e2e.waiters SOCKET FIRST COUNT`; root becomes an ordinary user, of whom the
daemon takes so many connections and no more. Every second client is an `AsyncClient`;
the others follow the stream, as one does that shows its place. Each names its request by its
number, gives its lease back at once and prints a line of JSON: its number, the lease, and when
that was granted. The last line is how many places the stream told.
"""

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress

from grpc import aio

from gpusched.api.v1 import lease_pb2, leases_pb2_grpc, request_pb2
from gpusched.client import AsyncClient
from gpusched.client.channel import OPTIONS
from gpusched.client.errors import DaemonUnreachable

CLASSES = ("normal", "low", "high")
UID = 64_999
"""Of the clients where root starts them."""

_PAUSE = 0.2


def name_of(number: int) -> str:
    """Give the request id of a client."""
    return f"waiter-{number:04}"


def class_of(number: int) -> str:
    """Give the priority class of a client."""
    return CLASSES[number % len(CLASSES)]


class Waiters:
    """The clients of this process.

    Args:
        socket: The daemon's.
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self.places = 0

    async def play(self, number: int) -> None:
        """Wait for a device, give it back, and say so."""
        async with AsyncClient(self._socket, timeout=120) as client:
            grant = await (self._followed(number) if number % 2 else self._asked(client, number))
            lease = grant.lease
            line = {"number": number, "lease": lease.id, "at": lease.created_at.ToNanoseconds()}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            await _given_back(client, lease.id)

    async def _asked(self, client: AsyncClient, number: int) -> lease_pb2.Grant:
        return await client.allocate(
            request_id=name_of(number), priority=class_of(number), wait_without_limit=True
        )

    async def _followed(self, number: int) -> lease_pb2.Grant:
        wish = request_pb2.AllocateRequest(
            request_id=name_of(number), priority=class_of(number), wait_without_limit=True
        )
        async with aio.insecure_channel(f"unix:{self._socket}", options=OPTIONS) as channel:
            stub = leases_pb2_grpc.LeasesStub(channel)
            while True:
                with suppress(aio.AioRpcError):
                    async for update in stub.AllocateStream(wish):
                        if update.WhichOneof("update") == "grant":
                            return update.grant
                        self.places += 1
                await asyncio.sleep(_PAUSE)


async def _given_back(client: AsyncClient, lease: str) -> None:
    while True:
        try:
            await client.release(lease)
        except DaemonUnreachable:
            await asyncio.sleep(_PAUSE)
        else:
            return


async def _main(socket: str, first: int, count: int) -> None:
    waiters = Waiters(socket)
    async with asyncio.TaskGroup() as group:
        for number in range(first, first + count):
            group.create_task(waiters.play(number))
            await asyncio.sleep(0)
    sys.stdout.write(json.dumps({"places": waiters.places}) + "\n")


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
