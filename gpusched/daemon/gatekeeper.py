"""Lets the cgroups of leases through the host-wide guard, and turns it on and off.

A failure here denies more, never less, so it is told and passed over.
"""

import asyncio
from collections.abc import Callable

import structlog

from gpusched.core.actions import SetGuard
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import GuardSet
from gpusched.ports import EnforceError, Guard, GuardState


class Gatekeeper:
    """The guard, beside the event loop."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._log = structlog.get_logger()

    async def set(self, order: SetGuard) -> GuardSet:
        """Turn the guard on or off; say what it is then."""
        failure = None
        try:
            if order.on:
                inodes = [one.inode for one in order.admitted]
                await asyncio.to_thread(self._guard.on, order.governed, inodes)
            else:
                await asyncio.to_thread(self._guard.off)
        except EnforceError as error:
            failure = str(error)
        return GuardSet((await self.state()).on, failure)

    async def admit(self, cgroup: LeaseCgroup) -> None:
        """Let a lease's cgroup through."""
        await asyncio.to_thread(self._tell, self._guard.admit, cgroup)

    async def dismiss(self, cgroup: LeaseCgroup) -> None:
        """Let it through no more."""
        await asyncio.to_thread(self._tell, self._guard.dismiss, cgroup)

    async def state(self) -> GuardState:
        """Find out what the guard is; off where that cannot be found out."""
        return await asyncio.to_thread(self._state)

    def _tell(self, do: Callable[[int], None], cgroup: LeaseCgroup) -> None:
        try:
            do(cgroup.inode)
        except EnforceError as error:
            self._log.warning("the guard was not told", cgroup=cgroup.path, reason=str(error))

    def _state(self) -> GuardState:
        try:
            self._guard.renew()
            return self._guard.status()
        except EnforceError as error:
            self._log.warning("the guard is not known", reason=str(error))
            return GuardState(on=False)
