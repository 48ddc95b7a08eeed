"""Decides on leases that break their terms: warned first, ended where the policy says so.

A breach is a fact of a sample: more memory on a device than the limit, or a process on a device
outside the mask. What cannot be read neither begins a breach, nor ends one, nor ends a lease for
it. Only the lease that is over its limit is ever acted on, never its neighbour.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpusched.core.attribution import DeviceUse, ProcessKind, held_by
from gpusched.core.changes import Change, NoticeGiven
from gpusched.core.ending import Manner, kills
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState, Share
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.request import OverUse
from gpusched.core.sample import NodeSample, Reading, Unavailable
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


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A lease that may be ended now, for what it holds of one device."""

    lease: Lease
    violation: Violation
    excess: int
    limit: int

    @property
    def rank(self) -> tuple[int, float, int]:
        """The greater, the sooner: by bytes above the limit, by proportion, the youngest."""
        return self.excess, self.excess / self.limit, self.lease.created.wall


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
    candidates: dict[DeviceUuid, list[_Candidate]] = {}
    for lease in leases:
        if not lease.usable or lease.state is not LeaseState.ACTIVE:
            continue
        violations = tuple(_violations(ledger, lease, uses, now, found))
        if violations != lease.violations:
            lease = replace(lease, violations=violations)  # noqa: PLW2901 - its new version
            found.leases[lease.id] = lease
        for one in _due(ledger, lease, sample, uses, now):
            candidates.setdefault(one.violation.device, []).append(one)
    for device, several in candidates.items():
        _choose(ledger, device, several, found, now)
    return found


def ended_for(ledger: Ledger, lease: Lease) -> str:
    """Say why a lease is not ended for what it holds; empty where it is."""
    if lease.adopted:
        return "it was adopted, and its limit is what it had then"
    if lease.cgroup is None:
        return "its processes are known by name only"
    if not lease.cgroup.made:
        return "" if ledger.policy.overuse.in_place else "its processes are in a cgroup of others"
    return "" if kills(ledger, lease) else "its cgroup is another lease's, too"


def terminates(ledger: Ledger, lease: Lease) -> bool:
    """Say whether it is ended for over-use: the stricter of configuration and request decides."""
    asked = lease.request.over_use is OverUse.TERMINATE
    return (asked or ledger.policy.overuse.terminate) and not ended_for(ledger, lease)


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
            after = _over(ledger, lease, share, used, now, found) if before is None else before
            after = replace(after, within=None)
        else:
            after = None if before is None else _within(ledger, lease, before, now, found)
        if after is not None:
            yield after
    yield from _outside(lease, uses, now, found)


def _over(
    ledger: Ledger, lease: Lease, share: Share, used: int, now: Moment, found: Judged
) -> Violation:
    rules = ledger.policy.overuse
    ends = terminates(ledger, lease)
    deadline = Instant(now.instant + rules.grace) if ends else None
    violation = Violation(ViolationKind.OVER_LIMIT, share.device, None, now, used, deadline)
    what = f"holds {in_words(used)} of {in_words(share.memory or 0)} on {share.device}"
    would = " would be sent (dry run)" if rules.dry_run else " is sent"
    then = f"; SIGTERM{would} in {rules.grace // SECOND} s" if ends else "; it is only warned"
    if not ends and lease.request.over_use is OverUse.TERMINATE:
        then += f": {ended_for(ledger, lease)}"
    found.changes.append(violated(lease, violation, what + then, now))
    acts = ends and not rules.dry_run
    found.changes.append(
        NoticeGiven(
            Notice(
                lease.id,
                NoticeKind.OVER_LIMIT,
                what + then,
                now,
                NoticeAction.TERMINATE if acts else NoticeAction.NOTHING,
                deadline if acts else None,
                share.device,
            )
        )
    )
    return violation


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
        use = uses.get(violation.device)
        unread = use is None or isinstance(use.processes, Unavailable)
        if seen.pop((violation.device, violation.process), None) is not None or unread:
            yield violation
        else:
            sentence = f"process {violation.process.pid} is off {violation.device}"
            found.changes.append(violated(lease, violation, sentence, now))
    for (device, process), memory in seen.items():
        size = 0 if isinstance(memory, Unavailable) else memory
        yield _strayed(lease, device, process, size, now, found)


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
    sentence = f"process {process.pid} is on {device}, which is not of the lease"
    found.changes.append(violated(lease, violation, sentence, now))
    notice = Notice(lease.id, NoticeKind.OUTSIDE_MASK, sentence, now, device=device)
    found.changes.append(NoticeGiven(notice))
    return violation


def _due(
    ledger: Ledger, lease: Lease, sample: NodeSample, uses: Uses, now: Moment
) -> Iterator[_Candidate]:
    """Give the breaches whose time is up, by a sample that was begun after they were found."""
    for one in lease.violations:
        share = next((each for each in lease.shares if each.device == one.device), None)
        if one.deadline is None or one.deadline > now.instant or share is None:
            continue
        used, limit = held_by(lease.id, share.device, uses), share.memory
        later = sample.begun_at > one.since.instant
        if used is None or limit is None or one.within is not None or not later:
            continue
        # It may have lost its cgroup, or shared it, meanwhile.
        if terminates(ledger, lease):
            yield _Candidate(lease, one, used - limit, limit)


def _choose(
    ledger: Ledger, device: DeviceUuid, several: list[_Candidate], found: Judged, now: Moment
) -> None:
    """End one lease of a device, and say why it and not the others."""
    rules = ledger.policy.overuse
    if _cooling(ledger, device, now):
        return
    first, *others = sorted(several, key=lambda one: one.rank, reverse=True)
    detail = f"{in_words(first.excess)} above {in_words(first.limit)} on {device}"
    if others:
        waiting = ", ".join(f"{one.lease.id} ({in_words(one.excess)} above)" for one in others)
        seconds = rules.cool_down // SECOND
        detail += f"; the most of those above their limit, after it in {seconds} s: {waiting}"
    if rules.dry_run:
        told = replace(first.violation, deadline=None)
        kept = tuple(told if one is first.violation else one for one in first.lease.violations)
        found.leases[first.lease.id] = replace(first.lease, violations=kept)
        sentence = f"dry run: SIGTERM would be sent now: {detail}"
        found.changes.append(violated(first.lease, first.violation, sentence, now))
        return
    found.ends[first.lease.id] = Manner(
        EndReason.OVER_LIMIT, detail, kill=True, in_place=rules.in_place
    )


def _cooling(ledger: Ledger, device: DeviceUuid, now: Moment) -> bool:
    """Say whether a lease was ended for this device so lately that another has to wait."""
    since = now.instant - ledger.policy.overuse.cool_down
    return any(
        one.reason is EndReason.OVER_LIMIT
        and one.ending is not None
        and one.ending.instant > since
        and any(share.device == device for share in one.shares)
        for several in (ledger.live(), ledger.ended())
        for one in several
    )


def _of(lease: Lease, kind: ViolationKind, device: DeviceUuid) -> Violation | None:
    found = (one for one in lease.violations if (one.kind, one.device) == (kind, device))
    return next(found, None)
