"""What requests wait for, found out once for all of one shape while nothing has changed.

A thousand that wait are told together what has changed for them; finding it out for each of them
would judge every device a thousand times.
"""

from bisect import bisect_left
from collections.abc import Hashable

from gpusched.core.hold import Holds
from gpusched.core.ids import SECOND, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.replies import Rejected
from gpusched.core.reserving import why_waits
from gpusched.core.waiting import Order, Waiting, shape_of

VALID = SECOND
"""Nanoseconds for which an answer is given again: readings grow old though nothing changes."""


class Reasons:
    """Remembers what was found out of the present state of the ledger."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Rejected] = {}
        self._of: tuple[int, Policy, Holds] | None = None
        self._orders: list[Order] = []
        self._until = Instant(0)

    def of(self, ledger: Ledger, waiting: Waiting, now: Instant) -> Rejected:
        """Say what is in the way of a request that waits."""
        if now >= self._until or not self._is_of(ledger):
            self._begin(ledger, now)
        # Of one shape all have the same in the way, but for what is kept for who comes first.
        kept_before = bisect_left(self._orders, waiting.order)
        key = shape_of(waiting), kept_before
        if key not in self._found:
            self._found[key] = why_waits(ledger, waiting, now)
        return self._found[key]

    def _is_of(self, ledger: Ledger) -> bool:
        if self._of is None:
            return False
        generation, policy, holds = self._of
        same = generation == ledger.generation and policy is ledger.policy
        return same and holds is ledger.holds

    def _begin(self, ledger: Ledger, now: Instant) -> None:
        self._found.clear()
        self._of = (ledger.generation, ledger.policy, ledger.holds)
        self._orders = sorted({one.order for one in ledger.holds.values()})
        self._until = Instant(now + VALID)
