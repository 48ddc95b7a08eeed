"""Decides on requests for devices: a grant, the same grant again, or a refusal that explains."""

from gpusched.core.actions import WatchExit
from gpusched.core.changes import Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.events import AllocateRequested, ExplainRequested
from gpusched.core.explain import refuse
from gpusched.core.ids import DeviceUuid, Instant, Moment
from gpusched.core.lease import Clocks, Lease, LeaseState, Share, enter
from gpusched.core.ledger import Ledger
from gpusched.core.placement import choose, judge
from gpusched.core.replies import Explained, Granted, Refusal, Rejected
from gpusched.core.request import Enforce, Request
from gpusched.core.story import attached, granted

NO_ENFORCEMENT = (
    "this daemon cannot hold a mask in the kernel, and the request requires it;"
    " ask with `preferred` (the default) or `advisory`"
)
CALLER_GONE = "the calling process ended before it could be attached"


def allocate(ledger: Ledger, event: AllocateRequested, now: Moment) -> Decision:
    """Grant devices, or say why not. A repeated request gets the grant it got before."""
    before = ledger.by_request(event.caller.uid, event.request.request_id)
    if before is not None:
        return Decision(reply=_again(before, event.request))
    if event.request.attach_caller and event.caller.process is None:
        return Decision(reply=_bad("attach_caller", CALLER_GONE))
    answer = place(ledger, event.request, now.instant)
    if isinstance(answer, Rejected):
        return Decision(reply=answer)
    lease = _reserved(ledger, event, answer, now)
    changes: list[Change] = [LeaseChanged(lease), granted(lease, now)]
    process = event.caller.process
    if not event.request.attach_caller or process is None:
        return Decision(tuple(changes), reply=Granted(lease))
    active = enter(lease, process, now)
    # The reserved version was never true for anybody else: one row, one commit.
    changes = [LeaseChanged(active), granted(active, now), attached(active, process, now)]
    return Decision(tuple(changes), (WatchExit(process),), Granted(active))


def explain(ledger: Ledger, event: ExplainRequested, now: Moment) -> Decision:
    """Say what `allocate` would answer; nothing changes."""
    verdicts = judge(ledger, event.request, now.instant)
    answer = place(ledger, event.request, now.instant)
    if isinstance(answer, Rejected):
        return Decision(reply=Explained(verdicts, None, answer))
    return Decision(reply=Explained(verdicts, answer))


def place(ledger: Ledger, request: Request, now: Instant) -> tuple[DeviceUuid, ...] | Rejected:
    """Choose devices, or say why none can be had."""
    if request.enforce is Enforce.REQUIRED:
        return Rejected(Refusal.NEVER_HERE, NO_ENFORCEMENT, "enforce")
    if request.count == 0:
        return ()
    verdicts = judge(ledger, request, now)
    chosen = choose(ledger, request, verdicts)
    return refuse(ledger, request, verdicts) if chosen is None else chosen


def _again(lease: Lease, request: Request) -> Granted | Rejected:
    if lease.request == request:
        return Granted(lease, repeated=True)
    return _bad("request_id", f"{request.request_id!r} was used for another request ({lease.id})")


def _bad(field: str, why: str) -> Rejected:
    return Rejected(Refusal.BAD_REQUEST, f"{field}: {why}", field)


def _reserved(
    ledger: Ledger, event: AllocateRequested, chosen: tuple[DeviceUuid, ...], now: Moment
) -> Lease:
    request, caller = event.request, event.caller
    return Lease(
        id=event.lease_id,
        state=LeaseState.RESERVED,
        request=request,
        uid=caller.uid,
        gid=caller.gid,
        user=caller.user,
        shares=tuple(
            Share(uuid, ledger.devices[uuid].memory_domain, request.memory) for uuid in chosen
        ),
        created=now,
        clocks=_clocks(ledger, request, now),
    )


def _clocks(ledger: Ledger, request: Request, now: Moment) -> Clocks:
    keepalive = request.keepalive or ledger.policy.keepalive
    attach = request.attach_deadline or ledger.policy.attach_deadline
    return Clocks(
        attach=_after(now, attach),
        keepalive=_after(now, keepalive),
        time_limit=_after(now, request.time_limit),
    )


def _after(now: Moment, duration: int | None) -> Instant | None:
    return None if duration is None else Instant(now.instant + duration)
