"""Decides on leases that give way to requests of a higher class: told first, and ended in time."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.changes import Change, LeaseChanged, NoticeGiven
from gpusched.core.ending import Manner
from gpusched.core.entitlement import hindrance
from gpusched.core.giving_way import GivingWay
from gpusched.core.hold import Holds
from gpusched.core.ids import Instant, Moment
from gpusched.core.lease import EndReason, Lease
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.preemption import LEASED, those_who_give_way
from gpusched.core.queue_story import gives_way, stays
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.tenants import who_waits
from gpusched.core.verdicts import verdict_on
from gpusched.core.waiting import Waiting

_PASSES = (*LEASED, Obstacle.SETTLING, Obstacle.STARTING, Obstacle.UNREAD, None)
"""What is in the way on a device of a lease whose end may be of use: it goes with the lease, or
soon. A reading that fails is no reason to begin the notice anew."""


def may_preempt(ledger: Ledger) -> bool:
    """Say whether any lease is of a class that gives way to one in which somebody waits."""
    rules = ledger.policy.queue
    highest = max((rules.class_of(one).value for one in ledger.waiting.classes()), default=0)
    return rules.preemption and any(
        its.preemptible and its.value < highest for its in map(rules.class_of, ledger.classes())
    )


def made_way(
    ledger: Ledger, waiting: Waiting, verdicts: Sequence[Verdict], holds: Holds, now: Moment
) -> list[Change]:
    """Tell those who have to give way to a request that they end; nobody, where none has to.

    Args:
        ledger: The record.
        waiting: The request.
        verdicts: Of all devices, as if nobody waited.
        holds: What is kept for those before it.
        now: When.
    """
    rules = ledger.policy.queue
    if not rules.preemption or ledger.gives_way_to(waiting.key):
        return []
    changes: list[Change] = []
    for lease in those_who_give_way(ledger, waiting.classed, waiting.order, verdicts, holds):
        way = GivingWay(waiting.key, Instant(now.instant + rules.notice))
        told = gives_way(lease, waiting, who_waits(ledger, waiting), rules.notice, now)
        what = told.line.sentence
        notice = Notice(lease.id, NoticeKind.PREEMPTION, what, now, NoticeAction.END, way.deadline)
        changes += [LeaseChanged(replace(lease, giving_way=way)), told, NoticeGiven(notice)]
    return changes


def preempted(ledger: Ledger, lease: Lease, now: Moment) -> Manner | None:
    """Say how a lease ends now that gives way; None: it does not, or not yet."""
    way = lease.giving_way
    waiting = None if way is None else ledger.waiting.get(way.key)
    if way is None or waiting is None or way.deadline > now.instant:
        return None
    detail = f"{who_waits(ledger, waiting)} waits for it in the class {waiting.priority}"
    in_place = ledger.policy.overuse.in_place
    return Manner(EndReason.PREEMPTED, detail, kill=True, in_place=in_place)


def spared(ledger: Ledger, now: Moment) -> list[Change]:
    """Let those stay whose place nobody waits for any more; of who has ended nothing is kept."""
    changes: list[Change] = []
    for lease in ledger.making_way():
        way = lease.giving_way
        waiting = None if way is None else ledger.waiting.get(way.key)
        if waiting is None or (lease.usable and not _helps(ledger, lease, waiting, now.instant)):
            changes.append(LeaseChanged(replace(lease, giving_way=None)))
            changes += [stays(lease, now)] if lease.usable else []
    return changes


def _helps(ledger: Ledger, lease: Lease, waiting: Waiting, now: Instant) -> bool:
    """Say whether the end of a lease may still be of use to a request."""
    if not ledger.policy.queue.preemption:
        return False
    if hindrance(ledger, waiting.caller, waiting.request, now) is not None:
        return False
    devices = [ledger.devices.get(share.device) for share in lease.shares]
    # Before the first reading after a start no device is known: that is no reason either.
    return any(
        one is None
        or verdict_on(one, ledger, waiting.request, now, waiting.uid).obstacle in _PASSES
        for one in devices
    )
