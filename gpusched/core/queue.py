"""Decides who of those that wait is served, and what is kept for whom until then.

The first in the order of service that can be served is. For one that cannot, the devices it is to
get are kept: what comes free of them is not given to who comes later, unless that ends before.
What is kept for the first is found first, so nobody's start is put off by somebody behind.
"""

from collections.abc import Iterable, Sequence

from gpusched.core.actions import Answer
from gpusched.core.changes import Change, HoldsFound, LeaseChanged, WaitingChanged, WaitingGone
from gpusched.core.decision import Decision
from gpusched.core.entitlement import hindrance, narrowed
from gpusched.core.events import AllocateRequested
from gpusched.core.hold import Hold, free_of
from gpusched.core.horizon import Horizon, horizon
from gpusched.core.ids import Caller, DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.placement import choose
from gpusched.core.preempting import made_way, spared
from gpusched.core.queue_story import queued, served
from gpusched.core.replies import Granted, Queued, Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.reserving import ends_by, reserved
from gpusched.core.unjoined import arranged
from gpusched.core.verdicts import could_serve, judge
from gpusched.core.waiting import Waiting


def enqueue(ledger: Ledger, event: AllocateRequested, now: Moment) -> Decision:
    """Put a request in its place in the order of service."""
    waiting = arriving(ledger, event.caller, event.request, event.lease_id, now)
    return Decision((WaitingChanged(waiting), queued(waiting, now)), reply=Queued(waiting))


def arriving(
    ledger: Ledger, caller: Caller, request: Request, lease_id: LeaseId, now: Moment
) -> Waiting:
    """Give a request that comes now as it waits."""
    rules = ledger.policy.queue
    deadline = None if request.wait is None else Instant(now.instant + request.wait)
    return Waiting(
        request=request,
        uid=caller.uid,
        gid=caller.gid,
        user=caller.user,
        admin=caller.admin,
        groups=caller.groups,
        lease_id=lease_id,
        arrived=now,
        number=ledger.waiting.arrivals,
        rank=rules.rank(request.priority, now.instant),
        priority=rules.named(request.priority),
        deadline=deadline,
    )


def not_admitted(ledger: Ledger, caller: Caller, request: Request) -> Rejected | None:
    """Say why *caller* may not ask in the priority class of *request*; None: it may."""
    if request.priority is None:
        return None
    classes = ledger.policy.queue.classes
    found = classes.get(request.priority)
    if found is None:
        sentence = (
            f"priority: there is no class {request.priority!r}; there is {', '.join(classes)}"
        )
        return Rejected(Refusal.BAD_REQUEST, sentence, "priority")
    if not found.rights.admit(caller):
        who = caller.user or caller.uid
        sentence = f"priority: {who} may not use the class {request.priority!r}; leave it out"
        return Rejected(Refusal.NOT_ALLOWED, sentence, "priority")
    return None


def turn(ledger: Ledger, now: Moment) -> Decision:
    """Serve the first that can be served; where nobody can, say what is kept for whom."""
    staying = spared(ledger, now)
    if staying:
        return Decision(tuple(staying))
    holds: dict[str, Hold] = {}
    domains = {one.memory_domain for one in ledger.devices.values()}
    walk = ledger.waiting.by_shape()
    judged: dict[int, tuple[Verdict, ...]] = {}
    while (one := walk.next()) is not None and not holds.keys() >= domains:
        verdicts = judged.get(walk.shape)
        if verdicts is None:
            # It waits for leases of its own account: no device is kept for it.
            if hindrance(ledger, one.caller, one.request, now.instant) is not None:
                walk.leave_out()
                continue
            verdicts = judged[walk.shape] = judge(ledger, one.request, now.instant, one.caller.uid)
            # The later ones of a shape get no more than its first.
            chosen = _chosen(ledger, one, verdicts, holds, now.instant)
            if chosen is not None:
                return _granted(ledger, one, chosen, now)
        making = made_way(ledger, one, verdicts, holds, now)
        if making:
            return Decision(tuple(making))
        if _keep(ledger, one, verdicts, holds, now.instant):
            walk.passed()
        else:
            walk.leave_out()
    return Decision((HoldsFound(holds),))


def _chosen(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: tuple[Verdict, ...],
    holds: dict[str, Hold],
    now: Instant,
) -> tuple[DeviceUuid, ...] | None:
    request = narrowed(ledger, waiting.caller, waiting.request)
    left = free_of(holds, verdicts, ledger.devices, waiting.order, ends_by(request, now))
    return choose(ledger, request, left, waiting.caller.uid)


def _granted(
    ledger: Ledger, waiting: Waiting, chosen: tuple[DeviceUuid, ...], now: Moment
) -> Decision:
    lease = reserved(ledger, waiting.caller, waiting.request, waiting.lease_id, chosen, now)
    changes: tuple[Change, ...] = (
        WaitingGone(waiting.key),
        LeaseChanged(lease),
        served(lease, waiting, now),
    )
    return Decision(changes, (Answer(waiting.key, Granted(lease)),))


def _keep(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: Sequence[Verdict],
    holds: dict[str, Hold],
    now: Instant,
) -> bool:
    """Keep the devices that a request is to get; False: they are all kept already."""
    wanted = _wanted(ledger, waiting, verdicts, holds, now)
    until = _latest(one.at for one in wanted)
    domains = [ledger.devices[one.device].memory_domain for one in wanted]
    if all(domain in holds for domain in domains):
        return False
    for domain in domains:
        holds.setdefault(domain, Hold(waiting.key, waiting.order, until))
    return True


def _wanted(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: Sequence[Verdict],
    holds: dict[str, Hold],
    now: Instant,
) -> list[Horizon]:
    """Choose the devices that a request is to get: those that will serve it first.

    The choice is stable: what is kept gets nearer only, because nobody else is let in.
    """
    request = waiting.request
    found = [horizon(ledger, one, request, now) for one in could_serve(verdicts)]

    def place(one: Horizon) -> tuple[bool, bool, tuple[int, int], tuple[str, int]]:
        device = ledger.devices[one.device]
        asked_for = one.device in request.must_include
        return not asked_for, device.memory_domain in holds, one.distance, device.order

    nearest = sorted(found, key=place)
    lying = arranged(ledger, request, [one.device for one in nearest])
    return [one for one in nearest if one.device in lying] if lying else nearest[: request.least]


def _latest(instants: Iterable[Instant | None]) -> Instant | None:
    """Give the last of *instants*; None where one of them is not known."""
    last = Instant(0)
    for one in instants:
        if one is None:
            return None
        last = max(last, one)
    return last
