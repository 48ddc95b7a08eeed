"""That a lease gives way to a request of a higher class: for whom, and when it ends for it."""

from dataclasses import dataclass

from gpusched.core.ids import Instant
from gpusched.core.waiting import Key


@dataclass(frozen=True, slots=True)
class GivingWay:
    """The holder was told that the lease ends for a request that waits.

    Attributes:
        key: For which request; where that waits no longer, the lease stays.
        deadline: When it ends (CLOCK_BOOTTIME).
    """

    key: Key
    deadline: Instant

    def extended(self, by: int) -> "GivingWay":
        """Give it with *by* nanoseconds more."""
        return GivingWay(self.key, Instant(self.deadline + by))
