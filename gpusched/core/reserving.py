"""From a request to a reserved lease: the choice of its devices, and its first version."""

from dataclasses import replace

from gpusched.core.accounts import unattributed
from gpusched.core.clocks import Clocks
from gpusched.core.entitlement import hindrance, longest, narrowed
from gpusched.core.explain import refuse
from gpusched.core.hold import free_of
from gpusched.core.ids import Caller, DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.passing import short_enough
from gpusched.core.placement import choose
from gpusched.core.pooling import pool_of
from gpusched.core.replies import FOR_EVER, Obstacle, Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.room import allocatable, wanted_of
from gpusched.core.sample import NOT_SAMPLED, Unavailable
from gpusched.core.selection import wish_of
from gpusched.core.share import Share
from gpusched.core.sizes import in_words
from gpusched.core.tenants import kept
from gpusched.core.verdicts import judge, serving
from gpusched.core.waiting import Order, Waiting


def chosen(
    ledger: Ledger, request: Request, now: Instant, asker: int
) -> tuple[DeviceUuid, ...] | None:
    """Choose devices for the uid *asker*, who comes now; None: they cannot be had now.

    Quick: it looks at no device on which nothing can be free, and finds no reasons.
    """
    if request.count == 0:
        return ()
    order, ends = _place_of(ledger, request, now), ends_by(request, now)
    verdicts = serving(ledger, request, now, asker, few=not ledger.holds)
    value = ledger.policy.queue.class_of(request.priority).value
    left = free_of(ledger.holds, verdicts, ledger.devices, order, value, ends)
    return choose(ledger, request, left, asker)


def why_not(ledger: Ledger, caller: Caller, asked: Request, now: Instant) -> Rejected:
    """Say why *caller*, who comes now, cannot have devices that were not to be had."""
    request, asker = narrowed(ledger, caller, asked), caller.uid
    verdicts = verdicts_for(ledger, request, now, asker)
    rejected = refuse(ledger, request, verdicts)
    if _for_less(request, rejected):
        rejected = _if_granted(ledger, rejected, now, asker)
    rejected = _or_shorter(ledger, request, rejected, verdicts, now, asker)
    return _as_asked(rejected, asked, request)


def never_served(ledger: Ledger, request: Request, now: Instant, asker: int) -> Rejected | None:
    """Say why no devices of this host can ever serve the uid *asker*; None: some could.

    To be asked where something else is in the way: who waits for that is to be served then.
    """
    if request.count == 0 or wish_of(request) in ledger.waiting.attainable:
        return None
    found = refuse(ledger, request, _judged(ledger, request, now, asker))
    return None if found.why is Refusal.LATER else found


def verdicts_for(
    ledger: Ledger, request: Request, now: Instant, asker: int | None
) -> tuple[Verdict, ...]:
    """Judge all devices for the uid *asker*, who comes now, with what is kept for others.

    None is nobody in particular.
    """
    verdicts = _judged(ledger, request, now, asker)
    return _left(ledger, request, verdicts, now, _place_of(ledger, request, now))


def why_waits(ledger: Ledger, waiting: Waiting, now: Instant) -> Rejected:
    """Say what is in the way of a request that waits, and what its user would be granted now."""
    asked, asker = waiting.request, waiting.caller.uid
    hindered = hindrance(ledger, waiting.caller, asked, now)
    if hindered is not None:
        later = hindered.why is Refusal.LATER
        never = never_served(ledger, asked, now, asker) if later else None
        return never or hindered
    request = narrowed(ledger, waiting.caller, asked)
    verdicts = _judged(ledger, request, now, asker)
    left = _left(ledger, request, verdicts, now, waiting.order)
    rejected = refuse(ledger, request, left)
    coming = _left(ledger, request, verdicts, now, _place_of(ledger, request, now))
    # What is kept for the request itself is nothing that another one of its user could have.
    if coming != left or _for_less(request, rejected):
        rejected = _if_granted(ledger, rejected, now, asker)
    rejected = _or_shorter(ledger, request, rejected, coming, now, asker)
    return _as_asked(rejected, asked, request)


def _judged(
    ledger: Ledger, request: Request, now: Instant, asker: int | None
) -> tuple[Verdict, ...]:
    """Judge all devices; what hides their memory now does not hide that they are too small."""
    verdicts = judge(ledger, request, now, asker)
    if request.memory is None:
        return verdicts
    return tuple(_too_small(ledger, one, request.memory) or one for one in verdicts)


def _too_small(ledger: Ledger, verdict: Verdict, wanted: int) -> Verdict | None:
    total, use = ledger.devices[verdict.device].memory_total, ledger.uses.get(verdict.device)
    memory = NOT_SAMPLED if use is None else use.reading.memory
    most = room = None
    if not isinstance(memory, Unavailable):
        most = room = allocatable(ledger, memory)
    elif total is not None:
        # What the driver reserves of it is not known: so much is not offered.
        most = max(0, total - ledger.policy.withheld)
    if verdict.obstacle in FOR_EVER or most is None or wanted <= most:
        return None
    sentence = f"has {in_words(most)}, {in_words(wanted)} wanted"
    return Verdict(verdict.device, Obstacle.TOO_SMALL, sentence, room)


def _place_of(ledger: Ledger, request: Request, now: Instant) -> Order:
    """Give the place that a request would have that comes now."""
    return ledger.policy.queue.rank(request.priority, now), ledger.waiting.arrivals


def _for_less(request: Request, rejected: Rejected) -> bool:
    """Say whether less memory would do now, as far as the devices' own room tells.

    A device with too little room may be kept for others as well, which no verdict says.
    """
    nearest = rejected.nearest if rejected.why is Refusal.LATER else None
    return nearest is not None and nearest.memory != request.memory


def _if_granted(ledger: Ledger, rejected: Rejected, now: Instant, asker: int) -> Rejected:
    """Name no request as the nearest that would not be granted now."""
    nearest = rejected.nearest
    if nearest is None or chosen(ledger, nearest, now, asker) is not None:
        return rejected
    return replace(rejected, nearest=None)


def _or_shorter(
    ledger: Ledger,
    request: Request,
    rejected: Rejected,
    verdicts: tuple[Verdict, ...],
    now: Instant,
    asker: int,
) -> Rejected:
    """Let the nearest that would do be the same for a shorter time, where that would do."""
    shorter = short_enough(ledger, request, verdicts, now)
    passes = shorter is not None and chosen(ledger, shorter, now, asker) is not None
    return replace(rejected, nearest=shorter) if passes else rejected


def _as_asked(rejected: Rejected, asked: Request, narrow: Request) -> Rejected:
    """Name no time limit in the nearest request that it has for its user's quota anyway."""
    nearest = rejected.nearest
    if nearest is None or nearest.time_limit != narrow.time_limit:
        return rejected
    return replace(rejected, nearest=replace(nearest, time_limit=asked.time_limit))


def _left(
    ledger: Ledger, request: Request, verdicts: tuple[Verdict, ...], now: Instant, order: Order
) -> tuple[Verdict, ...]:
    """Count devices that are kept for requests before *order* among what is taken."""
    if not ledger.holds:
        return verdicts
    value, ends = ledger.policy.queue.class_of(request.priority).value, ends_by(request, now)
    left = free_of(ledger.holds, verdicts, ledger.devices, order, value, ends)
    return tuple(
        one if one.obstacle is not Obstacle.KEPT else kept(ledger, one, now) for one in left
    )


def ends_by(request: Request, now: Instant) -> Instant | None:
    """Say when a lease that is granted now has surely ended; None where nothing says so."""
    return None if request.time_limit is None else Instant(now + request.time_limit)


def reserved(
    ledger: Ledger,
    caller: Caller,
    request: Request,
    lease_id: LeaseId,
    chosen: tuple[DeviceUuid, ...],
    now: Moment,
) -> Lease:
    """Give the lease that a request is granted, with nobody in it yet."""
    return Lease(
        id=lease_id,
        state=LeaseState.RESERVED,
        request=request,
        uid=caller.uid,
        gid=caller.gid,
        user=caller.user,
        shares=tuple(_share(ledger, uuid, request) for uuid in chosen),
        created=now,
        clocks=_clocks(ledger, caller, request, now),
        groups=caller.groups,
        priority=ledger.policy.queue.named(request.priority),
    )


def _share(ledger: Ledger, device: DeviceUuid, request: Request) -> Share:
    found, memory = ledger.devices[device], ledger.uses[device].reading.memory
    wanted = None if isinstance(memory, Unavailable) else wanted_of(ledger, request, memory)
    return Share(
        device,
        found.memory_domain,
        wanted,
        unattributed(ledger.uses, device),
        alone=request.exclusive and wanted is not None,
        total=found.memory_total,
        pool=pool_of(ledger, found),
    )


def _clocks(ledger: Ledger, caller: Caller, request: Request, now: Moment) -> Clocks:
    keepalive = request.keepalive or ledger.policy.keepalive
    attach = request.attach_deadline or ledger.policy.attach_deadline
    return Clocks(
        attach=_after(now, attach),
        keepalive=_after(now, keepalive),
        time_limit=_after(now, longest(ledger, caller, request)),
    )


def _after(now: Moment, duration: int | None) -> Instant | None:
    return None if duration is None else Instant(now.instant + duration)
