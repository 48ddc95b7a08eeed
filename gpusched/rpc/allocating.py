"""From a request for devices to its grant, however long that takes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace

from gpusched.api.v1 import lease_pb2
from gpusched.core.events import AllocateRequested, AttachRequested, ReleaseRequested
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.replies import Done, Granted, Queued, Refusal, Reply, Underway
from gpusched.core.waiting import Waiting
from gpusched.ports import Stopping
from gpusched.rpc.call import Call, Refused
from gpusched.rpc.convert_waiting import WaitingWriter
from gpusched.rpc.standing import standing_of
from gpusched.rpc.status import refuse
from gpusched.rpc.world import World, as_wanted, outcome

NEWS_EVERY = 1.0
"""Seconds between two looks at the place of one that waits, at the least."""

LOOK_ANYWAY = 10.0
"""Seconds after which one looks though the ledger is the same: readings grow old."""


async def allocated(world: World, event: AllocateRequested, call: Call) -> Granted:
    """Have devices granted, after a wait where the request allows one.

    Raises:
        Refused: It was rejected, or has waited in vain.
        Stopping: The daemon ends.
    """
    reply = world.authority.propose(event)
    if isinstance(reply, Queued):
        reply = await world.authority.served(reply.waiting.key)
    return await _granted(world, reply, event, call)


async def allocated_with_news(
    world: World, event: AllocateRequested, call: Call
) -> AsyncIterator[lease_pb2.WaitingRequest | Granted]:
    """As `allocated`, with the place in the queue when it is another one; the grant is last."""
    reply = world.authority.propose(event)
    if isinstance(reply, Queued):
        serving = asyncio.ensure_future(world.authority.served(reply.waiting.key))
        try:
            # One that is cancelled before its first step would never be known to have left.
            await asyncio.sleep(0)
            async with aclosing(_news(world, reply.waiting, serving, call)) as told:
                async for news in told:
                    yield news
            reply = await serving
        finally:
            await _given_up(serving)
    yield await _granted(world, reply, event, call)


async def _news(
    world: World, waiting: Waiting, serving: asyncio.Future[Reply], call: Call
) -> AsyncGenerator[lease_pb2.WaitingRequest]:
    told = None
    while not serving.done():
        ledger = world.authority.ledger
        seen, now = ledger.generation, ledger.waiting.get(waiting.key)
        if now is not None:
            message = WaitingWriter(ledger, world.clock.now(), call, world.reasons).one(now)
            news = (message.position, message.waits_for)
            if news != told:
                told = news
                yield message
        await asyncio.wait({serving}, timeout=NEWS_EVERY)
        if world.authority.ledger.generation == seen:
            await _something_new(world, serving)
        await world.turns.of(call.caller.uid)


async def _something_new(world: World, serving: asyncio.Future[Reply]) -> None:
    """Wait until the ledger is another one: a thousand that wait cost nothing meanwhile."""
    news = asyncio.ensure_future(_heard(world))
    either: set[asyncio.Future[Reply] | asyncio.Future[None]] = {news, serving}
    try:
        await asyncio.wait(either, timeout=LOOK_ANYWAY, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()


async def _heard(world: World) -> None:
    # At the end of the daemon it is the answer that says so.
    with suppress(Stopping):
        await world.authority.news()


async def _given_up(serving: asyncio.Future[Reply]) -> None:
    """Leave: who listens no longer is told of, unless the answer is there."""
    serving.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await serving


async def _granted(world: World, reply: Reply, event: AllocateRequested, call: Call) -> Granted:
    if isinstance(reply, Granted) and event.request.attach_caller:
        reply = _as_it_is(world, reply, event)
    if isinstance(reply, Underway):
        reply = await world.authority.outcome(reply.lease.id, reply.process)
        if isinstance(reply, Done):
            # What was underway was an `Attach`: the lease has been granted before.
            reply = Granted(reply.leases[0], repeated=True)
    granted = as_wanted(world, reply, event, Granted, event.request)
    lease = granted.lease
    if not event.request.attach_caller or lease.state is not LeaseState.RESERVED:
        return granted
    return await _attached(world, lease, call)


def _as_it_is(world: World, granted: Granted, event: AllocateRequested) -> Reply:
    """Look again: of several clients with one id another may have come into the lease first."""
    lease = world.authority.ledger.get(granted.lease.id)
    if lease is None or not lease.usable:
        return granted
    if lease.state is LeaseState.PREPARING:
        return world.authority.propose(event)
    return replace(granted, lease=lease)


async def _attached(world: World, lease: Lease, call: Call) -> Granted:
    """Put the caller into the lease that it has waited for; without it, it is of no use."""
    process = call.caller.process
    try:
        if process is None:
            raise refuse(Refusal.NOT_FOUND, "attach_caller: the calling process has ended")
        standing = await standing_of(world.processes, process)
        event = AttachRequested(call.caller, lease.id, process, standing)
        reply = await outcome(world, event)
        if isinstance(reply, Granted):
            return reply
        done = as_wanted(world, reply, event, Done)
    except Refused:
        _given_back(world, lease, call)
        raise
    return Granted(done.leases[0], attachment=done.attachment)


def _given_back(world: World, lease: Lease, call: Call) -> None:
    """Give back a lease that its caller could not be put into, unless somebody else is in it."""
    now = world.authority.ledger.get(lease.id)
    if now is not None and now.state is LeaseState.RESERVED:
        world.authority.propose(ReleaseRequested(call.caller, lease.id))
