"""Lets a program hear the notices of its lease while it does something else, in both faces.

A daemon that restarts is asked again, for as long as the block lasts, and what it told meanwhile
is heard then. What the program does with a notice is its own affair: a callback that fails is
logged, and the next notice comes all the same.
"""

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

from gpusched.api.v1 import lease_pb2, leases_pb2
from gpusched.client.aio import AsyncClient
from gpusched.client.errors import DaemonUnreachable, GpuschedError, WrongState
from gpusched.client.notices import Notice, notice_of
from gpusched.client.sync import Client

Callback = Callable[[Notice], object]
Listen = Callable[[str, Callback], None]
"""Begins to tell the notices of a lease to a callback."""

PAUSE = 0.2
"""Seconds until a daemon that is away is asked again."""

PATIENCE = 1.0
"""Seconds that the end of a block waits for a callback that is at work."""

# The program's own logging, where its user looks; structlog is the daemon's.
_LOG = logging.getLogger("gpusched")  # noqa: TID251 - see above


_OVER = "the block of this lease is over, and with it its notices"


class _Heard:
    """Tells each notice once, also where a daemon that came back tells it again."""

    def __init__(self, lease: str) -> None:
        self.lease = lease
        self._told: set[tuple[object, ...]] = set()
        self.ended = False

    def fresh(self, listed: leases_pb2.LeaseList) -> Iterator[Notice]:
        """Give the notices of a list that were not given before."""
        states = {one.state for one in listed.leases if one.id == self.lease}
        self.ended = not states or lease_pb2.LEASE_STATE_ENDED in states
        for message in listed.notices:
            notice = notice_of(message)
            # When it is acted on is worked out anew at each telling, and may differ a little.
            sign = (notice.kind, notice.sentence, notice.at, notice.device)
            if sign not in self._told:
                self._told.add(sign)
                yield notice

    def must_have_ended(self) -> None:
        """Take the end of a list of lists for the lease's; without that the daemon has gone.

        Raises:
            DaemonUnreachable: The lease goes on.
        """
        if not self.ended:
            raise DaemonUnreachable("the daemon ended the watch; it may be restarting")


@contextmanager
def listening(socket: str) -> Iterator[Listen]:
    """Give what begins to listen in a daemon thread; at the end of the block all threads end.

    Args:
        socket: The daemon's. Each thread has a connection of its own.
    """
    over, own = threading.Event(), os.getpid()
    begun: list[tuple[threading.Thread, Client]] = []

    def listen(lease: str, callback: Callback) -> None:
        if inspect.iscoroutinefunction(callback):
            raise TypeError("a coroutine function is for `async_lease`; give a plain function")
        if over.is_set():
            raise WrongState(_OVER)
        client = Client(socket)
        work = (client, lease, callback, over)
        name = f"gpusched notices of {lease}"
        thread = threading.Thread(target=_listen, args=work, name=name, daemon=True)
        begun.append((thread, client))
        thread.start()

    try:
        yield listen
    finally:
        if os.getpid() == own:
            over.set()
            for _, client in begun:
                client.close()
            for thread, _ in begun:
                if thread is not threading.current_thread():
                    thread.join(PATIENCE)


@asynccontextmanager
async def async_listening(client: AsyncClient) -> AsyncIterator[Listen]:
    """Give what begins to listen in a task; at the end of the block all tasks are cancelled."""
    tasks: list[asyncio.Task[None]] = []
    over = asyncio.Event()

    def listen(lease: str, callback: Callback) -> None:
        if over.is_set():
            raise WrongState(_OVER)
        tasks.append(asyncio.get_running_loop().create_task(_told(client, lease, callback)))

    try:
        yield listen
    finally:
        over.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _listen(client: Client, lease: str, callback: Callback, over: threading.Event) -> None:
    heard = _Heard(lease)
    while not (over.is_set() or heard.ended):
        try:
            _hear(client, heard, callback, over)
        except DaemonUnreachable:
            over.wait(PAUSE)
        except (GpuschedError, ValueError) as error:  # ValueError: the connection was closed
            if not over.is_set():
                _give_up(lease, error)
            return


def _hear(client: Client, heard: _Heard, callback: Callback, over: threading.Event) -> None:
    """Tell notices until the lease has ended, the block is over, or the daemon goes.

    Raises:
        GpuschedError: The daemon goes, or refuses.
    """
    for listed in client.watch_leases(heard.lease, past_notices=True):
        for notice in heard.fresh(listed):
            if over.is_set():
                return
            _tell(callback, notice)
    heard.must_have_ended()


async def _told(client: AsyncClient, lease: str, callback: Callback) -> None:
    heard = _Heard(lease)
    while not heard.ended:
        try:
            async with aclosing(client.watch_leases(lease, past_notices=True)) as lists:
                async for listed in lists:
                    for notice in heard.fresh(listed):
                        await _tell_and_await(callback, notice)
            heard.must_have_ended()
        except DaemonUnreachable:
            await asyncio.sleep(PAUSE)
        except GpuschedError as error:
            _give_up(lease, error)
            return


def _tell(callback: Callback, notice: Notice) -> None:
    try:
        callback(notice)
    except Exception:  # noqa: BLE001 - whatever the program does wrong, the next is heard
        _LOG.exception("a callback failed at the notice: %s", notice.sentence)


async def _tell_and_await(callback: Callback, notice: Notice) -> None:
    try:
        answer = callback(notice)
        if inspect.isawaitable(answer):
            await answer
    except Exception:  # noqa: BLE001 - as above
        _LOG.exception("a callback failed at the notice: %s", notice.sentence)


def _give_up(lease: str, error: Exception) -> None:
    _LOG.warning("notices of %s are heard no more: %s", lease, error)
