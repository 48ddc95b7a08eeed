"""Decides on requests for devices: a grant, the same grant again, or a refusal that explains."""

from gpusched.core.accounts import unattributed
from gpusched.core.actions import WatchExit
from gpusched.core.attaching import begin, cannot_hold, foreign, record
from gpusched.core.changes import LeaseChanged
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Mode
from gpusched.core.events import AllocateRequested, ExplainRequested
from gpusched.core.explain import refuse
from gpusched.core.ids import DeviceUuid, Instant, Moment, ProcessId
from gpusched.core.lease import Lease, LeaseState, Share
from gpusched.core.ledger import Ledger
from gpusched.core.placement import choose
from gpusched.core.replies import Attachment, Explained, Granted, Refusal, Rejected, Underway
from gpusched.core.request import Request
from gpusched.core.story import attached, granted
from gpusched.core.verdicts import judge

ASK_FOR_LESS = "ask with `preferred` (the default) or `advisory`"
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
    process = event.caller.process
    if not event.request.attach_caller or process is None:
        return Decision((LeaseChanged(lease), granted(lease, now)), reply=Granted(lease))
    return _attached(ledger, event, lease, process, now)


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
    verdicts = judge(ledger, event.request, now.instant)
    answer = place(ledger, event.request, now.instant)
    if isinstance(answer, Rejected):
        return Decision(reply=Explained(verdicts, None, answer))
    return Decision(reply=Explained(verdicts, answer))


def place(ledger: Ledger, request: Request, now: Instant) -> tuple[DeviceUuid, ...] | Rejected:
    """Choose devices, or say why none can be had."""
    cannot = cannot_hold(ledger, request)
    if cannot is not None:
        sentence = f"the mask cannot be held, and it is required: {cannot}; {ASK_FOR_LESS}"
        return Rejected(Refusal.NEVER_HERE, sentence, "enforce")
    if request.count == 0:
        return ()
    verdicts = judge(ledger, request, now)
    chosen = choose(ledger, request, verdicts)
    return refuse(ledger, request, verdicts) if chosen is None else chosen


def _again(lease: Lease, request: Request) -> Granted | Underway | Rejected:
    if lease.request == request:
        if lease.state is LeaseState.PREPARING:
            return Underway(lease, lease.processes[0] if lease.processes else None)
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
        shares=tuple(_share(ledger, uuid, request) for uuid in chosen),
        created=now,
        clocks=_clocks(ledger, request, now),
    )


def _share(ledger: Ledger, device: DeviceUuid, request: Request) -> Share:
    baseline = unattributed(ledger.uses, device)
    return Share(device, ledger.devices[device].memory_domain, request.memory, baseline)


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
