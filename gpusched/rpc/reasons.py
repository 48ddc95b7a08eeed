"""What requests wait for, found out once for all of one shape while nothing has changed.

A thousand that wait are told together what has changed for them; finding it out for each of them
would judge every device a thousand times.
"""

from collections.abc import Hashable

from gpusched.core.ids import SECOND, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.replies import Rejected
from gpusched.core.reserving import why_waits
from gpusched.core.waiting import Waiting, shape_of

VALID = SECOND
"""Nanoseconds for which an answer is given again: readings grow old though nothing changes."""


class Reasons:
    """Remembers what was found out of the present state of the ledger."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Rejected] = {}
        self._of: tuple[int, Policy] | None = None
        self._until = Instant(0)

    def of(self, ledger: Ledger, waiting: Waiting, now: Instant) -> Rejected:
        """Say what is in the way of a request that waits, as its first of its shape would hear."""
        state = ledger.generation, ledger.policy
        if self._of is None or self._of[0] != state[0] or self._of[1] is not state[1]:
            self._forget(now)
            self._of = state
        elif now >= self._until:
            self._forget(now)
        shape = shape_of(waiting)
        if shape not in self._found:
            self._found[shape] = why_waits(ledger, waiting, now)
        return self._found[shape]

    def _forget(self, now: Instant) -> None:
        self._found.clear()
        self._until = Instant(now + VALID)
