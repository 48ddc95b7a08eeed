"""The nearest request that fits what quotas leave, where they are what is in the way.

Pure: it proposes; whether it would be granted is asked of the same functions as a grant.
"""

from dataclasses import replace

from gpusched.core.entitlement import hindrance, narrowed
from gpusched.core.ids import Caller, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.quota import QuotaExcess, Resource
from gpusched.core.replies import Rejected
from gpusched.core.request import Request
from gpusched.core.reserving import chosen
from gpusched.core.sizes import rounded_down


def with_nearest(
    ledger: Ledger, caller: Caller, request: Request, rejected: Rejected, now: Instant
) -> Rejected:
    """Name in a refusal for a quota what *caller* would be granted now instead."""
    nearest = None if rejected.excess is None else _less(request, rejected.excess)
    if nearest is None or hindrance(ledger, caller, nearest, now) is not None:
        return rejected
    narrow = narrowed(ledger, caller, nearest)
    if chosen(ledger, narrow, now, caller.uid) is None:
        return rejected
    return replace(rejected, nearest=nearest)


def _less(request: Request, excess: QuotaExcess) -> Request | None:
    """Reduce *request* to what a quota leaves; None where that is nothing, or does not help."""
    left = excess.allowed - excess.used
    if excess.resource is Resource.TIME_LIMIT:
        return replace(request, time_limit=left)
    if excess.resource is Resource.DEVICES:
        return _fewer(request, left)
    if excess.resource is not Resource.MEMORY:
        return None
    fewer = _fewer(request, left * request.least // excess.wanted)
    return fewer or _smaller(request, left)


def _fewer(request: Request, count: int) -> Request | None:
    if request.devices or count < max(1, len(request.must_include)):
        return None
    return replace(request, count=count, min_count=None, max_count=None)


def _smaller(request: Request, left: int) -> Request | None:
    if request.memory is None or request.exclusive:
        return None
    least, size = request.least, rounded_down(left // request.least)
    if size <= 0:
        return None
    return replace(request, count=least, min_count=None, max_count=None, memory=size)
