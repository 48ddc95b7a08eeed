"""Decides on the verbs of a holder: attach, renew, release, cancel. Each can be repeated."""

from dataclasses import replace

from gpusched.core.actions import TakeSample, WatchExit
from gpusched.core.changes import Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.events import (
    AttachRequested,
    CancelRequested,
    ReleaseRequested,
    RenewRequested,
)
from gpusched.core.ids import Caller, Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState, end, enter
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Done, Refusal, Rejected
from gpusched.core.story import REASONS, attached, ended, ending


def attach(ledger: Ledger, event: AttachRequested, now: Moment) -> Decision:
    """Put a process into a lease; a process that is in it already is a success."""
    lease = find(ledger, event.caller, event.lease_id)
    if isinstance(lease, Rejected):
        return Decision(reply=lease)
    if not lease.usable:
        return Decision(reply=_over(lease))
    if not event.caller.admin and set(event.uids) != {event.caller.uid}:
        sentence = (
            f"process {event.process.pid} has uids {', '.join(map(str, event.uids))};"
            f" uid {event.caller.uid} may attach only its own processes"
        )
        return Decision(reply=Rejected(Refusal.NOT_ALLOWED, sentence))
    if event.process in lease.processes:
        return Decision(reply=Done((lease,), f"process {event.process.pid} is attached already"))
    entered = enter(lease, event.process, now)
    return Decision(
        (LeaseChanged(entered), attached(entered, event.process, now)),
        (WatchExit(event.process), TakeSample()),
        Done((entered,)),
    )


def renew(ledger: Ledger, event: RenewRequested, now: Moment) -> Decision:
    """Start the keepalive of a lease anew; one without keepalive needs none."""
    lease = find(ledger, event.caller, event.lease_id)
    if isinstance(lease, Rejected):
        return Decision(reply=lease)
    if not lease.usable:
        return Decision(reply=_over(lease))
    keepalive = lease.request.keepalive or ledger.policy.keepalive
    if keepalive is None or lease.clocks.keepalive is None:
        return Decision(reply=Done((lease,), f"{lease.id} needs no renewal: it has no keepalive"))
    clocks = replace(lease.clocks, keepalive=Instant(now.instant + keepalive))
    renewed = replace(lease, clocks=clocks)
    return Decision((LeaseChanged(renewed),), reply=Done((renewed,)))


def release(ledger: Ledger, event: ReleaseRequested, now: Moment) -> Decision:
    """Give back one lease, or all of an owner; what ends already is a success."""
    if event.lease_id is None:
        leases = [one for one in ledger.live() if _owned(one, event)]
    else:
        lease = find(ledger, event.caller, event.lease_id)
        if isinstance(lease, Rejected):
            return Decision(reply=lease)
        leases = [lease]
    for lease in leases:
        alive = _others(ledger, lease, event.caller.process)
        if lease.usable and alive:
            return Decision(reply=_in_use(lease, alive))
    return _ended(leases, EndReason.RELEASED, now)


def cancel(ledger: Ledger, event: CancelRequested, now: Moment) -> Decision:
    """Withdraw a request: what it was granted ends, if nobody has used it yet."""
    lease = ledger.by_request(event.caller.uid, event.request_id)
    if lease is None:
        sentence = f"no request {event.request_id!r} of uid {event.caller.uid} is waiting or held"
        return Decision(reply=Rejected(Refusal.NOT_FOUND, sentence))
    if lease.state is not LeaseState.RESERVED:
        sentence = (
            f"{event.request_id!r} was granted and is in use as {lease.id};"
            f" `gpusched release {lease.id}` ends it"
        )
        return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))
    return _ended([lease], EndReason.CANCELLED, now)


def find(ledger: Ledger, caller: Caller, lease_id: LeaseId) -> Lease | Rejected:
    """Find a lease that *caller* may end or change."""
    lease = ledger.get(lease_id)
    if lease is None:
        sentence = f"there is no lease {lease_id}; see `gpusched leases`"
        return Rejected(Refusal.NOT_FOUND, sentence)
    if lease.uid != caller.uid and not caller.admin:
        sentence = f"{lease_id} belongs to {lease.user or lease.uid}, not to uid {caller.uid}"
        return Rejected(Refusal.NOT_ALLOWED, sentence)
    return lease


def _ended(leases: list[Lease], reason: EndReason, now: Moment) -> Decision:
    changes: list[Change] = []
    after: list[Lease] = []
    for lease in leases:
        if not lease.usable:
            after.append(lease)
            continue
        done = end(lease, reason, now)
        after.append(done)
        told = ending if done.live else ended
        changes += [LeaseChanged(done), told(done, now)]
    settling = any(one.live for one in after)
    sentence = "" if changes else _nothing_to_end(after)
    actions = (TakeSample(),) if settling and changes else ()
    return Decision(tuple(changes), actions, Done(tuple(after), sentence))


def _nothing_to_end(leases: list[Lease]) -> str:
    if not leases:
        return "there is no such lease: nothing to release"
    return "; ".join(f"{one.id} {_how(one)} already" for one in leases)


def _over(lease: Lease) -> Rejected:
    why = "" if lease.reason is None else f": {REASONS[lease.reason]}"
    return Rejected(Refusal.WRONG_STATE, f"{lease.id} {_how(lease)}{why}")


def _how(lease: Lease) -> str:
    return "ends" if lease.live else "has ended"


def _owned(lease: Lease, event: ReleaseRequested) -> bool:
    owner = lease.request.owner
    mine = lease.uid == event.caller.uid or event.caller.admin
    return mine and owner is not None and owner.reference == event.owner


def _others(ledger: Ledger, lease: Lease, caller: ProcessId | None) -> list[ProcessId]:
    """Give the lease's living processes beside the one that asks to release it."""
    if ledger.sample is None:
        return []
    return sorted(one for one in ledger.sample.members.get(lease.id, ()) if one != caller)


def _in_use(lease: Lease, alive: list[ProcessId]) -> Rejected:
    pids = ", ".join(str(one.pid) for one in alive)
    sentence = f"{lease.id} is in use by {pids}; it ends by itself with the last of them"
    return Rejected(Refusal.WRONG_STATE, sentence)
