"""Absence as an object: what stands in where a host has no service manager or no NVML.

Nothing here looks at the host; `bootstrap` decides that something is absent.
"""

from gpusched.core.sample import NodeReading, Reading, Unavailable


class NullServiceManager:
    """Nobody started us who wants to hear how we are."""

    def notify(self, state: str) -> None:
        """Drop *state*."""

    def watchdog_interval(self) -> float | None:
        """Give None: nobody asks."""
        return None


class NullSampler:
    """There is nothing that could be read."""

    def __init__(self, reason: str) -> None:
        """Keep the *reason*, one line for the user: what is missing and what to do."""
        self._reason = reason

    async def sample(self) -> Reading[NodeReading]:
        """Give the reason why no device can be read."""
        return Unavailable(self._reason)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
