"""How long a lease has shown no use of its devices, and how that was answered. Values only.

Only what samples have shown counts: the time before a sample that could not be read, while the
host slept or the daemon was away is not idle time, and not the opposite either.
"""

from dataclasses import dataclass, replace
from enum import Enum

from gpusched.core.clocks import later
from gpusched.core.ids import Instant, Moment


class IdleKind(Enum):
    """What is missing on the devices of an idle lease."""

    NO_PROCESS = "no_process"
    NO_UTILIZATION = "no_utilization"


@dataclass(frozen=True, slots=True)
class Idle:
    """A lease is idle; it goes when a sample shows that it is not.

    Attributes:
        kind: What the last sample that could be read showed.
        since: When a sample first showed it.
        unseen: Nanoseconds since then that no sample covered.
        stopped: The last instant that a sample covered; None: the last sample did.
        kept: Nanoseconds of idle time that its holder has answered by renewing it.
        reported: Whether its holder has been told.
        deadline: When it is ended for it; None: it is not.
    """

    kind: IdleKind
    since: Moment
    unseen: int = 0
    stopped: Instant | None = None
    kept: int = 0
    reported: bool = False
    deadline: Instant | None = None

    def time(self, now: Instant) -> int:
        """Give the nanoseconds for which samples have shown it, up to *now*."""
        until = now if self.stopped is None else self.stopped
        return until - self.since.instant - self.unseen

    def stopping(self, at: Instant) -> "Idle":
        """Give it as no sample after *at* has shown it yet."""
        return replace(self, stopped=at if self.stopped is None else self.stopped)

    def shown(self, kind: IdleKind, now: Instant) -> "Idle":
        """Give it as a sample shows it *now*; the same object where nothing is new."""
        if self.stopped is None:
            return self if kind is self.kind else replace(self, kind=kind)
        unseen = self.unseen + now - self.stopped
        return replace(self, kind=kind, unseen=unseen, stopped=None)

    def extended(self, by: int, now: Instant) -> "Idle":
        """Give it after *by* nanoseconds until *now* in which nothing was read."""
        deadline = later(self.deadline, by)
        return replace(self.stopping(Instant(now - by)), deadline=deadline)
