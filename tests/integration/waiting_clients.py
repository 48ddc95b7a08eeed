"""What the tests of waiting share: requests that wait, beside the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from gpusched.api.v1 import lease_pb2, leases_pb2, request_pb2
from tests.fakes.waiting import until
from tests.integration.serving_rpc import TWO_A100_AND_L4, Public

Wish = request_pb2.AllocateRequest
ALL = len(TWO_A100_AND_L4)
_SECONDS = 10


def wish(name: str, **more: object) -> request_pb2.AllocateRequest:
    """A request that waits without limit."""
    return Wish(request_id=name, wait_without_limit=True, **more)  # type: ignore[arg-type]  # the caller's fields


async def waiting(face: Public) -> list[lease_pb2.WaitingRequest]:
    """Who waits, as `gpusched leases` asks."""
    return list((await face.leases.List(leases_pb2.ListLeasesRequest())).waiting)


async def begun(face: Public, request: request_pb2.AllocateRequest) -> asyncio.Task[object]:
    """Ask for devices beside the test, until the request waits."""

    async def ask() -> object:
        async with asyncio.timeout(_SECONDS):
            return await face.leases.Allocate(request)

    before = len(face.authority.events)
    task = asyncio.get_running_loop().create_task(ask())
    await until(lambda: len(face.authority.events) > before or task.done())
    return task


async def granted(task: asyncio.Task[object]) -> lease_pb2.Grant:
    """The grant that was waited for."""
    grant = await task
    assert isinstance(grant, lease_pb2.Grant)
    return grant


async def left(task: asyncio.Task[object]) -> None:
    """Let a client hang up."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def told(stream: AsyncIterator[leases_pb2.AllocateUpdate]) -> leases_pb2.AllocateUpdate:
    """The next that a stream tells."""
    async with asyncio.timeout(_SECONDS):
        return await anext(stream)
