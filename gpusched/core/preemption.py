"""Chooses the leases that give way to a request of a higher class: the fewest, the youngest.

Pure: says who, and why nobody else. Only leases of a preemptible class that is worth less are ever
in the choice, and of those only such as gpusched can end.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from gpusched.core.hold import Holds, not_kept
from gpusched.core.ids import LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.overuse_choice import ended_for
from gpusched.core.placement import choose
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.room import missing_on
from gpusched.core.strangers import stays_taken
from gpusched.core.waiting import Order

MOST_LOOKS = 256
"""Sets of leases that are looked at for the smallest one; beyond, one that will do is taken."""

LEASED = (Obstacle.HELD, Obstacle.TOO_LITTLE_FREE, Obstacle.OTHER_HOLDER)
"""What is in the way on a device and goes with its leases."""


def those_who_give_way(
    ledger: Ledger,
    request: Request,
    order: Order,
    verdicts: Iterable[Verdict],
    holds: Holds,
) -> tuple[Lease, ...]:
    """Give the fewest and youngest leases without which *request* would be served; none: no way.

    Args:
        ledger: The record.
        request: Of the higher class.
        order: Its place in the order of service.
        verdicts: Of all devices, as if nobody waited.
        holds: What is kept for those before it.
    """
    value = ledger.policy.queue.class_of(request.priority).value
    usable = not_kept(holds, verdicts, ledger.devices, order, value)
    found = [*_candidates(ledger, request, usable)]
    looks = 0
    for size in range(len(found) + 1):
        for chosen in combinations(found, size):
            if _serves(ledger, request, usable, {one.id for one in chosen}):
                return chosen
            looks += 1
            if looks == MOST_LOOKS:
                return _enough(ledger, request, usable, found)
    return ()


def _enough(
    ledger: Ledger, request: Request, usable: Sequence[Verdict], found: Sequence[Lease]
) -> tuple[Lease, ...]:
    """Take the youngest until the request is served, then leave out who is not needed."""
    taken = list(found)
    for one in reversed(found):
        fewer = [each for each in taken if each is not one]
        if _serves(ledger, request, usable, {each.id for each in fewer}):
            taken = fewer
    return tuple(taken) if _serves(ledger, request, usable, {one.id for one in taken}) else ()


def _candidates(ledger: Ledger, request: Request, usable: Iterable[Verdict]) -> Iterator[Lease]:
    """Give the leases in the way that may be ended for it, the youngest first."""
    rules = ledger.policy.queue
    least = rules.class_of(request.priority).value
    # All that are there: a verdict need not name who is in the way only for its memory.
    domains = {
        ledger.devices[one.device].memory_domain for one in usable if one.obstacle in LEASED
    }
    ids = {one for domain in domains for one, _ in ledger.holding(domain).shares}
    leases = [one for one in map(ledger.get, ids) if one is not None]
    for lease in sorted(leases, key=lambda one: (one.created.instant, one.id), reverse=True):
        its = rules.class_of(lease.priority)
        gives_way = its.preemptible and its.value < least and lease.giving_way is None
        if gives_way and lease.usable and _can_be_ended(ledger, lease):
            yield lease


def _can_be_ended(ledger: Ledger, lease: Lease) -> bool:
    """Say whether its processes are gpusched's to end, or it has none."""
    if lease.state is LeaseState.ACTIVE:
        return not ended_for(ledger, lease)
    return lease.state is LeaseState.RESERVED


def _serves(
    ledger: Ledger, request: Request, usable: Iterable[Verdict], gone: Collection[LeaseId]
) -> bool:
    """Say whether the request would be served without the leases that are *gone*."""
    free = [replace(one, obstacle=None) for one in usable if _fits(ledger, request, one, gone)]
    return len(free) >= request.least and choose(ledger, request, free) is not None


def _fits(ledger: Ledger, request: Request, verdict: Verdict, gone: Collection[LeaseId]) -> bool:
    if verdict.obstacle not in LEASED:
        return verdict.obstacle is None
    holding = ledger.holding(ledger.devices[verdict.device].memory_domain)
    missing = missing_on(ledger, verdict.device, request)
    if missing is None or holding.exclusive is not None:
        every = all(lease_id in gone for lease_id, _ in holding.shares)
        return every and not (request.exclusive and stays_taken(ledger, verdict.device))
    # Who may be there beside nobody but his own leases is in the way whatever room there is.
    if verdict.obstacle is Obstacle.OTHER_HOLDER and not {*verdict.leases} <= {*gone}:
        return False
    freed = sum(
        share.memory or 0 for (lease_id, _), share in holding.shares.items() if lease_id in gone
    )
    return missing <= freed
