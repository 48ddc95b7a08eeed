"""Decides on an operator's verbs on devices and the driver, and on the leases that marks end."""

from collections.abc import Iterator
from dataclasses import replace

from gpusched.core.actions import ReleaseDriver, ResumeDriver, TakeSample
from gpusched.core.changes import Change, DriverReleased, MarksChanged, NoticeGiven, StoryTold
from gpusched.core.decision import Decision
from gpusched.core.ending import Manner
from gpusched.core.ids import Caller, DeviceUuid, Instant, Moment
from gpusched.core.lease import EndReason, Lease
from gpusched.core.ledger import Ledger
from gpusched.core.mark_story import (
    cordoned,
    driver_released,
    driver_resumed,
    taint_cleared,
    uncordoned,
)
from gpusched.core.marked import leases_on, marks_of_share
from gpusched.core.marks import UNMARKED, Cordon, Marks, TaintEffect
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.operator_events import (
    CordonRequested,
    DrainRequested,
    OperatorEvent,
    ReleaseDriverRequested,
    ResumeDriverRequested,
    UncordonRequested,
)
from gpusched.core.replies import NOT_ADMIN, Done, Refusal, Rejected

NO_REASON = Rejected(
    Refusal.BAD_REQUEST, "reason: is empty: say why, everyone is shown it", "reason"
)


def operated(ledger: Ledger, event: OperatorEvent, now: Moment) -> Decision:
    """Decide on what an operator asks."""
    if not event.caller.admin:
        return Decision(reply=NOT_ADMIN)
    match event:
        case CordonRequested():
            return _cordon(ledger, event, now)
        case DrainRequested():
            return _drain(ledger, event, now)
        case UncordonRequested():
            return _uncordon(ledger, event, now)
        case ReleaseDriverRequested():
            return _release(ledger, event, now)
        case _:
            return _resume(ledger, event, now)


def ends(ledger: Ledger, lease: Lease, now: Moment) -> Manner | None:
    """Say how a lease ends now because of a mark on one of its devices; None: it does not."""
    for share in lease.shares:
        for marks in marks_of_share(ledger, share):
            manner = _by_drain(marks, now) or _by_taint(ledger, marks, now)
            if manner is not None:
                return manner
    return None


def deadlines(ledger: Ledger) -> Iterator[Instant]:
    """Give the instants at which marks end leases."""
    for marks in ledger.marks.values():
        if marks.cordon is not None and marks.cordon.deadline is not None:
            yield marks.cordon.deadline


def after_boot(ledger: Ledger, now: Moment) -> list[Change]:
    """Give what a boot leaves of marks: the GPUs were started anew, an operator's word stands.

    Instants count from the boot, so those of a cordon are brought to this one's.
    """
    changes: list[Change] = []
    for device, marks in ledger.marks.items():
        cordon = None if marks.cordon is None else _rebased(marks.cordon, now)
        changes.append(MarksChanged(device, Marks(cordon)))
        changes += [taint_cleared(device, one.key, "a boot", now) for one in marks.taints]
    if ledger.released is not None:
        changes += [DriverReleased(None), driver_resumed("a boot", now)]
    return changes


def _cordon(ledger: Ledger, event: CordonRequested, now: Moment) -> Decision:
    if not event.reason.strip():
        return Decision(reply=NO_REASON)
    before = ledger.marks_of(event.device).cordon
    if before is not None and before.reason == event.reason:
        return Decision(reply=Done((), f"{event.device} is cordoned already"))
    fresh = _fresh(event.caller, event.reason, now)
    if before is not None:
        fresh = replace(fresh, deadline=before.deadline, in_place=before.in_place)
    return Decision(_marked(ledger, event.device, fresh, now), reply=Done(()))


def _drain(ledger: Ledger, event: DrainRequested, now: Moment) -> Decision:
    if not event.reason.strip():
        return Decision(reply=NO_REASON)
    before = ledger.marks_of(event.device).cordon
    leases = tuple(leases_on(ledger, event.device))
    deadline = None if before is None else before.deadline
    if event.time is not None or deadline is None:
        time = ledger.policy.drain_deadline if event.time is None else event.time
        deadline = Instant(now.instant + time)
    fresh = replace(
        _fresh(event.caller, event.reason, now),
        deadline=deadline,
        in_place=event.signal_in_place,
    )
    if before is not None and replace(before, uid=fresh.uid, user=fresh.user, at=now) == fresh:
        return Decision(reply=Done(leases, f"{event.device} is drained already"))
    notices = [_notice(lease, event.device, fresh, deadline, now) for lease in leases]
    marked = _marked(ledger, event.device, fresh, now)
    return Decision((*marked, *notices), (TakeSample(),), Done(leases))


def _uncordon(ledger: Ledger, event: UncordonRequested, now: Moment) -> Decision:
    before = ledger.marks_of(event.device)
    if before.none:
        return Decision(reply=Done((), f"{event.device} has no mark"))
    who = event.caller.user or f"uid {event.caller.uid}"
    changes: list[Change] = [MarksChanged(event.device, UNMARKED)]
    if before.cordon is not None:
        changes.append(uncordoned(event.device, who, now))
    changes += [
        taint_cleared(event.device, one.key, f"{who} uncordoned it", now) for one in before.taints
    ]
    return Decision(tuple(changes), reply=Done(()))


def _release(ledger: Ledger, event: ReleaseDriverRequested, now: Moment) -> Decision:
    if ledger.released is not None:
        return Decision(reply=Done((), "the driver has been let go already"))
    who = event.caller.user or f"uid {event.caller.uid}"
    told = driver_released(who, event.reason, now)
    return Decision((DriverReleased(event.reason), told), (ReleaseDriver(),), Done(()))


def _resume(ledger: Ledger, event: ResumeDriverRequested, now: Moment) -> Decision:
    if ledger.released is None:
        return Decision(reply=Done((), "the driver is not let go"))
    who = event.caller.user or f"uid {event.caller.uid}"
    changes = (DriverReleased(None), driver_resumed(who, now))
    return Decision(changes, (ResumeDriver(), TakeSample()), Done(()))


def _fresh(caller: Caller, reason: str, now: Moment) -> Cordon:
    return Cordon(reason, caller.uid, caller.user, now)


def _marked(
    ledger: Ledger, device: DeviceUuid, cordon: Cordon, now: Moment
) -> tuple[MarksChanged, StoryTold]:
    marks = replace(ledger.marks_of(device), cordon=cordon)
    return MarksChanged(device, marks), cordoned(device, cordon, now)


def _notice(
    lease: Lease, device: DeviceUuid, cordon: Cordon, deadline: Instant, now: Moment
) -> NoticeGiven:
    return NoticeGiven(
        Notice(
            lease=lease.id,
            kind=NoticeKind.DRAIN,
            sentence=f"{device} is drained: {cordon.reason}",
            at=now,
            action=NoticeAction.END,
            action_at=deadline,
            device=device,
        )
    )


def _by_drain(marks: Marks, now: Moment) -> Manner | None:
    cordon = marks.cordon
    if cordon is None or cordon.deadline is None or cordon.deadline > now.instant:
        return None
    return Manner(EndReason.DRAINED, cordon.reason, kill=True, in_place=cordon.in_place)


def _by_taint(ledger: Ledger, marks: Marks, now: Moment) -> Manner | None:
    for taint in marks.taints:
        noticed = now.instant - taint.at.instant >= ledger.policy.grace
        if taint.effect is TaintEffect.EVICT and noticed:
            return Manner(EndReason.DEVICE_FAILED, taint.reason, kill=True)
    return None


def _rebased(cordon: Cordon, now: Moment) -> Cordon:
    # A clock that stands too early, as before it is set over the network, tells no age.
    age = max(0, now.wall - cordon.at.wall)
    at = Moment(Instant(now.instant - age), cordon.at.wall)
    if cordon.deadline is None:
        return replace(cordon, at=at)
    return replace(
        cordon, at=at, deadline=Instant(cordon.deadline - cordon.at.instant + at.instant)
    )
