"""A lease for the length of a block, in both faces: `with gpusched.lease(...)` and the async one.

The calling process enters the lease with the grant. At the end of the block the lease is released.
Where other processes live in it (started in the block, say) it follows them and ends with the
last, which is no error.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Unpack

from gpusched.client.aio import AsyncClient
from gpusched.client.errors import DaemonUnreachable, GpuschedError, NotFound, WrongState
from gpusched.client.held import HeldLease
from gpusched.client.listening import PAUSE, async_listening, listening
from gpusched.client.sync import Client
from gpusched.client.wish import Wish

# The program's own logging, where its user looks; structlog is the daemon's.
_LOG = logging.getLogger("gpusched")  # noqa: TID251 - see above

_FOLLOWS_ITS_PROCESSES = (WrongState, NotFound, DaemonUnreachable)
"""What a release at the end of a block may be refused with: in use, over already, or no daemon to
tell, which finds out by itself when this process ends."""


@contextmanager
def lease(
    *, socket: str | None = None, apply: bool = True, **wish: Unpack[Wish]
) -> Iterator[HeldLease]:
    """Hold devices for a block: `with gpusched.lease(gpus=1, memory="4GiB") as held:`.

    Import and use CUDA (torch, say) inside the block: it reads its devices once. A keepalive is
    renewed in a thread, and notices come to `held.on_notice` in another, until the block ends;
    both outlive a restart of the daemon, as the lease does. A process that is forked in the block
    ends nothing when it leaves it; gRPC may abort one that does not end by `os._exit`.

    Args:
        socket: The daemon's socket; None: $GPUSCHED_SOCKET, else where one is.
        apply: Whether `os.environ` has the lease's variables within the block; without it use
            `held.env`.
        wish: What to allocate; `Wish` lists the words.

    Raises:
        CouldFitLater: It does not fit now; with `wait` it would be waited for.
        NeverHere: It never fits on this host.
        BadRequest: It is wrong, whatever the host.
        NotAllowed: The caller may not.
        DaemonUnreachable: No daemon answers.
    """
    wish["attach_caller"] = True
    own = os.getpid()
    with Client(socket) as client, listening(client.socket) as listen:
        held = HeldLease(client.allocate(**wish), listen)
        over = threading.Event()
        renewing = threading.Thread(target=_renew, args=(client, held, over), daemon=True)
        if held.renewal is not None:
            renewing.start()
        if apply:
            held.apply()
        try:
            yield held
        finally:
            held.restore()
            if os.getpid() == own:
                _end(client, held, renewing, over)


def _end(
    client: Client, held: HeldLease, renewing: threading.Thread, over: threading.Event
) -> None:
    over.set()
    if renewing.is_alive():
        renewing.join()
    with suppress(*_FOLLOWS_ITS_PROCESSES):
        client.release(held.id)


@asynccontextmanager
async def async_lease(
    *, socket: str | None = None, apply: bool = True, **wish: Unpack[Wish]
) -> AsyncIterator[HeldLease]:
    """Hold devices for a block, as `lease` does; renewals and notices come in tasks of the loop.

    The environment is the whole process's: with several leases at a time pass `apply=False`.

    Args:
        socket: As for `lease`.
        apply: As for `lease`.
        wish: As for `lease`.

    Raises:
        GpuschedError: As for `lease`.
    """
    wish["attach_caller"] = True
    async with AsyncClient(socket) as client, async_listening(client) as listen:
        held = HeldLease(await client.allocate(**wish), listen)
        renewing = asyncio.create_task(_renew_async(client, held))
        if apply:
            held.apply()
        try:
            yield held
        finally:
            held.restore()
            renewing.cancel()
            await _to_the_end(_end_async(client, held, renewing))


async def _end_async(client: AsyncClient, held: HeldLease, renewing: asyncio.Task[None]) -> None:
    await asyncio.wait({renewing})
    with suppress(*_FOLLOWS_ITS_PROCESSES):
        await client.release(held.id)


async def _to_the_end(work: Coroutine[object, object, None]) -> None:
    """Await *work*; who is cancelled meanwhile hears of it when it is done."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _renew(client: Client, held: HeldLease, over: threading.Event) -> None:
    """Renew until the block is over; a daemon that restarts is asked again, and soon."""
    pause = held.renewal
    while not over.wait(pause):
        try:
            client.renew(held.id, automatic=True)
            pause = held.renewal
        except DaemonUnreachable:
            pause = min(PAUSE, held.renewal or PAUSE)
        except GpuschedError as error:
            _LOG.warning("%s is renewed no more: %s", held.id, error)
            return


async def _renew_async(client: AsyncClient, held: HeldLease) -> None:
    """Renew until cancelled; a daemon that restarts is asked again, and soon."""
    if held.renewal is None:
        return
    pause = held.renewal
    while True:
        await asyncio.sleep(pause)
        try:
            await client.renew(held.id, automatic=True)
            pause = held.renewal
        except DaemonUnreachable:
            pause = min(PAUSE, held.renewal)
        except GpuschedError as error:
            _LOG.warning("%s is renewed no more: %s", held.id, error)
            return
