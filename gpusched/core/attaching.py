"""Decides how a process comes under a lease, and takes note of how it went.

Three ways: moved into a cgroup of the lease's own; masked in place, where somebody else looks
after its cgroup; recorded by name only, where the daemon can make no cgroups.
"""

from dataclasses import replace

from gpusched.core.actions import (
    Action,
    Follow,
    Join,
    Observe,
    Prepare,
    Remask,
    TakeSample,
    WatchExit,
)
from gpusched.core.attachable import shared, unfit
from gpusched.core.cgroup_kind import encloses, stays
from gpusched.core.changes import Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.ending import going_back
from gpusched.core.enforcement import HELD, LeaseCgroup, Mode
from gpusched.core.enforcing import let_go, mask_for, usable_in, usable_of, without_program
from gpusched.core.events import JoinFailed, LeaseJoined, LeasePrepared, PrepareFailed, Unprepared
from gpusched.core.ids import Caller, Moment, ProcessId
from gpusched.core.lease import (
    EndReason,
    Lease,
    LeaseState,
    confirm,
    end,
    enter,
    prepare,
    prepared,
)
from gpusched.core.ledger import Ledger
from gpusched.core.replies import (
    Attachment,
    Done,
    Granted,
    Refusal,
    Rejected,
    Underway,
)
from gpusched.core.request import Enforce, Request
from gpusched.core.standing import Standing
from gpusched.core.story import attached, ended, enforcement, escaped, open_outside

NO_NODES = "no device nodes are known yet"


def cannot_hold(ledger: Ledger, request: Request) -> str | None:
    """Say why *request* cannot have the mask that it requires; None where it can."""
    if request.enforce is not Enforce.REQUIRED or request.confines_itself:
        return None
    if ledger.ability.level not in HELD:
        return ledger.ability.sentence
    return None if ledger.governed.ranges else NO_NODES


def begin(
    ledger: Ledger, lease: Lease, process: ProcessId | None, standing: Standing, caller: Caller
) -> tuple[Lease, tuple[Action, ...]] | Rejected:
    """Begin to attach the first process of a RESERVED lease, or a whole cgroup.

    Returns:
        The lease PREPARING, and what is asked for; or why it cannot be.
    """
    # An earlier daemon may have granted what this one, or this driver, cannot hold.
    if (why := cannot_hold(ledger, lease.request)) is not None:
        return Rejected(Refusal.NEVER_HERE, f"the mask of {lease.id} cannot be held: {why}")
    mode, path = _mode(ledger, process, standing)
    if mode is Mode.IN_PLACE:
        named = process is None
        refusal = unfit(ledger, path) or (shared(ledger, path, caller) if named else None)
        if refusal is not None:
            return refusal
    cgroup = _taken(ledger, standing, path) if mode is Mode.IN_PLACE else None
    here = [] if cgroup is None else usable_of(ledger, cgroup)
    order = Prepare(
        lease=lease.id,
        uid=lease.uid,
        mode=mode,
        process=process,
        cgroup=path,
        mask=mask_for(ledger, [*here, lease]),
        required=_needs_program(lease.request),
        only_uid=None if caller.admin else caller.uid,
    )
    return prepare(lease, process, standing.cgroup, cgroup), (order,)


def record(lease: Lease, process: ProcessId, why: str, now: Moment) -> Lease:
    """Attach by name only; *why* says what is not held."""
    level = without_program(lease.request)
    return replace(enter(lease, process, now), level=level, level_reason=why)


def join(
    ledger: Ledger, lease: Lease, process: ProcessId, caller: Caller, now: Moment
) -> Decision:
    """Attach another process to a lease that has some."""
    if process in lease.processes:
        sentence = f"process {process.pid} is attached already"
        return Decision(reply=Done((lease,), sentence))
    if lease.cgroup is None:
        entered = enter(lease, process, now)
        return Decision(
            (LeaseChanged(entered), attached(entered, process, now)),
            (WatchExit(process), TakeSample()),
            Done((entered,), attachment=Attachment(Mode.RECORD, (process,))),
        )
    mask = mask_for(ledger, usable_of(ledger, lease.cgroup))
    only_uid = None if caller.admin else caller.uid
    return Decision(
        (), (Join(lease.id, lease.cgroup, process, mask, only_uid),), Underway(lease, process)
    )


def lease_prepared(ledger: Ledger, event: LeasePrepared, now: Moment) -> Decision:
    """Make the lease ACTIVE: the kernel has its cgroup, and what is in it is the lease's."""
    lease = ledger.get(event.lease_id)
    if lease is None or lease.state is not LeaseState.PREPARING:
        # Nothing ends a lease that is being prepared, except the end of the daemon.
        return Decision()
    why = event.sentence or _why_not_held(ledger, lease)
    level = event.level if event.level in HELD else without_program(lease.request)
    active = prepared(lease, event.cgroup, level, why, now)
    changes: list[Change] = [LeaseChanged(active)]
    changes += [attached(active, one, now) for one in lease.processes]
    if event.sentence:
        changes.append(enforcement(lease.id, event.sentence, now))
    changes += _remarks(active, event.attachment, now)
    changes += _left_to_it(ledger, event.cgroup)
    reply = _answer(active, event.attachment)
    actions = (Follow(event.cgroup), *_put_right(ledger, active, event), TakeSample())
    return Decision(tuple(changes), actions, reply)


def unprepared(ledger: Ledger, event: Unprepared) -> Decision:
    """Take note that a cgroup of somebody else's is as it was before its leases."""
    changes = _left_to_it(ledger, event.cgroup)
    # The end of a preparation is confirmed by a look, that of others by a sample.
    back = any(going_back(one) for one in ledger.live())
    actions = (*((Observe(),) if back else ()), *((TakeSample(),) if changes else ()))
    return Decision(tuple(changes), actions)


def prepare_failed(ledger: Ledger, event: PrepareFailed, now: Moment) -> Decision:
    """End a lease that could not be made true, or go on without where it is only preferred."""
    lease = ledger.get(event.lease_id)
    if lease is None or lease.state is not LeaseState.PREPARING:
        return Decision()
    # A cgroup that it was to share may have become wider for it, or be left by the others.
    here = [] if lease.cgroup is None else ledger.in_cgroup(lease.cgroup.path)
    shared = any(one.entered is not None for one in here)
    undone = let_go(ledger, lease, kill=False) if shared else []
    if event.refused or _needs_program(lease.request) or not lease.processes:
        failed = end(lease, EndReason.PREPARE_FAILED, now, detail=event.sentence)
        over = confirm(failed, now)
        reply = Rejected(Refusal.WRONG_STATE, f"{lease.id} has ended: {event.sentence}")
        return Decision((LeaseChanged(over), ended(over, now)), tuple(undone), reply)
    process = lease.processes[0]
    active = prepared(lease, None, without_program(lease.request), event.sentence, now)
    changes = (
        LeaseChanged(active),
        attached(active, process, now),
        enforcement(lease.id, event.sentence, now),
    )
    reply_ = _answer(active, Attachment(Mode.RECORD, lease.processes))
    return Decision(changes, (*undone, WatchExit(process), TakeSample()), reply_)


def lease_joined(ledger: Ledger, event: LeaseJoined, now: Moment) -> Decision:
    """Take note of another process."""
    lease = ledger.get(event.lease_id)
    if lease is None or not lease.usable:
        failed = join_failed(JoinFailed(event.lease_id, "the lease ended meanwhile"))
        return replace(failed, actions=_too_late(ledger, lease))
    entered = enter(lease, event.process, now)
    changes: list[Change] = [LeaseChanged(entered), attached(entered, event.process, now)]
    changes += _remarks(entered, event.attachment, now)
    reply = Done((entered,), attachment=event.attachment)
    return Decision(tuple(changes), (TakeSample(),), reply)


def join_failed(event: JoinFailed) -> Decision:
    """Say why a process is not under the lease; the lease is as it was."""
    sentence = f"{event.lease_id}: {event.sentence}"
    return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))


def _mode(ledger: Ledger, process: ProcessId | None, standing: Standing) -> tuple[Mode, str]:
    """Say how, and the cgroup that is taken in place or left."""
    if process is None or stays(standing.cgroup):
        return Mode.IN_PLACE, standing.cgroup
    # One process with two leases stays where it is: moved away, it would leave the first.
    for path in ledger.cgroups():
        inside = standing.cgroup == path or encloses(path, standing.cgroup)
        if inside and any(process in one.processes for one in usable_in(ledger, path)):
            return Mode.IN_PLACE, path
    return Mode.MOVE, standing.cgroup


def _needs_program(request: Request) -> bool:
    return request.enforce is Enforce.REQUIRED and not request.confines_itself


def _taken(ledger: Ledger, standing: Standing, path: str) -> LeaseCgroup:
    """Name the cgroup that is taken in place: another lease's, or nobody's of ours."""
    known = [one.cgroup for one in ledger.in_cgroup(path) if one.cgroup is not None]
    if path == standing.cgroup:  # else it lies above, and what is known of it holds
        known = [one for one in known if one.inode == standing.inode]
    return known[-1] if known else LeaseCgroup(path, standing.inode, made=False)


def _put_right(ledger: Ledger, active: Lease, event: LeasePrepared) -> list[Action]:
    """Mask a cgroup in place again: other leases in it may have ended in the meantime."""
    if event.attachment.mode is not Mode.IN_PLACE or event.level not in HELD:
        return []
    others = [one for one in usable_of(ledger, event.cgroup) if one.id != active.id]
    mask = mask_for(ledger, [*others, active])
    return [] if mask is None else [Remask(event.cgroup, mask)]


def _left_to_it(ledger: Ledger, cgroup: LeaseCgroup) -> list[Change]:
    """Let go of somebody else's cgroup the leases that end there."""
    ending = [one for one in ledger.in_cgroup(cgroup.path) if not one.usable]
    return [
        LeaseChanged(replace(one, cgroup=None))
        for one in ending
        if one.cgroup == cgroup and not cgroup.made
    ]


def _too_late(ledger: Ledger, lease: Lease | None) -> tuple[Action, ...]:
    """Deny the devices to a process that came into a cgroup of ours after its lease had ended."""
    if lease is None or lease.cgroup is None or not lease.cgroup.made:
        return ()
    denied = [] if lease.clocks.kill is not None else let_go(ledger, lease, kill=False)
    return (*denied, Follow(lease.cgroup))


def _why_not_held(ledger: Ledger, lease: Lease) -> str:
    if lease.request.enforce is Enforce.ADVISORY:
        return "the request asked for an advisory mask"
    return "" if ledger.governed.ranges else NO_NODES


def _answer(lease: Lease, attachment: Attachment) -> Granted | Done:
    if lease.request.attach_caller:
        return Granted(lease, attachment=attachment)
    return Done((lease,), attachment=attachment)


def _remarks(lease: Lease, attachment: Attachment, now: Moment) -> list[Change]:
    changes: list[Change] = []
    if attachment.escaped:
        changes.append(escaped(lease, attachment.escaped, now))
    if attachment.open_outside:
        changes.append(open_outside(lease, attachment.open_outside, now))
    return changes
