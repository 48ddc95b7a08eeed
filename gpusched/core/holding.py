"""Decides on the verbs of a holder and of an operator on leases. Each can be repeated."""

from collections.abc import Collection
from dataclasses import replace

from gpusched.core.actions import Action, TakeSample, WatchExit
from gpusched.core.attachable import foreign
from gpusched.core.attaching import begin as begin_attach
from gpusched.core.attaching import cannot_hold, join, record
from gpusched.core.cgroup_kind import encloses, stays
from gpusched.core.changes import Change, GhostChanged, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.ending import Manner, begin, kills
from gpusched.core.enforcement import Mode
from gpusched.core.enforcing import usable_in
from gpusched.core.events import (
    AttachRequested,
    CancelRequested,
    ForgetRequested,
    ReleaseRequested,
    RenewRequested,
    RevokeRequested,
)
from gpusched.core.idle import keep
from gpusched.core.ids import Caller, Instant, LeaseId, Moment, ProcessId, RequestId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.leaving import cancelled
from gpusched.core.ledger import Ledger
from gpusched.core.replies import NOT_ADMIN, Attachment, Done, Refusal, Rejected, Underway
from gpusched.core.story import REASONS, attached, ghost_gone


def attach(ledger: Ledger, event: AttachRequested, now: Moment) -> Decision:
    """Put a process into a lease; a process that is in it already is a success."""
    lease = find(ledger, event.caller, event.lease_id)
    if isinstance(lease, Rejected):
        return Decision(reply=lease)
    if not lease.usable or lease.state is LeaseState.PREPARING:
        return Decision(reply=_over(lease))
    refusal = foreign(event.caller, event.standing)
    if refusal is not None:
        return Decision(reply=refusal)
    return _taken_in(ledger, lease, event, now)


def _taken_in(ledger: Ledger, lease: Lease, event: AttachRequested, now: Moment) -> Decision:
    if lease.state is LeaseState.ACTIVE:
        return _join(ledger, lease, event, now)
    if not ledger.ability.cgroups:
        return _recorded(ledger, lease, event, now)
    begun = begin_attach(ledger, lease, event.process, event.standing, event.caller)
    if isinstance(begun, Rejected):
        return Decision(reply=begun)
    preparing, actions = begun
    return Decision((LeaseChanged(preparing),), actions, Underway(preparing, event.process))


def _join(ledger: Ledger, lease: Lease, event: AttachRequested, now: Moment) -> Decision:
    known = event.process in lease.processes
    if event.process is not None and (known or not _elsewhere(lease, event.standing.cgroup)):
        return join(ledger, lease, event.process, event.caller, now)
    if lease.cgroup is not None and lease.cgroup.path == event.standing.cgroup:
        return Decision(reply=Done((lease,), f"{event.standing.cgroup} is attached already"))
    sentence = (
        f"{lease.id} is in use elsewhere; allocate another lease for {event.standing.cgroup}"
    )
    return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))


def _elsewhere(lease: Lease, cgroup: str) -> bool:
    """Say whether a process of a container or unit would have to be moved out of that."""
    if lease.cgroup is None or not lease.cgroup.made or not stays(cgroup):
        return False
    return cgroup != lease.cgroup.path and not encloses(lease.cgroup.path, cgroup)


def _recorded(ledger: Ledger, lease: Lease, event: AttachRequested, now: Moment) -> Decision:
    if event.process is None:
        sentence = f"no cgroup can be attached here: {ledger.ability.sentence}"
        return Decision(reply=Rejected(Refusal.NEVER_HERE, sentence))
    if (why := cannot_hold(ledger, lease.request)) is not None:
        sentence = f"the mask of {lease.id} cannot be held: {why}"
        return Decision(reply=Rejected(Refusal.NEVER_HERE, sentence))
    entered = record(lease, event.process, ledger.ability.sentence, now)
    return Decision(
        (LeaseChanged(entered), attached(entered, event.process, now)),
        (WatchExit(event.process), TakeSample()),
        Done((entered,), attachment=Attachment(Mode.RECORD, (event.process,))),
    )


def renew(ledger: Ledger, event: RenewRequested, now: Moment) -> Decision:
    """Start the keepalive of a lease anew, and keep it though it was reported to be idle."""
    lease = find(ledger, event.caller, event.lease_id)
    if isinstance(lease, Rejected):
        return Decision(reply=lease)
    if not lease.usable:
        return Decision(reply=_over(lease))
    keepalive = lease.request.keepalive or ledger.policy.keepalive
    renewed, told = (lease, ()) if event.automatic else keep(ledger, lease, now)
    if keepalive is not None and lease.clocks.keepalive is not None:
        clocks = replace(lease.clocks, keepalive=Instant(now.instant + keepalive))
        renewed = replace(renewed, clocks=clocks)
    if renewed is lease:
        return Decision(reply=Done((lease,), f"{lease.id} needs no renewal: it has no keepalive"))
    return Decision((LeaseChanged(renewed), *told), reply=Done((renewed,)))


def release(ledger: Ledger, event: ReleaseRequested, now: Moment) -> Decision:
    """Give back one lease, or all of an owner; what ends already is a success."""
    if event.lease_id is None:
        leases = [one for one in ledger.live() if _owned(one, event)]
    else:
        lease = find(ledger, event.caller, event.lease_id)
        if isinstance(lease, Rejected):
            return Decision(reply=lease)
        leases = [lease]
    along = frozenset(one.id for one in leases if one.usable)
    for lease in leases:
        refusal = _cannot_release(ledger, lease, event, along)
        if refusal is not None:
            return Decision(reply=Rejected(Refusal.WRONG_STATE, refusal))
    manner = Manner(EndReason.RELEASED, kill=event.kill, grace=event.grace)
    return _ended(ledger, leases, manner, now)


def revoke(ledger: Ledger, event: RevokeRequested, now: Moment) -> Decision:
    """End a lease as an operator; its processes are ended where gpusched made their cgroup."""
    if not event.caller.admin:
        return Decision(reply=NOT_ADMIN)
    lease = find(ledger, event.caller, event.lease_id)
    if isinstance(lease, Rejected):
        return Decision(reply=lease)
    if lease.state is LeaseState.PREPARING:
        return Decision(reply=_over(lease))
    manner = Manner(
        EndReason.REVOKED,
        detail=event.reason,
        kill=True,
        grace=event.grace,
        in_place=event.signal_in_place,
    )
    return _ended(ledger, [lease], manner, now)


def forget(ledger: Ledger, event: ForgetRequested, now: Moment) -> Decision:
    """Stop waiting for the ghost memory of a device; one without any is a success."""
    if not event.caller.admin:
        return Decision(reply=NOT_ADMIN)
    if event.device not in ledger.ghosts:
        return Decision(reply=Done((), "there is no ghost memory"))
    told = ghost_gone(event.device, f"{event.caller.user or event.caller.uid} forgot it", now)
    return Decision((GhostChanged(event.device, None), told), reply=Done(()))


def cancel(ledger: Ledger, event: CancelRequested, now: Moment) -> Decision:
    """Withdraw a request: it waits no longer, or its lease ends if nobody has used it yet."""
    waiting = ledger.waiting.get((event.caller.uid, event.request_id))
    if waiting is not None:
        return cancelled(waiting, event.caller, now)
    lease = ledger.by_request(event.caller.uid, event.request_id)
    if lease is None:
        return Decision(reply=no_request(event.caller, event.request_id))
    if lease.state is not LeaseState.RESERVED:
        sentence = (
            f"{event.request_id!r} was granted and is in use as {lease.id};"
            f" `gpusched release {lease.id}` ends it"
        )
        return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))
    return _ended(ledger, [lease], Manner(EndReason.CANCELLED), now)


def find(ledger: Ledger, caller: Caller, lease_id: LeaseId) -> Lease | Rejected:
    """Find a lease that *caller* may end or change."""
    lease = ledger.get(lease_id)
    if lease is None:
        sentence = f"there is no lease {lease_id}; see `gpusched leases`"
        return Rejected(Refusal.NOT_FOUND, sentence)
    if lease.uid != caller.uid and not caller.admin:
        return Rejected(Refusal.NOT_ALLOWED, not_yours(ledger, lease, caller))
    return lease


def no_request(caller: Caller, name: RequestId) -> Rejected:
    """Say that *caller* has no such request; one of somebody else is not found by its id."""
    sentence = (
        f"no request {name!r} of uid {caller.uid} waits or holds a lease;"
        " `gpusched leases` lists who waits"
    )
    return Rejected(Refusal.NOT_FOUND, sentence)


def not_yours(ledger: Ledger, lease: Lease, caller: Caller) -> str:
    """Say that *lease* is somebody else's; whose, where the caller may know."""
    whose = f"{lease.user or lease.uid}" if ledger.policy.others.uid else "another user"
    return f"{lease.id} belongs to {whose}, not to uid {caller.uid}"


def _ended(ledger: Ledger, leases: list[Lease], manner: Manner, now: Moment) -> Decision:
    changes: list[Change] = []
    actions: list[Action] = []
    after: list[Lease] = []
    along = frozenset(one.id for one in leases if one.usable)
    for lease in leases:
        if not lease.usable:
            after.append(lease)
            continue
        ends = begin(ledger, lease, manner, now, along=along)
        after.append(ends.lease)
        changes += ends.changes
        actions += [one for one in ends.actions if one not in actions]
    settling = any(one.live for one in after)
    sentence = "" if changes else _nothing_to_end(after)
    if settling and changes:
        actions.append(TakeSample())
    return Decision(tuple(changes), tuple(actions), Done(tuple(after), sentence))


def _nothing_to_end(leases: list[Lease]) -> str:
    if not leases:
        return "there is no such lease: nothing to release"
    return "; ".join(f"{one.id} {_how(one)} already" for one in leases)


def _over(lease: Lease) -> Rejected:
    if lease.state is LeaseState.PREPARING:
        sentence = f"{lease.id} is being prepared; repeat it in a moment"
        return Rejected(Refusal.WRONG_STATE, sentence)
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


def _cannot_release(
    ledger: Ledger, lease: Lease, event: ReleaseRequested, along: Collection[LeaseId]
) -> str | None:
    """Say why a lease is not released together with those *along*; None where it can be."""
    if not lease.usable:
        return None
    if lease.state is LeaseState.PREPARING:
        return f"{lease.id} is being prepared; repeat it in a moment"
    alive = _others(ledger, lease, event.caller.process)
    if not alive:
        return None
    pids = ", ".join(str(one.pid) for one in alive)
    in_place = lease.cgroup is not None and not lease.cgroup.made
    if event.kill:
        # In place it is unmasked, and its processes are left alone.
        ours = in_place or kills(ledger, lease, along)
        what = f"{lease.id} is in use by {pids}, {_not_ours(ledger, lease)}; end them yourself"
        return None if ours else what
    how = ""
    if in_place:
        how = f", `gpusched release {lease.id} --kill` takes its mask off and leaves them alone"
    elif kills(ledger, lease):
        how = f", `gpusched release {lease.id} --kill` ends them"
    return f"{lease.id} is in use by {pids}; it ends by itself with the last of them{how}"


def _not_ours(ledger: Ledger, lease: Lease) -> str:
    """Say why gpusched does not end the processes of *lease*."""
    if lease.cgroup is None:
        return "which are known by name only and not in a cgroup of gpusched's"
    others = [one.id for one in usable_in(ledger, lease.cgroup.path) if one.id != lease.id]
    return f"which {', '.join(others)} have too"
