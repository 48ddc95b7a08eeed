"""Decides on leases that do not use their devices: told, and where the policy says so ended.

A lease is idle while, of each of its devices, samples show no process of it there, or, where it
has the device for itself, a utilization of 0. What is known: processes are told apart by lease.
Utilization is the device's (NVML: percent of the last fraction of a second in which a kernel ran)
and says nothing of who ran it, so it speaks for a lease only where that has the whole device: 0
then means that it ran nothing, more than 0 may be a stray's and counts as use. MIG instances have
none. What cannot be read is neither idle nor in use: the count stands still.

Where the count lies: in the ledger, and in the lease's row once it has lasted `WRITTEN_AFTER`. A
worker whose utilization comes and goes costs no commits, and a restart forgets no more than that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpusched.core.attribution import DeviceUse, ProcessKind
from gpusched.core.changes import Change, IdleSeen, NoticeGiven
from gpusched.core.durations import in_words
from gpusched.core.ending import Manner
from gpusched.core.idle_story import idle_for, kept, reported, used_again
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.sample import NodeSample, Reading, Unavailable
from gpusched.core.share import Share

WRITTEN_AFTER = 300 * SECOND
"""Idle time of that length, in nanoseconds, survives a restart."""

NOT_LOOKED = Unavailable("no sample was begun since a process entered")

Uses = Mapping[DeviceUuid, DeviceUse]


@dataclass(slots=True)
class Watched:
    """What a sample says of the idleness of all leases.

    Attributes:
        idle: Of each lease that is idle, since when.
        leases: New versions of those whose rows say something else.
        ends: How the leases are to end that are ended for it.
        changes: What is told of it.
    """

    idle: dict[LeaseId, Idle] = field(default_factory=dict)
    leases: dict[LeaseId, Lease] = field(default_factory=dict)
    ends: dict[LeaseId, Manner] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


def watch(
    ledger: Ledger, leases: Iterable[Lease], sample: NodeSample, uses: Uses, now: Moment
) -> Watched:
    """Look which leases are idle, tell of those that are so for long, and choose who ends for it.

    Args:
        ledger: The record.
        leases: The live ones, as this tick has them.
        sample: What was read.
        uses: What it shows of each device.
        now: When.
    """
    found = Watched()
    for lease in leases:
        if not lease.usable or lease.state is not LeaseState.ACTIVE or not lease.shares:
            continue
        before = idle_of(ledger, lease)
        after = _next(before, _seen(lease, sample, uses), ledger.ticked_at, now)
        if after is not None:
            after = _answered(ledger, lease, after, now, found)
            found.idle[lease.id] = after
        elif before is not None and before.reported:
            found.changes.append(used_again(lease, before, now))
        if (row := _row(lease, after, now)) != lease.idle:
            found.leases[lease.id] = replace(lease, idle=row)
    if found.idle != ledger.idle:
        found.changes.append(IdleSeen(found.idle))
    return found


def idle_of(ledger: Ledger, lease: Lease) -> Idle | None:
    """Say how long a lease has been idle; None: it is not, or that is not known."""
    return ledger.idle.get(lease.id, lease.idle)


def stood_still(ledger: Ledger, by: int, now: Moment) -> list[Change]:
    """Take note that nothing was read for *by* nanoseconds; rows are extended with the clocks."""
    idle = {lease: one.extended(by, now.instant) for lease, one in ledger.idle.items()}
    return [IdleSeen(idle)] if idle != ledger.idle else []


def keep(ledger: Ledger, lease: Lease, now: Moment) -> tuple[Lease, tuple[Change, ...]]:
    """Keep a lease though it is idle; the same object where its holder has not been told of it.

    What was renewed before it was told does not count: clients renew a keepalive by themselves.
    """
    idle = idle_of(ledger, lease)
    if idle is None or not idle.reported:
        return lease, ()
    # The time since the last sample has not been shown yet.
    until = now.instant if ledger.ticked_at is None else ledger.ticked_at
    after = replace(idle, kept=idle.time(until), reported=False, deadline=None)
    changes = (IdleSeen({**ledger.idle, lease.id: after}), kept(lease, idle, now))
    return replace(lease, idle=after), changes


def _next(
    before: Idle | None, seen: Reading[IdleKind | None], last: Instant | None, now: Moment
) -> Idle | None:
    """Give the idleness after a sample; *last*: when the one before was taken."""
    if isinstance(seen, Unavailable):
        return None if before is None else before.stopping(now.instant if last is None else last)
    if seen is None:
        return None
    return Idle(seen, now) if before is None else before.shown(seen, now.instant)


def _seen(lease: Lease, sample: NodeSample, uses: Uses) -> Reading[IdleKind | None]:
    """Say what is missing on the devices of a lease; None: nothing, it uses one of them."""
    if lease.entered is None or sample.begun_at <= lease.entered.instant:
        return NOT_LOOKED
    found: Reading[IdleKind | None] = IdleKind.NO_PROCESS
    for share in lease.shares:
        one = _seen_on(lease, share, uses.get(share.device))
        if one is None:
            return None
        if isinstance(one, Unavailable) or found is IdleKind.NO_PROCESS:
            found = one
    return found


def _seen_on(lease: Lease, share: Share, use: DeviceUse | None) -> Reading[IdleKind | None]:
    if use is None:
        return Unavailable("the device was not read")
    doubt: Unavailable | None = None
    mine = False
    if isinstance(use.processes, Unavailable):
        doubt = use.processes
    else:
        mine = any(one.lease == lease.id for one in use.processes)
        lost = (one for one in use.processes if one.kind is ProcessKind.UNKNOWN)
        if any(one.lease is None for one in lost):
            doubt = Unavailable("a process there could not be identified")
    if not mine and doubt is None:
        return IdleKind.NO_PROCESS
    busy = use.reading.gpu_utilization
    if share.exclusive and not isinstance(busy, Unavailable):
        return None if busy else IdleKind.NO_UTILIZATION
    return None if mine else doubt


def _answered(ledger: Ledger, lease: Lease, idle: Idle, now: Moment, found: Watched) -> Idle:
    """Tell of it, ask its holder, or end it, as the policy says; nothing by what was not read."""
    rules = ledger.policy.idle
    if idle.stopped is not None:
        return idle
    if rules.after is None or idle.time(now.instant) - idle.kept < rules.after:
        return replace(idle, reported=False, deadline=None) if idle.reported else idle
    if not rules.end or lease.adopted:
        if not idle.reported:
            then = "it is only reported" + (": it was adopted" if lease.adopted else "")
            _tell(lease, idle, then, now, found)
        return replace(idle, reported=True, deadline=None)
    if idle.deadline is None:
        asked = replace(idle, reported=True, deadline=Instant(now.instant + rules.grace))
        then = (
            f"it ends in {in_words(rules.grace)} unless it is used, or `gpusched renew {lease.id}`"
        )
        _tell(lease, asked, then, now, found)
        return asked
    if idle.deadline <= now.instant:
        found.ends[lease.id] = Manner(EndReason.IDLE, idle_for(idle, now.instant), kill=True)
    return idle


def _tell(lease: Lease, idle: Idle, then: str, now: Moment, found: Watched) -> None:
    told = reported(lease, idle, then, now)
    ends = idle.deadline is not None
    notice = Notice(
        lease.id,
        NoticeKind.IDLE,
        told.line.sentence,
        now,
        NoticeAction.END if ends else NoticeAction.NOTHING,
        idle.deadline,
    )
    found.changes += [told, NoticeGiven(notice)]


def _row(lease: Lease, idle: Idle | None, now: Moment) -> Idle | None:
    """Give what the row of a lease is to say."""
    if idle is None:
        return None
    lasting = idle.reported or idle.time(now.instant) >= WRITTEN_AFTER
    return idle if lasting or lease.idle is not None else None
