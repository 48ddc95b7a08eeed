"""Decides on requests for devices: a grant, the same grant again, or a refusal that explains."""

from collections.abc import Hashable
from dataclasses import replace

from gpusched.core.actions import WatchExit
from gpusched.core.attachable import foreign
from gpusched.core.attaching import begin, record
from gpusched.core.changes import AttainableFound, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Mode
from gpusched.core.entitlement import hindrance, limited, narrowed
from gpusched.core.events import AllocateRequested, ExplainRequested
from gpusched.core.ids import Caller, DeviceUuid, Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.leaving import come_back
from gpusched.core.ledger import Ledger
from gpusched.core.lessening import with_nearest
from gpusched.core.queue import arriving, enqueue, not_admitted
from gpusched.core.replies import (
    Attachment,
    Explained,
    Granted,
    Queued,
    Refusal,
    Rejected,
    Underway,
    Verdict,
)
from gpusched.core.request import Request
from gpusched.core.reserving import chosen, never_served, reserved, verdicts_for, why_not
from gpusched.core.selection import wish_of
from gpusched.core.story import attached, granted
from gpusched.core.waiting import same

NO_LEASE = LeaseId("")
"""Of a request that is only explained: no lease comes of it."""

CALLER_GONE = "the calling process ended before it could be attached"


def allocate(ledger: Ledger, event: AllocateRequested, now: Moment) -> Decision:
    """Grant devices, or say why not. A repeated request gets the grant it got before."""
    known = _known(ledger, event, now)
    if known is not None:
        return known
    if event.request.attach_caller and event.caller.process is None:
        return Decision(reply=_bad("attach_caller", CALLER_GONE))
    hindered = _hindered(ledger, event.caller, event.request, now.instant)
    if hindered is not None:
        return _attainable(_later(ledger, event, hindered, now), wish_of(event.request))
    narrow, uid = narrowed(ledger, event.caller, event.request), event.caller.uid
    devices = chosen(ledger, narrow, now.instant, uid)
    if devices is None:
        return _not_now(ledger, event, narrow, now)
    lease = reserved(ledger, event.caller, event.request, event.lease_id, devices, now)
    process = event.caller.process
    if not event.request.attach_caller or process is None:
        return Decision((LeaseChanged(lease), granted(lease, now)), reply=Granted(lease))
    return _attached(ledger, event, lease, process, now)


def _not_now(ledger: Ledger, event: AllocateRequested, narrow: Request, now: Moment) -> Decision:
    """Answer where the devices are not to be had; why is found out where somebody hears it."""
    wish = wish_of(narrow)
    if event.request.waits and wish in ledger.waiting.attainable:
        return _enqueue(ledger, event, now)
    answer = why_not(ledger, event.caller, event.request, now.instant)
    return _attainable(_later(ledger, event, answer, now), wish)


def _attainable(decision: Decision, wish: Hashable) -> Decision:
    """Remember of who is let wait that devices could serve him, for those who wish the same."""
    if not isinstance(decision.reply, Queued):
        return decision
    return replace(decision, changes=(*decision.changes, AttainableFound(wish)))


def _later(ledger: Ledger, event: AllocateRequested, answer: Rejected, now: Moment) -> Decision:
    """Let a request wait that is refused for now, where it may, or refuse it."""
    if answer.why is not Refusal.LATER or not event.request.waits:
        return Decision(reply=answer)
    return _enqueue(ledger, event, now)


def _enqueue(ledger: Ledger, event: AllocateRequested, now: Moment) -> Decision:
    crowded = hindrance(ledger, event.caller, event.request, now.instant, ledger.waiting.count_of)
    return enqueue(ledger, event, now) if crowded is None else Decision(reply=crowded)


def _known(ledger: Ledger, event: AllocateRequested, now: Moment) -> Decision | None:
    """Give the answer to a request that was made before; None: it was not."""
    uid, request = event.caller.uid, event.request
    before = ledger.by_request(uid, request.request_id)
    if before is not None:
        return Decision(reply=_again(before, request))
    waiting = ledger.waiting.get((uid, request.request_id))
    return None if waiting is None else come_back(ledger, waiting, request, now)


def _attached(
    ledger: Ledger, event: AllocateRequested, lease: Lease, process: ProcessId, now: Moment
) -> Decision:
    """Grant *lease* with the caller in it: the reserved version was never true for anybody."""
    if not ledger.ability.cgroups:
        active = record(lease, process, ledger.ability.sentence, now)
        changes = (LeaseChanged(active), granted(active, now), attached(active, process, now))
        attachment = Attachment(Mode.RECORD, (process,))
        return Decision(changes, (WatchExit(process),), Granted(active, attachment=attachment))
    if event.standing is None:
        return Decision(reply=_bad("attach_caller", CALLER_GONE))
    begun = foreign(event.caller, event.standing) or begin(
        ledger, lease, process, event.standing, event.caller
    )
    if isinstance(begun, Rejected):
        return Decision(reply=begun)
    preparing, actions = begun
    changes_ = (LeaseChanged(preparing), granted(preparing, now))
    return Decision(changes_, actions, Underway(preparing, process))


def explain(ledger: Ledger, event: ExplainRequested, now: Moment) -> Decision:
    """Say what `allocate` would answer; nothing changes."""
    refusal = not_admitted(ledger, event.caller, event.request)
    if refusal is not None:
        return Decision(reply=Explained((), None, refusal))
    wish = limited(ledger, event.caller, event.request)
    verdicts = verdicts_for(ledger, wish, now.instant, event.caller.uid)
    answer = _entitled(ledger, event.caller, event.request, now.instant)
    if isinstance(answer, Rejected):
        return Decision(reply=_would_wait(ledger, event, answer, verdicts, now))
    return Decision(reply=Explained(verdicts, answer))


def _would_wait(
    ledger: Ledger,
    event: ExplainRequested,
    answer: Rejected,
    verdicts: tuple[Verdict, ...],
    now: Moment,
) -> Explained:
    """Say why a request is not granted, and how it would wait where it may."""
    caller, request = event.caller, event.request
    if answer.why is not Refusal.LATER or not request.waits:
        return Explained(answer.verdicts or verdicts, None, answer)
    crowded = hindrance(ledger, caller, request, now.instant, ledger.waiting.count_of)
    if crowded is not None:
        return Explained(verdicts, None, crowded)
    would = arriving(ledger, caller, request, NO_LEASE, now)
    return Explained(answer.verdicts or verdicts, None, answer, would)


def _entitled(
    ledger: Ledger, caller: Caller, request: Request, now: Instant
) -> tuple[DeviceUuid, ...] | Rejected:
    """Choose devices as far as *caller* may have them, or say why none can be had."""
    hindered = _hindered(ledger, caller, request, now)
    if hindered is not None:
        return hindered
    devices = chosen(ledger, narrowed(ledger, caller, request), now, caller.uid)
    return why_not(ledger, caller, request, now) if devices is None else devices


def _hindered(ledger: Ledger, caller: Caller, request: Request, now: Instant) -> Rejected | None:
    """Say what keeps *caller* from being granted *request*, whichever devices are free."""
    found = not_admitted(ledger, caller, request) or hindrance(ledger, caller, request, now)
    if found is None:
        return None
    # What no device can ever serve is not waited for, whatever else is in the way now.
    later = found.why is Refusal.LATER
    never = never_served(ledger, request, now, caller.uid) if later else None
    return never or with_nearest(ledger, caller, request, found, now)


def _again(lease: Lease, request: Request) -> Granted | Underway | Rejected:
    if same(lease.request, request):
        if lease.state is LeaseState.PREPARING:
            return Underway(lease, lease.processes[0] if lease.processes else None)
        return Granted(lease, repeated=True)
    return _bad("request_id", f"{request.request_id!r} was used for another request ({lease.id})")


def _bad(field: str, why: str) -> Rejected:
    return Rejected(Refusal.BAD_REQUEST, f"{field}: {why}", field)
