"""Absence as an object: what stands in where a host has no service manager and no cgroups.

Nothing here looks at the host; `bootstrap` decides that something is absent.
"""

from collections.abc import Callable, Collection, Iterable

from gpusched.core.actions import Join, Prepare
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.mask import Governed, Mask
from gpusched.core.observation import NOTHING_SEEN, Observation
from gpusched.ports import DeniedOpen, EnforceError, Entered, GuardState


class NullServiceManager:
    """Nobody started us who wants to hear how we are."""

    def notify(self, state: str) -> None:
        """Drop *state*."""

    def watchdog_interval(self) -> float | None:
        """Give None: nobody asks."""
        return None


class NullEnforcer:
    """Nothing can be enforced: every lease is advice."""

    def __init__(self, reason: str) -> None:
        """Keep the *reason*, one line for the user: what is missing and what to do."""
        self._reason = reason

    async def ability(self) -> Ability:
        """Give the reason why leases are advice."""
        return Ability(Level.ADVISORY, self._reason)

    async def prepare(self, order: Prepare) -> Entered:
        """Refuse *order*.

        Raises:
            EnforceError: Always.
        """
        raise EnforceError(f"{order.lease} gets no cgroup: {self._reason}")

    async def join(self, order: Join) -> Entered:
        """Refuse *order*.

        Raises:
            EnforceError: Always.
        """
        raise EnforceError(f"nobody can enter the cgroup of {order.lease}: {self._reason}")

    async def mask(self, cgroup: LeaseCgroup, mask: Mask) -> None:  # noqa: ARG002 -- any is refused
        """Refuse a mask.

        Raises:
            EnforceError: Always.
        """
        raise EnforceError(f"cgroup {cgroup.path} gets no mask: {self._reason}")

    async def signal(self, cgroup: LeaseCgroup, number: int) -> None:  # noqa: ARG002 -- any is refused
        """Refuse a signal.

        Raises:
            EnforceError: Always.
        """
        raise EnforceError(f"cgroup {cgroup.path} gets no signal: {self._reason}")

    async def unprepare(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        """Refuse to remove what may still be there from better times.

        Raises:
            EnforceError: Always.
        """
        del back_to
        raise EnforceError(f"cgroup {cgroup.path} is not removed: {self._reason}")

    async def observe(self, known: Collection[LeaseCgroup]) -> Observation:
        """See nothing."""
        del known
        return NOTHING_SEEN

    def follow(self, cgroup: LeaseCgroup, emptied: Callable[[], None]) -> None:
        """Refuse: there is nothing to watch.

        Raises:
            OSError: Always.
        """
        del emptied
        raise OSError(f"cgroup {cgroup.path} cannot be watched: {self._reason}")

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give none."""
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class NullUnits:
    """There is no service manager that could be asked for units."""

    def __init__(self, reason: str) -> None:
        """Keep the *reason*, for whoever asks."""
        self._reason = reason

    async def cgroup(self, unit: str) -> str | None:
        """Refuse.

        Raises:
            EnforceError: Always.
        """
        del unit
        raise EnforceError(self._reason)


class NullGuard:
    """No guard, and why."""

    def __init__(self, reason: str) -> None:
        """Say *reason* to who wants one."""
        self._reason = reason

    def on(self, governed: Governed, admitted: Iterable[int]) -> None:
        """Refuse.

        Raises:
            EnforceError: Always.
        """
        del governed, admitted
        raise EnforceError(f"the guard cannot be had: {self._reason}")

    def off(self) -> None:
        """Do nothing: it is off."""

    def admit(self, inode: int) -> None:
        """Do nothing: everybody is let in."""

    def dismiss(self, inode: int) -> None:
        """Do nothing: everybody is let in."""

    def renew(self) -> None:
        """Do nothing: everybody is let in."""

    def status(self) -> GuardState:
        """Say that it is off."""
        return GuardState(on=False)

    def close(self) -> None:
        """Do nothing: nothing is open."""
