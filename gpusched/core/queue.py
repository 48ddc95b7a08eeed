"""Decides who of those that wait is served, and what is kept for whom until then.

The first in the order of service that can be served is. For one that cannot, the devices it is to
get are kept: what comes free of them is not given to who comes later, unless that ends before.
What is kept for the first is found first, so nobody's start is put off by somebody behind.
"""

from dataclasses import replace

from gpusched.core.actions import Answer
from gpusched.core.changes import Change, HoldsFound, LeaseChanged, WaitingChanged, WaitingGone
from gpusched.core.decision import Decision
from gpusched.core.entitlement import narrowed
from gpusched.core.events import AllocateRequested
from gpusched.core.hold import Holds, free_of
from gpusched.core.ids import Caller, DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.keeping import Walk, deviceless, everything, stirred
from gpusched.core.leaving import kept_until
from gpusched.core.ledger import Ledger
from gpusched.core.placement import choose
from gpusched.core.preempting import made_way, may_preempt, spared
from gpusched.core.priority import QueueRules
from gpusched.core.queue_story import queued, served
from gpusched.core.replies import Granted, Queued, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.reserving import ends_by, reserved
from gpusched.core.verdicts import serving
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
    rules = ledger.policy.queue
    classes, name = rules.classes, rules.named(request.priority)
    if name not in classes and request.priority is not None:
        sentence = f"priority: there is no class {name!r}; known: {', '.join(classes)}"
        return Rejected(Refusal.BAD_REQUEST, sentence, "priority")
    # Who names none is in the default one: to say nothing is no way into a class of others.
    if rules.class_of(name).rights.admit(caller):
        return None
    who = caller.user or caller.uid
    sentence = f"priority: {who} may not use the class {name!r}; {_instead(rules, caller)}"
    return Rejected(Refusal.NOT_ALLOWED, sentence, "priority")


def _instead(rules: QueueRules, caller: Caller) -> str:
    """Say what *caller* can ask for instead of a class that he may not use."""
    if rules.class_of(None).rights.admit(caller):
        return "leave it out"
    may = [name for name, one in rules.classes.items() if one.rights.admit(caller)]
    if not may:
        return "no class is open to you; ask an administrator"
    return f"open to you: {', '.join(may)}; name one as `priority` (`--priority`)"


def turn(ledger: Ledger, now: Moment) -> Decision:
    """Serve the first that can be served; where nobody can, say what is kept for whom."""
    staying = spared(ledger, now)
    if staying:
        return Decision(tuple(staying))
    for one in Walk(ledger, deviceless(ledger), now.instant):
        return _granted(ledger, one, (), now)
    # Who may end leases of others looks at all devices, not at those only where something is free.
    preempting = may_preempt(ledger)
    scope = everything(ledger) if preempting else stirred(ledger, now.instant)
    walk = Walk(ledger, scope, now.instant)
    for one in walk:
        # The later ones of a shape get no more than its first.
        chosen = _chosen(ledger, one, walk.holds, now.instant) if walk.first else None
        if chosen is not None:
            return _granted(ledger, one, chosen, now)
        # Where all is kept for others nobody makes way for who may only pass.
        if preempting and not walk.passing:
            making = made_way(ledger, one, walk.verdicts_for(one), walk.holds, now)
            if making:
                return Decision(tuple(making))
    return Decision((HoldsFound(walk.holds),))


def _chosen(
    ledger: Ledger, waiting: Waiting, holds: Holds, now: Instant
) -> tuple[DeviceUuid, ...] | None:
    request = narrowed(ledger, waiting.caller, waiting.request)
    verdicts = serving(ledger, request, now, waiting.uid, few=not holds)
    value, ends = ledger.policy.queue.class_of(waiting.priority).value, ends_by(request, now)
    left = free_of(holds, verdicts, ledger.devices, waiting.order, value, ends)
    return choose(ledger, request, left, waiting.uid)


def _granted(
    ledger: Ledger, waiting: Waiting, chosen: tuple[DeviceUuid, ...], now: Moment
) -> Decision:
    fresh = reserved(ledger, waiting.caller, waiting.request, waiting.lease_id, chosen, now)
    lease = kept_until(waiting, fresh)
    if lease.priority != waiting.priority:  # another class has become the default one
        lease = replace(lease, priority=waiting.priority)
    changes: tuple[Change, ...] = (
        WaitingGone(waiting.key),
        LeaseChanged(lease),
        served(lease, waiting, now),
    )
    return Decision(changes, (Answer(waiting.key, lease.id, Granted(lease)),))
