"""The one timer: takes a sample at each interval, or at once when something ended.

Deadlines are looked at on ticks only, so there is no second clock to drift from this one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from gpusched.core.denial import DeniedOpen
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND
from gpusched.core.sample import Unavailable
from gpusched.core.ticking import next_deadline
from gpusched.daemon.engine import STOPPING, Engine, refuse
from gpusched.daemon.poller import Poller, watched_leases
from gpusched.ports import Clock, ServiceManager, Stopping

ALIVE_INTERVAL = 10 * SECOND
"""How often the store is told that the daemon lives: the error of "how long were we away"."""


class Ticker:
    """Ticks until it is closed."""

    def __init__(
        self,
        poller: Poller,
        clock: Clock,
        manager: ServiceManager,
        interval: float,
        denied: Callable[[], tuple[DeniedOpen, ...]],
    ) -> None:
        """Prepare to tick every *interval* seconds.

        Args:
            poller: Reads devices and processes.
            clock: The time.
            manager: Hears that the loop goes round.
            interval: Seconds.
            denied: Gives the opens that the kernel denied since it was last asked.
        """
        self.interval = interval
        self._poller = poller
        self._denied = denied
        self._clock = clock
        self._manager = manager
        self._wake = asyncio.Event()
        self._current: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._ended: str | None = None
        self._alive_at = 0
        self._reason: str | None = None
        self._log = structlog.get_logger()

    def wake(self) -> None:
        """Tick as soon as possible."""
        self._wake.set()

    async def refresh(self) -> None:
        """Wait for a tick whose sample began after this call; callers in between share one.

        Raises:
            Stopping: There will be no such tick.
        """
        if self._ended is not None:
            raise Stopping(self._ended)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._wake.set()
        await asyncio.shield(self._next)

    async def tick(self, engine: Engine) -> None:
        """Take one sample and have it decided on."""
        self._wake.clear()
        self._current, self._next = self._next, None
        sample = await self._poller.look(watched_leases(engine.ledger))
        self._tell(sample.reading.reason if isinstance(sample.reading, Unavailable) else None)
        await engine.submit(Ticked(sample, self._denied()))
        if self._current is not None:
            self._current.set_result(None)
            self._current = None
        self._stay_alive(engine)

    async def run(self, engine: Engine) -> None:
        """Tick for ever; returns when the engine stops."""
        try:
            while True:
                # Not wait_for: before Python 3.12 it can lose a cancellation, and so the end.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause(engine)):
                        await self._wake.wait()
                await self.tick(engine)
        except Stopping as error:
            self._end(str(error))
        finally:
            self._end(STOPPING)

    async def close(self) -> None:
        """Let go of the devices; nobody waits for a tick any more."""
        self._end(STOPPING)
        await self._poller.close()

    def _end(self, sentence: str) -> None:
        self._ended = self._ended or sentence
        for waiting in (self._current, self._next):
            if waiting is not None and not waiting.done():
                refuse(waiting, sentence)

    def _pause(self, engine: Engine) -> float:
        """Give the seconds to the next tick: a deadline of a lease does not wait for another.

        One that is past has been looked at by the last tick, and is again by the next.
        """
        deadline = next_deadline(engine.ledger)
        if deadline is None:
            return self.interval
        ahead = (deadline - self._clock.now().instant) / SECOND
        return min(self.interval, ahead) if ahead > 0 else self.interval

    def _stay_alive(self, engine: Engine) -> None:
        """Tell the store and the service manager that this loop goes round."""
        self._manager.notify("WATCHDOG=1")
        now = self._clock.now().instant
        if now - self._alive_at >= ALIVE_INTERVAL:
            self._alive_at = now
            engine.touch()

    def _tell(self, reason: str | None) -> None:
        """Log once that devices cannot be read, and once that they can be again."""
        if reason == self._reason:
            return
        self._reason = reason
        if reason is None:
            self._log.info("devices are read again")
        else:
            self._log.warning("devices are not read", reason=reason)
