"""A sampler for a daemon that is watched: while the driver is waited for, the loop goes round.

Exists because a driver may be late by more than the watchdog's patience, and the daemon answers
all the same: being ended for that would help nobody. What is waited for has a deadline of its own.
"""

import asyncio

from gpusched.core.sample import NodeReading, Reading
from gpusched.ports import Sampler, ServiceManager


class AttendedSampler:
    """Passes readings on, and tells the service manager meanwhile that the daemon lives.

    Args:
        sampler: Who reads.
        manager: Who watches, or nobody.
    """

    def __init__(self, sampler: Sampler, manager: ServiceManager) -> None:
        self._sampler = sampler
        self._manager = manager
        self._every = manager.watchdog_interval()
        self.release = sampler.release
        self.resume = sampler.resume
        self.close = sampler.close

    async def sample(self) -> Reading[NodeReading]:
        """Read all devices, as the sampler does."""
        if self._every is None:
            return await self._sampler.sample()
        reading = asyncio.ensure_future(self._sampler.sample())
        try:
            while not reading.done():
                self._manager.notify("WATCHDOG=1")
                await asyncio.wait((reading,), timeout=self._every)
            return reading.result()
        finally:
            reading.cancel()
