"""How a request that waits, or would, comes to its devices: its place, what is in its way, when.

Only says it; `queue` decides. What it says of the time is as sure as the time limits of others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpusched.core.entitlement import hindrance
from gpusched.core.hold import NOTHING_KEPT, Holds, not_kept
from gpusched.core.ids import Instant
from gpusched.core.keeping import kept_in_full, latest, wanted
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.lessening import with_nearest
from gpusched.core.preemption import those_who_give_way
from gpusched.core.replies import Rejected, Verdict
from gpusched.core.reserving import why_waits
from gpusched.core.verdicts import judge
from gpusched.core.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be said of a request that waits.

    Attributes:
        waiting: The request; of one that does not wait yet, as it would.
        position: Its place in the order of service, from 1.
        count: How many wait, this one among them.
        why: What is in its way.
        by: When it begins at the latest (CLOCK_BOOTTIME), where the time limits of what is in its
            way say so; None: nothing does.
        preempted: Leases that give way to it, or would.
    """

    waiting: Waiting
    position: int
    count: int
    why: Rejected
    by: Instant | None
    preempted: tuple[Lease, ...]

    @property
    def place(self) -> str:
        """The place in words."""
        return f"in place {self.position} of {self.count}"


def outlook_of(ledger: Ledger, waiting: Waiting, now: Instant) -> Outlook:
    """Say how a request comes to its devices, one that waits or one that would."""
    waits = ledger.waiting.get(waiting.key) is not None
    count = len(ledger.waiting) + (0 if waits else 1)
    position = ledger.waiting.position(waiting)
    why = why_waits(ledger, waiting, now)
    if hindrance(ledger, waiting.caller, waiting.request, now) is not None:
        why = with_nearest(ledger, waiting.caller, waiting.request, why, now)
        return Outlook(waiting, position, count, why, None, ())
    verdicts = judge(ledger, waiting.request, now, waiting.uid)
    holds = kept_in_full(ledger, now)
    preempted = tuple(giving_way_to(ledger, waiting))
    if not waits and ledger.policy.queue.preemption:
        preempted = those_who_give_way(ledger, waiting.classed, waiting.order, verdicts, holds)
    by = latest_start(ledger, waiting, verdicts, holds, now)
    return Outlook(waiting, position, count, why, by, preempted)


def giving_way_to(ledger: Ledger, waiting: Waiting) -> Iterator[Lease]:
    """Give the leases that have been told to end for a request."""
    if ledger.gives_way_to(waiting.key):
        for lease in ledger.live():
            way = lease.giving_way if lease.usable else None
            if way is not None and way.key == waiting.key:
                yield lease


def latest_start(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: Sequence[Verdict],
    holds: Holds,
    now: Instant,
) -> Instant | None:
    """Say when a request begins at the latest, if nobody takes anything away; None: not known.

    The *verdicts* are those on all devices as if nobody waited; *holds* are of those in use, too.
    """
    value = ledger.policy.queue.class_of(waiting.priority).value
    left = not_kept(holds, verdicts, ledger.devices, waiting.order, value)
    found = wanted(ledger, waiting, left, NOTHING_KEPT, now)
    return latest(one.at for one in found) if found else None
