"""A breach of a lease's terms that lasts, and how far it has been answered. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from gpusched.core.clocks import later
from gpusched.core.ids import DeviceUuid, Instant, Moment, ProcessId
from gpusched.core.share import Share
from gpusched.core.sizes import in_words


class ViolationKind(Enum):
    """The two ways in which a lease can break its terms."""

    OVER_LIMIT = "over_limit"
    OUTSIDE_MASK = "outside_mask"


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach; it goes when a sample shows that it is over.

    Attributes:
        kind: Which.
        device: Where.
        process: Who, where one can be named; None: the lease as a whole.
        since: When a sample first showed it.
        memory: Bytes that were held there when it was found.
        deadline: When the lease is ended for it; None: it is not.
        within: Since when samples show it to be over; None: it goes on. It is forgotten only
            after the cool-down, so that who goes back and forth does not begin anew each time.
        dry_run: Whether the holder was told of an end that would only be told, too.
    """

    kind: ViolationKind
    device: DeviceUuid
    process: ProcessId | None
    since: Moment
    memory: int
    deadline: Instant | None = None
    within: Instant | None = None
    dry_run: bool = False

    def sentence(self, shares: Iterable[Share]) -> str:
        """Say what is wrong, of the lease that has *shares*."""
        if self.process is not None:
            return f"process {self.process.pid} is on {self.device}, which is not of the lease"
        limit = next((one.memory for one in shares if one.device == self.device), None)
        held = f"held {in_words(self.memory)} when it was found"
        return f"above its limit of {in_words(limit or 0)} on {self.device}; {held}"

    def extended(self, by: int) -> "Violation":
        """Give it with *by* nanoseconds more on each clock that runs."""
        deadline = later(self.deadline, by)
        within = later(self.within, by)
        return replace(self, deadline=deadline, within=within)
