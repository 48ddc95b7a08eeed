"""What a caller may have: the pool and the mask that he asks for, and what his quotas leave.

`hindrance` is the one question that is asked before anything is granted, whoever serves the
request. Whether devices are free is not judged here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil
from typing import TypeAlias

from gpusched.core.attaching import cannot_hold
from gpusched.core.durations import in_words
from gpusched.core.ids import Caller, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.pool import DEFAULT_POOL
from gpusched.core.pooling import barred_from, configured
from gpusched.core.preferences import Sharing
from gpusched.core.quota import Bound, QuotaExcess, Resource, sentence_of, used_of
from gpusched.core.replies import Holder, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.selection import unsuitable
from gpusched.core.tally import Subject

Count: TypeAlias = Callable[[Subject], int]
"""Says how many requests of a subject wait."""

_COUNTED = (Resource.DEVICES, Resource.MEMORY, Resource.LEASES)
"""What a lease takes; it comes back when a lease ends."""

ASK_FOR_LESS = "ask with `preferred` (the default) or `advisory`"


def nobody_waits(_subject: Subject) -> int:
    """Count no request, for who knows of none."""
    return 0


def hindrance(
    ledger: Ledger,
    caller: Caller,
    request: Request,
    now: Instant,
    waiting: Count | None = None,
) -> Rejected | None:
    """Say what keeps *caller* from being granted *request* now, devices apart; None: nothing.

    Pure, and cheap: it looks at the sums of the caller, not at leases. Ask it anew whenever a
    request that waits is to be served, because quotas, pools and what is used change meanwhile.

    Args:
        ledger: The record.
        caller: Who will hold the lease, with his groups.
        request: What for.
        now: For the time that is left of leases in the way.
        waiting: Given where it is to wait: then what will be free again once leases end does not
            hinder, and the bound on waiting requests does. It does not count this one yet.

    Returns:
        BAD_REQUEST for a pool that there is not, NOT_ALLOWED for one that is not the caller's,
        NEVER_HERE for a mask that this host cannot hold and for what no end of a lease makes fit
        a quota, and else LATER; with the excess.
    """
    barred = barred_from(ledger.policy.pools, caller, request) or _never_held(ledger, request)
    if barred is not None:
        return barred
    found: tuple[Bound, QuotaExcess] | None = None
    for bound in ledger.policy.quotas.on(caller, request.labels):
        excess = _excess(ledger, bound, request, waiting)
        if excess is None:
            continue
        if excess.wanted > excess.allowed:
            return _never(excess)
        found = found or (bound, excess)
    return None if found is None else _later(ledger, caller, *found, now)


def narrowed(ledger: Ledger, caller: Caller, request: Request) -> Request:
    """Give *request*, which `hindrance` lets pass, with no more than quotas leave.

    Only who says a least or a most number of devices gets fewer than he would like.
    """
    request = limited(ledger, caller, request)
    least, most = request.least, request.max_count or request.count
    if least == most:
        return request
    each = _each_device(ledger, request)
    room = most
    for bound in ledger.policy.quotas.on(caller, request.labels):
        left = bound.allowed - _used(ledger, bound)
        if bound.resource is Resource.DEVICES:
            room = min(room, left)
        elif bound.resource is Resource.MEMORY and each:
            room = min(room, left // each)
    if room >= most:
        return request
    fewer = min(request.count, room)
    return replace(request, count=fewer, max_count=None if request.max_count is None else room)


def limited(ledger: Ledger, caller: Caller, request: Request) -> Request:
    """Give *request* with the time limit that its lease would have."""
    limit = longest(ledger, caller, request)
    return request if limit == request.time_limit else replace(request, time_limit=limit)


def longest(ledger: Ledger, caller: Caller, request: Request) -> int | None:
    """Give the time limit of a lease of *request* in nanoseconds; None: it has none.

    Who names none gets what his quotas allow: a bound that a request escapes by saying nothing
    would be none, and a refusal would break every client that never heard of it.
    """
    if request.time_limit is not None or ledger.policy.quotas.shortest is None:
        return request.time_limit
    bounds = ledger.policy.quotas.on(caller, request.labels)
    return min(
        (one.allowed for one in bounds if one.resource is Resource.TIME_LIMIT), default=None
    )


def bounds_on(
    ledger: Ledger, caller: Caller, waiting: Count = nobody_waits
) -> Iterator[QuotaExcess]:
    """Give what bounds *caller*, and how much of it is used; nothing of it is wanted.

    Those of labels are among them, for any request may have one.
    """
    quotas = ledger.policy.quotas
    bounds = [*quotas.on(caller)]
    if not quotas.exempt.frees(caller):
        bounds += quotas.labelled()
    for one in bounds:
        used = _used(ledger, one, waiting)
        yield QuotaExcess(one.name, one.resource, used, 0, one.allowed)


def _never_held(ledger: Ledger, request: Request) -> Rejected | None:
    """Refuse where a mask is demanded that this host cannot hold; None: it can."""
    cannot = cannot_hold(ledger, request)
    if cannot is None:
        return None
    sentence = f"the mask cannot be held, and it is required: {cannot}; {ASK_FOR_LESS}"
    return Rejected(Refusal.NEVER_HERE, sentence, "enforce")


def _excess(
    ledger: Ledger, bound: Bound, request: Request, waiting: Count | None
) -> QuotaExcess | None:
    resource = bound.resource
    if waiting is None:
        if resource is Resource.WAITING:
            return None
        used = _used(ledger, bound)
    else:
        # What waits takes nothing yet; but what could never be had is not waited for.
        used = 0 if resource in _COUNTED else _used(ledger, bound, waiting)
    if resource is Resource.MEMORY:
        return _excess_of_memory(ledger, bound, request, used)
    return bound.excess(used, _wanted(resource, request))


def _excess_of_memory(
    ledger: Ledger, bound: Bound, request: Request, used: int
) -> QuotaExcess | None:
    """Look at the devices themselves only where the largest of all would be too much."""
    least = request.least
    if bound.excess(used, least * _of_each(request, ledger.largest)) is None:
        return None
    return bound.excess(used, least * _each_device(ledger, request))


def _wanted(resource: Resource, request: Request) -> int:
    """Give what *request* takes at least of a resource, memory apart."""
    if resource is Resource.DEVICES:
        return request.least
    if resource is Resource.TIME_LIMIT:
        return request.time_limit or 0
    return 1


def _used(ledger: Ledger, bound: Bound, waiting: Count = nobody_waits) -> int:
    return used_of(bound.resource, ledger.taken(bound.subject), waiting(bound.subject))


def _each_device(ledger: Ledger, request: Request) -> int:
    """Give the bytes that *request* takes of each device, at the most.

    Which devices it will be is not known: of whole ones the largest that it can mean counts, so
    that no choice exceeds a quota.
    """
    return _of_each(request, max(_totals(ledger, request), default=0))


def _of_each(request: Request, largest: int) -> int:
    """Give the bytes that *request* takes of a device with *largest* bytes."""
    whole = request.sharing is Sharing.EXCLUSIVE
    if request.memory is not None and not whole:
        return request.memory
    if request.memory_fraction is None or whole:
        return largest
    return ceil(largest * request.memory_fraction)


def _totals(ledger: Ledger, request: Request) -> Iterator[int]:
    """Give the memory of the devices that *request* can mean."""
    pool = request.pool or DEFAULT_POOL
    for device in ledger.devices.values():
        if unsuitable(device, request) is None and configured(ledger, device) == pool:
            yield device.memory_total or 0


def _never(excess: QuotaExcess) -> Rejected:
    advice = "ask for no more than the quota"
    if excess.resource is Resource.MEMORY:
        advice = "ask for fewer devices, for a share by `memory_bytes`, or for a smaller type"
    elif excess.resource is Resource.WAITING:
        advice = "ask without a time to wait"
    return Rejected(Refusal.NEVER_HERE, f"{sentence_of(excess)}; {advice}", excess=excess)


def _later(
    ledger: Ledger, caller: Caller, bound: Bound, excess: QuotaExcess, now: Instant
) -> Rejected:
    """Say that it fits once leases have ended, or fewer requests wait."""
    sentence = sentence_of(excess)
    if bound.resource is Resource.WAITING:
        return Rejected(Refusal.LATER, f"{sentence}; cancel one of them", excess=excess)
    leases = ledger.leases_of(bound.subject)
    own = [one for one in leases if one.uid == caller.uid]
    sentence += "; release one of them, or ask for less" if own else "; ask for less, or later"
    ends = [(one.clocks.time_limit, one.id) for one in own if one.clocks.time_limit is not None]
    if ends:
        soonest, lease = min(ends)
        sentence += f" ({lease} ends in {in_words(max(0, soonest - now))})"
    holders = tuple(Holder(one.id, one.uid, one.user, one.created) for one in leases)
    return Rejected(Refusal.LATER, sentence, holders=holders, excess=excess)
