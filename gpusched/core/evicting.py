"""Decides about strays by each sample: told when they come and go, evicted where that is said.

The ladder: told with the reason, the grace, SIGTERM, the grace, SIGKILL. Whoever is not on it is
told why. A process is signalled only by a sample that shows it, and never one that has a lease.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gpusched.core.actions import Action, SignalProcess
from gpusched.core.attribution import DeviceUse, ProcessKind, unidentified
from gpusched.core.changes import Change, StraysSeen
from gpusched.core.decision import Decision
from gpusched.core.ids import DeviceUuid, Instant, Moment, ProcessId
from gpusched.core.lease import LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.sample import (
    NodeReading,
    NodeSample,
    ProcessFacts,
    Reading,
    Unavailable,
    plus,
)
from gpusched.core.stray import Stray, StrayPolicy, StrayStep
from gpusched.core.stray_events import SignalFailed
from gpusched.core.stray_story import came, gone, let_alone, not_sent, signalled, under, warned

_NEXT = {StrayStep.WARNED: StrayStep.TERMINATED, StrayStep.TERMINATED: StrayStep.KILLED}
_STRICTNESS = list(StrayPolicy)


@dataclass(frozen=True, slots=True)
class Intruder:
    """One stray as a sample shows it.

    Attributes:
        facts: Who.
        uses: Bytes on each device.
    """

    facts: ProcessFacts
    uses: Mapping[DeviceUuid, Reading[int]]

    @property
    def devices(self) -> tuple[DeviceUuid, ...]:
        """Where it is."""
        return tuple(self.uses)

    @property
    def memory(self) -> Reading[int]:
        """Bytes on all devices together."""
        total: Reading[int] = 0
        for one in self.uses.values():
            total = plus(total, one)
        return total


def watch(
    ledger: Ledger,
    sample: NodeSample,
    uses: Mapping[DeviceUuid, DeviceUse],
    slept: int,
    now: Moment,
) -> Decision:
    """Go on with every stray, by a sample.

    Args:
        ledger: Before the sample.
        sample: What was read.
        uses: What it shows of each device.
        slept: Nanoseconds for which the host slept before it: every stray gets them back.
        now: When this is decided.
    """
    known = {process: _later(one, slept) for process, one in ledger.strays.items()}
    if isinstance(sample.reading, Unavailable):
        kept_all = StraysSeen(known, ledger.processes_read, ledger.unidentified)
        return Decision((kept_all,) if known != ledger.strays else ())
    after: dict[ProcessId, Stray] = {}
    changes: list[Change] = []
    actions: list[Action] = []
    for one in intruders(uses):
        stray, told = _seen(ledger, known.get(one.facts.identity), one, now)
        changes += told
        due = not slept and _due(stray, now)
        if due and not _comes_under_a_lease(ledger, sample, one.facts):
            stray, more = _stepped(ledger, stray, one, now)
            changes += more.changes
            actions += more.actions
        after[stray.process] = stray
    unseen = {process: one for process, one in known.items() if process not in after}
    kept, told = _unseen(ledger, sample.reading, uses, unseen, now)
    after |= kept
    read = ledger.processes_read | frozenset(_readable(uses))
    taken = StraysSeen(after, read, frozenset(_unidentified(ledger, uses)))
    if taken != StraysSeen(ledger.strays, ledger.processes_read, ledger.unidentified):
        changes.append(taken)
    return Decision((*changes, *told), tuple(actions))


def intruders(uses: Mapping[DeviceUuid, DeviceUse]) -> list[Intruder]:
    """Give the strays that could be identified, but for processes of a lease elsewhere."""
    found: dict[ProcessId, dict[DeviceUuid, Reading[int]]] = {}
    facts: dict[ProcessId, ProcessFacts] = {}
    for device, use in uses.items():
        rows = () if isinstance(use.processes, Unavailable) else use.processes
        for one in rows:
            # One that is outside its own lease's mask is a violation of that.
            if one.kind is not ProcessKind.STRAY or one.lease is not None or one.facts is None:
                continue
            facts[one.facts.identity] = one.facts
            here = found.setdefault(one.facts.identity, {})
            here[device] = plus(here.get(device, 0), one.context.memory)
    return [Intruder(facts[process], uses_) for process, uses_ in found.items()]


def next_step(ledger: Ledger) -> Iterator[Instant]:
    """Give the instants at which the next step of a stray is due."""
    return (one.deadline for one in ledger.strays.values() if one.deadline is not None)


def signal_failed(ledger: Ledger, event: SignalFailed, now: Moment) -> Decision:
    """Tell that a stray could not be signalled; it goes on as if it had been."""
    stray = ledger.strays.get(event.process)
    return Decision() if stray is None else Decision((not_sent(stray, event.sentence, now),))


def _later(stray: Stray, by: int) -> Stray:
    """Give a stray *by* nanoseconds more until its next step."""
    if stray.deadline is None:
        return stray
    return replace(stray, deadline=Instant(stray.deadline + by))


def _seen(
    ledger: Ledger, before: Stray | None, one: Intruder, now: Moment
) -> tuple[Stray, list[Change]]:
    """Give a stray as the rules of now have it, warned where they say so."""
    rules = ledger.policy.strays
    known = [ledger.devices[uuid] for uuid in one.devices if uuid in ledger.devices]
    policies = [rules.of(device) for device in known] or [rules.policy]
    policy = max(policies, key=_STRICTNESS.index)
    at_start, since = _at_start(ledger, one), now
    if before is not None:
        at_start, since = before.at_start, before.since
    spared = ""
    if policy is StrayPolicy.EVICT:
        spared = _spared(ledger, one, at_start=at_start)
    stray = Stray(one.facts.identity, one.facts.uid, one.devices, since, at_start, policy, spared)
    if policy is StrayPolicy.EVICT and not spared:
        if before is not None and _goes_on(before, dry_run=rules.dry_run):
            goes_on = replace(stray, step=before.step, deadline=before.deadline)
            return replace(goes_on, dry_run=rules.dry_run), []
        deadline = Instant(now.instant + rules.grace)
        stray = replace(stray, step=StrayStep.WARNED, deadline=deadline, dry_run=rules.dry_run)
        return stray, [warned(stray, one.facts, one.memory, rules, now)]
    if before is None:
        return stray, [came(stray, one.facts, one.memory, now)]
    if before.step is not StrayStep.NONE:
        return stray, [let_alone(stray, now)]
    return stray, []


def _at_start(ledger: Ledger, one: Intruder) -> bool:
    """Say whether it is, or may be, one of those of the first reading of its devices."""
    pid = one.facts.identity.pid
    doubted = any((device, pid) in ledger.unidentified for device in one.devices)
    return doubted or not ledger.processes_read.intersection(one.devices)


def _unidentified(
    ledger: Ledger, uses: Mapping[DeviceUuid, DeviceUse]
) -> Iterator[tuple[DeviceUuid, int]]:
    """Give those of the first reading of each device that are not identified yet."""
    readable = frozenset(_readable(uses))
    yield from (one for one in ledger.unidentified if one[0] not in readable)
    for device in readable:
        for pid in unidentified(device, uses):
            if device not in ledger.processes_read or (device, pid) in ledger.unidentified:
                yield device, pid


def _goes_on(before: Stray, *, dry_run: bool) -> bool:
    """Say whether a stray is on the ladder already; what was only told does not count."""
    return before.step is not StrayStep.NONE and before.dry_run is dry_run


def _spared(ledger: Ledger, one: Intruder, *, at_start: bool) -> str:
    """Say why a stray is not evicted although the policy is that; empty where it is."""
    if at_start:
        return "it was there when the daemon started"
    if one.facts.uid in ledger.policy.strays.spare_uids:
        return f"uid {one.facts.uid} is in `strays.spare_uids`"
    claimed = None if one.facts.claims_lease is None else ledger.get(one.facts.claims_lease)
    if claimed is None or not claimed.usable or claimed.uid != one.facts.uid:
        return ""
    # Its user may use these devices: it only has not been attached.
    has = {share.device for share in claimed.shares}
    return f"it says that it is of {claimed.id}" if has.issuperset(one.devices) else ""


def _due(stray: Stray, now: Moment) -> bool:
    return stray.deadline is not None and stray.deadline <= now.instant


def _stepped(ledger: Ledger, stray: Stray, one: Intruder, now: Moment) -> tuple[Stray, Decision]:
    """Take the next step: SIGTERM, and SIGKILL after it."""
    rules, step = ledger.policy.strays, _NEXT[stray.step]
    last = step is StrayStep.KILLED
    deadline = None if last else Instant(now.instant + rules.grace)
    after = replace(stray, step=step, deadline=deadline)
    told = signalled(after, one.facts, one.memory, rules, now)
    actions = () if rules.dry_run else (SignalProcess(stray.process, kill=last),)
    return after, Decision((told,), actions)


def _comes_under_a_lease(ledger: Ledger, sample: NodeSample, facts: ProcessFacts) -> bool:
    """Say whether it, or whom it descends from, was attached since the sample was begun."""
    family = {facts.identity, *facts.ancestors}
    return any(
        not family.isdisjoint(lease.processes)
        for lease in ledger.live()
        if lease.state is LeaseState.PREPARING
        or (lease.entered is not None and lease.entered.instant >= sample.begun_at)
    )


def _unseen(
    ledger: Ledger,
    reading: NodeReading,
    uses: Mapping[DeviceUuid, DeviceUse],
    unseen: Mapping[ProcessId, Stray],
    now: Moment,
) -> tuple[dict[ProcessId, Stray], list[Change]]:
    """Give the strays that the sample does not show and that may be there, and tell of others."""
    if not unseen:
        return {}, []
    rows = [
        one
        for use in uses.values()
        if not isinstance(use.processes, Unavailable)
        for one in use.processes
    ]
    doubtful = {one.context.pid for one in rows if one.facts is None}
    leases = {
        one.facts.identity: one.lease
        for one in rows
        if one.facts is not None and one.lease is not None
    }
    kept: dict[ProcessId, Stray] = {}
    told: list[Change] = []
    for process, stray in unseen.items():
        if process in leases:
            told.append(under(stray, leases[process], now))
        elif process.pid in doubtful or not _all_known(ledger, reading, uses, stray):
            kept[process] = stray
        else:
            told.append(gone(stray, now))
    return kept, told


def _all_known(
    ledger: Ledger, reading: NodeReading, uses: Mapping[DeviceUuid, DeviceUse], stray: Stray
) -> bool:
    """Say whether it is known who is where it was: on an instance that was removed, nobody."""
    readable = frozenset(_readable(uses))
    # One that does not answer and has no name may be it.
    nameless = any(one.uuid is None for one in reading.lost)
    there = ledger.devices.keys() | uses.keys()
    return all(one in readable or not (nameless or one in there) for one in stray.devices)


def _readable(uses: Mapping[DeviceUuid, DeviceUse]) -> Iterator[DeviceUuid]:
    return (uuid for uuid, use in uses.items() if not isinstance(use.processes, Unavailable))
