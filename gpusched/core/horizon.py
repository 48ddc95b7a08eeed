"""How far a device is from serving a request, by what is in the way now."""

from dataclasses import dataclass

from gpusched.core.ids import DeviceUuid, Instant, LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.room import missing_on
from gpusched.core.strangers import stays_taken

_SOON = (Obstacle.SETTLING, Obstacle.STARTING)
_LEASED = (Obstacle.HELD, Obstacle.TOO_LITTLE_FREE)


@dataclass(frozen=True, slots=True)
class Horizon:
    """When a device serves a request.

    Attributes:
        device: Which.
        at: When at the latest, if nobody else comes (CLOCK_BOOTTIME); None: that is not known.
        distance: For comparing devices: a class, and a measure within it; the lower is nearer.
    """

    device: DeviceUuid
    at: Instant | None
    distance: tuple[int, int]


def horizon(ledger: Ledger, verdict: Verdict, request: Request, now: Instant) -> Horizon:
    """Say how far a device that could serve *request* is from it."""
    if verdict.obstacle is None:
        return Horizon(verdict.device, now, (0, 0))
    if verdict.obstacle in _SOON:
        # How long memory takes to settle is nobody's promise.
        return Horizon(verdict.device, None, (1, 0))
    if verdict.obstacle not in _LEASED:
        return Horizon(verdict.device, None, (4, 0))
    at = _leases_end(ledger, verdict, request)
    if at is not None:
        return Horizon(verdict.device, at, (2, at))
    shares = ledger.holding(ledger.devices[verdict.device].memory_domain).shares
    return Horizon(verdict.device, None, (3, len(shares)))


def _leases_end(ledger: Ledger, verdict: Verdict, request: Request) -> Instant | None:
    """Say when enough of the leases on a device have ended by their time limits."""
    holding = ledger.holding(ledger.devices[verdict.device].memory_domain)
    limits = [
        (limit, share.memory or 0)
        for (lease_id, _), share in holding.shares.items()
        if (limit := _limit(ledger, lease_id)) is not None
    ]
    missing = missing_on(ledger, verdict.device, request)
    if missing is None or holding.exclusive is not None:
        every = 0 < len(limits) == len(holding.shares)
        stays = request.exclusive and stays_taken(ledger, verdict.device)
        return max(limits)[0] if every and not stays else None
    for limit, memory in sorted(limits):
        missing -= memory
        if missing <= 0:
            return limit
    return None


def _limit(ledger: Ledger, lease_id: LeaseId) -> Instant | None:
    lease = ledger.get(lease_id)
    if lease is None or lease.giving_way is None:
        return None if lease is None else lease.clocks.time_limit
    return lease.giving_way.deadline
