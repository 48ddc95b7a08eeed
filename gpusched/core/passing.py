"""What would pass those who wait: the same request, short enough to be over before they begin."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.ids import SECOND, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request

MINUTE = 60 * SECOND
"""Limits are told in whole minutes, rounded down: who reads one takes a moment to type it."""


def short_enough(
    ledger: Ledger, request: Request, verdicts: Sequence[Verdict], now: Instant
) -> Request | None:
    """Give *request* with the longest time limit with which it may have what is kept for others.

    None where that would not help: too little is kept until a known time, or not for a minute.

    Args:
        ledger: The record.
        request: What was refused.
        verdicts: Of all devices, with what is kept for others.
        now: When.
    """
    if not ledger.holds:
        return None
    missing = request.least - sum(one.obstacle is None for one in verdicts)
    kept = [one for one in verdicts if one.obstacle is Obstacle.KEPT]
    ends = sorted(filter(None, (_until(ledger, one) for one in kept)), reverse=True)
    if not 0 < missing <= len(ends):
        return None
    limit = (ends[missing - 1] - now) // MINUTE * MINUTE
    return replace(request, time_limit=limit) if limit > 0 else None


def _until(ledger: Ledger, verdict: Verdict) -> Instant | None:
    hold = ledger.holds.get(ledger.devices[verdict.device].memory_domain)
    return None if hold is None else hold.until
