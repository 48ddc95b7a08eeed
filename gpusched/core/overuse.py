"""Decides on leases that break their terms: warned first, ended where the policy says so.

A breach is a fact of a sample: more memory on a device than the limit, or a process on a device
outside the mask. What cannot be read neither begins a breach, nor ends one, nor ends a lease for
it. Only the lease that is over its limit is ever acted on, never its neighbour.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpusched.core.attribution import DeviceUse, ProcessKind, held_by, unidentified
from gpusched.core.changes import Change, NoticeGiven
from gpusched.core.ending import Manner
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.overuse_choice import Candidate, chosen, due, ended_for, terminates
from gpusched.core.request import OverUse
from gpusched.core.sample import NodeSample, Reading, Unavailable
from gpusched.core.share import Share
from gpusched.core.sizes import in_words
from gpusched.core.story import violated
from gpusched.core.violation import Violation, ViolationKind

Uses = Mapping[DeviceUuid, DeviceUse]

Outside = Mapping[tuple[DeviceUuid, ProcessId], Reading[int]]


@dataclass(slots=True)
class Judged:
    """What a sample says of the terms of all leases.

    Attributes:
        outside: What the processes of leases hold of devices outside the mask.
        leases: New versions of those whose breaches are others now.
        ends: How the leases are to end that are ended for a breach.
        changes: What is told of it.
    """

    outside: Mapping[LeaseId, Outside]
    leases: dict[LeaseId, Lease] = field(default_factory=dict)
    ends: dict[LeaseId, Manner] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


def judged(
    ledger: Ledger, leases: Iterable[Lease], sample: NodeSample, uses: Uses, now: Moment
) -> Judged:
    """Compare what every lease uses with its terms, and choose who is ended for it.

    Args:
        ledger: The record.
        leases: The live ones, as this tick has them.
        sample: What was read.
        uses: What it shows of each device.
        now: When.
    """
    found = Judged(_outsiders(uses))
    candidates: list[Candidate] = []
    for lease in leases:
        if not lease.usable or lease.state is not LeaseState.ACTIVE:
            continue
        violations = tuple(_violations(ledger, lease, uses, now, found))
        if violations != lease.violations:
            lease = replace(lease, violations=violations)  # noqa: PLW2901 - its new version
            found.leases[lease.id] = lease
        candidates += due(ledger, lease, sample, uses, now)
    for one, why in chosen(ledger, candidates, now):
        _act(ledger, one, why, found, now)
    return found


def _violations(
    ledger: Ledger, lease: Lease, uses: Uses, now: Moment, found: Judged
) -> Iterator[Violation]:
    """Give the breaches that last, and tell of those that begin or are over."""
    for share in lease.shares:
        before = _of(lease, ViolationKind.OVER_LIMIT, share.device)
        used = held_by(lease.id, share.device, uses)
        if used is None or share.memory is None:
            after = before
        elif used > share.memory + ledger.policy.overuse.tolerance:
            after = _above(ledger, lease, share, used, now, found)
        elif before is None or unidentified(share.device, uses, lease=lease.id):
            after = before
        else:
            after = _within(ledger, lease, before, now, found)
        if after is not None:
            yield after
    yield from _outside(lease, uses, now, found)


def _above(
    ledger: Ledger, lease: Lease, share: Share, used: int, now: Moment, found: Judged
) -> Violation:
    """Warn of a breach that begins, or that goes on otherwise than was told."""
    before = _of(lease, ViolationKind.OVER_LIMIT, share.device)
    ends = terminates(ledger, lease)
    if before is not None and _stands(ledger, before, ends=ends):
        return replace(before, within=None)
    left = _left(ledger, before, now) if ends else None
    # Never in this tick: the warning comes a sample before the end.
    deadline = None if left is None else Instant(now.instant + max(1, left))
    since = now if before is None else before.since
    after = Violation(ViolationKind.OVER_LIMIT, share.device, None, since, used, deadline)
    after = replace(after, dry_run=ends and ledger.policy.overuse.dry_run)
    what = f"holds {in_words(used)} of {in_words(share.memory or 0)} on {share.device}"
    _warn(ledger, lease, after, f"{what}; {_what_follows(ledger, lease, left)}", found, now)
    return after


def _left(ledger: Ledger, before: Violation | None, now: Moment) -> int:
    """Give the nanoseconds until a lease is ended.

    A breach that comes back before it is forgotten has what was left of its grace: the time within
    the limit does not count, and wins none.
    """
    grace, earnest = ledger.policy.overuse.grace, not ledger.policy.overuse.dry_run
    if before is None or before.deadline is None or (before.dry_run and earnest):
        return grace
    stopped = now.instant if before.within is None else before.within
    return min(grace, max(0, before.deadline - stopped))


def _stands(ledger: Ledger, before: Violation, *, ends: bool) -> bool:
    """Say whether what was told of a breach is so still.

    It is not where its end was no option when it began, or is none now: with other rules, or in a
    cgroup that another lease was in, too.
    """
    if not ends:
        return before.deadline is None
    # A dry run tells of the end once, and is no warning. A daemon that begins tells all again.
    dry_run = ledger.policy.overuse.dry_run
    told = dry_run if before.dry_run else before.deadline is not None
    return before.within is None and told and ledger.sample is not None


def _warn(
    ledger: Ledger, lease: Lease, violation: Violation, what: str, found: Judged, now: Moment
) -> None:
    acts = violation.deadline is not None and not ledger.policy.overuse.dry_run
    action = NoticeAction.TERMINATE if acts else NoticeAction.NOTHING
    at = violation.deadline if acts else None
    notice = Notice(lease.id, NoticeKind.OVER_LIMIT, what, now, action, at, violation.device)
    found.changes += [violated(lease, violation, what, now), NoticeGiven(notice)]


def _what_follows(ledger: Ledger, lease: Lease, left: int | None) -> str:
    rules = ledger.policy.overuse
    if left is not None:
        would = "would be sent (dry run)" if rules.dry_run else "is sent"
        return f"SIGTERM {would} in {left // SECOND} s"
    asked = rules.terminate or lease.request.over_use is OverUse.TERMINATE
    return "it is only warned" + (f": {ended_for(ledger, lease)}" if asked else "")


def _within(
    ledger: Ledger, lease: Lease, before: Violation, now: Moment, found: Judged
) -> Violation | None:
    """Forget a breach that has been over for the cool-down."""
    if before.within is None:
        sentence = f"is within its limit on {before.device} again"
        found.changes.append(violated(lease, before, sentence, now))
        return replace(before, within=now.instant)
    forgotten = now.instant - before.within >= ledger.policy.overuse.cool_down
    return None if forgotten else before


def _outside(lease: Lease, uses: Uses, now: Moment, found: Judged) -> Iterator[Violation]:
    """Give the processes on devices outside the mask; what cannot be read stays as it was."""
    seen = dict(found.outside.get(lease.id, {}))
    for violation in lease.violations:
        if violation.kind is not ViolationKind.OUTSIDE_MASK or violation.process is None:
            continue
        unread = _unread(violation.device, violation.process, uses)
        if seen.pop((violation.device, violation.process), None) is not None or unread:
            yield violation
        else:
            sentence = f"process {violation.process.pid} is off {violation.device}"
            found.changes.append(violated(lease, violation, sentence, now))
    for (device, process), memory in seen.items():
        size = 0 if isinstance(memory, Unavailable) else memory
        yield _strayed(lease, device, process, size, now, found)


def _unread(device: DeviceUuid, process: ProcessId, uses: Uses) -> bool:
    """Say whether it is not known that a process is off a device."""
    use = uses.get(device)
    if use is None or isinstance(use.processes, Unavailable):
        return True
    return process.pid in unidentified(device, uses)


def _outsiders(uses: Uses) -> Mapping[LeaseId, Outside]:
    """Find what processes of each lease hold of devices that it does not have; once for all."""
    outsiders: dict[LeaseId, dict[tuple[DeviceUuid, ProcessId], Reading[int]]] = {}
    for device, use in uses.items():
        if isinstance(use.processes, Unavailable):
            continue
        for one in use.processes:
            if one.kind is ProcessKind.STRAY and one.lease is not None and one.facts is not None:
                mine = outsiders.setdefault(one.lease, {})
                mine[device, one.facts.identity] = one.context.memory
    return outsiders


def _strayed(
    lease: Lease, device: DeviceUuid, process: ProcessId, memory: int, now: Moment, found: Judged
) -> Violation:
    violation = Violation(ViolationKind.OUTSIDE_MASK, device, process, now, memory)
    sentence = violation.sentence(lease.shares)
    found.changes.append(violated(lease, violation, sentence, now))
    notice = Notice(lease.id, NoticeKind.OUTSIDE_MASK, sentence, now, device=device)
    found.changes.append(NoticeGiven(notice))
    return violation


def _act(ledger: Ledger, one: Candidate, why: str, found: Judged, now: Moment) -> None:
    """End a lease for a breach, or tell of it where nothing is to be done."""
    rules = ledger.policy.overuse
    if not rules.dry_run:
        manner = Manner(EndReason.OVER_LIMIT, why, kill=True, in_place=rules.in_place)
        found.ends[one.lease.id] = manner
        return
    told = replace(one.violation, deadline=None, dry_run=True)
    kept = tuple(told if each is one.violation else each for each in one.lease.violations)
    found.leases[one.lease.id] = replace(one.lease, violations=kept)
    sentence = f"dry run: SIGTERM would be sent now: {why}"
    found.changes.append(violated(one.lease, one.violation, sentence, now))


def _of(lease: Lease, kind: ViolationKind, device: DeviceUuid) -> Violation | None:
    found = (one for one in lease.violations if (one.kind, one.device) == (kind, device))
    return next(found, None)
