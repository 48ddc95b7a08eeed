"""Decides on the health of devices: what a sample reports becomes taints, and clears them.

Only what NVML says marks a device; what could not be read marks nothing and clears nothing. A
taint goes by time (soft), when the GPU has recovered, or by `uncordon`. Recovered is a GPU that
was lost and answers again, or whose driver had asked for an action and asks for none any more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from gpusched.core.changes import Change, MarksChanged, NoticeGiven, StoryTold
from gpusched.core.fault import DeviceFault, Recovery
from gpusched.core.health_rules import Severity, key_of, reason_of, recovery_of, severity_of
from gpusched.core.ids import DeviceUuid, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.mark_story import fault_reported, taint_cleared, tainted
from gpusched.core.marked import leases_on
from gpusched.core.marks import Taint, TaintEffect
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.sample import NodeReading, NodeSample, Reading, Unavailable

VANISHED = "it is not there any more"

UNSURE = "it is not among the GPUs that answer"
"""Of what has vanished, or is one of those that are counted and have no name."""

LOST = "lost"
ACTION = "recovery-action"
"""Keys of the taints that no event sets."""


@dataclass(slots=True)
class _Health:
    """The taints of one GPU while a sample is weighed.

    Attributes:
        device: Its UUID.
        taints: By key, in the order in which they came.
        lines: What is to be told.
        fresh: The taints that were not there before.
    """

    device: DeviceUuid
    taints: dict[str, Taint]
    lines: list[StoryTold] = field(default_factory=list)
    fresh: list[Taint] = field(default_factory=list)

    def clear(self, keys: Iterable[str], why: str, now: Moment) -> None:
        """Take taints off."""
        for key in list(keys):
            del self.taints[key]
            self.lines.append(taint_cleared(self.device, key, why, now))

    def mark(self, taint: Taint, now: Moment) -> None:
        """Set a taint; one that is there already keeps its time, and stays longer."""
        before = self.taints.get(taint.key)
        if before is not None and before.effect is taint.effect:
            self.taints[taint.key] = replace(taint, at=before.at)
            return
        self.taints[taint.key] = taint
        self.fresh.append(taint)
        self.lines.append(tainted(self.device, taint, now))


def weigh(ledger: Ledger, sample: NodeSample, now: Moment) -> Iterator[Change]:
    """Give the marks as *sample* and the time leave them, with the story and the notices."""
    reading = sample.reading
    seen = None if isinstance(reading, Unavailable) else _Seen(ledger, reading)
    concerned = dict.fromkeys(ledger.marks)
    if seen is not None:
        concerned |= dict.fromkeys(seen.concerned())
    for device in concerned:
        before = ledger.marks_of(device)
        health = _Health(device, {one.key: one for one in before.taints})
        _outlive(health, now)
        if seen is not None:
            _recover(health, seen, now)
            _worsen(ledger, health, seen, now)
        after = replace(before, taints=tuple(health.taints.values()))
        if after != before:
            yield MarksChanged(device, after)
        yield from health.lines
        for taint in health.fresh:
            if taint.effect is TaintEffect.NONE:
                continue
            yield from _notices(ledger, device, taint, now)


class _Seen:
    """What a reading says of the health of each GPU."""

    def __init__(self, ledger: Ledger, reading: NodeReading) -> None:
        gpus = [one for one in reading.devices if one.device.mig is None]
        self.actions: dict[DeviceUuid, Reading[Recovery]] = {
            one.device.uuid: one.recovery for one in gpus
        }
        self.losses = {**_vanished(ledger, reading), **_lost(reading)}
        self.faults: dict[DeviceUuid, Counter[DeviceFault]] = {}
        for fault in reading.faults:
            self.faults.setdefault(fault.device, Counter())[fault] += 1

    def concerned(self) -> Iterator[DeviceUuid]:
        """Name the GPUs of which there is something to say."""
        yield from self.losses
        yield from self.faults
        for device, action in self.actions.items():
            if _asks(action):
                yield device


def _lost(reading: NodeReading) -> dict[DeviceUuid, tuple[str, str]]:
    """Give the GPUs that NVML says are lost, with why and what helps."""
    return {
        one.uuid: (one.reason, one.needs.value)
        for one in reading.lost
        if one.uuid is not None and one.needs is not None
    }


def _vanished(ledger: Ledger, reading: NodeReading) -> dict[DeviceUuid, tuple[str, str]]:
    """Give the GPUs that are counted no more; none while some that are counted have no name."""
    if any(one.uuid is None for one in reading.lost):
        return {}
    there = {*(one.device.uuid for one in reading.devices), *(one.uuid for one in reading.lost)}
    gpus = (uuid for uuid, device in ledger.devices.items() if device.mig is None)
    return {uuid: (VANISHED, "") for uuid in gpus if uuid not in there}


def _asks(action: Reading[Recovery]) -> bool:
    """Say whether the driver asks for an action; what it does not say it does not ask for."""
    return not isinstance(action, Unavailable) and action is not Recovery.NONE


def _outlive(health: _Health, now: Moment) -> None:
    over = [
        one.key
        for one in health.taints.values()
        if one.clears is not None and one.clears <= now.instant
    ]
    health.clear(over, "no such fault was reported since", now)


def _recover(health: _Health, seen: _Seen, now: Moment) -> None:
    """Take off what the GPU has recovered from."""
    if health.device not in seen.actions:
        return
    action = seen.actions[health.device]
    back = LOST in health.taints
    # While it cannot be asked, what it last asked for stands.
    unsaid = ACTION in health.taints and isinstance(action, Unavailable)
    if back and (unsaid or _asks(action)):
        health.clear([LOST], "it answers again", now)
        return
    eased = ACTION in health.taints and action is Recovery.NONE
    if back or eased:
        lasting = [one.key for one in health.taints.values() if one.clears is None]
        why = "it answers again" if back else "the driver asks for no action any more"
        health.clear(lasting, why, now)


def _worsen(ledger: Ledger, health: _Health, seen: _Seen, now: Moment) -> None:
    """Mark what is reported now."""
    device, rules = health.device, ledger.policy.health
    loss = seen.losses.get(device)
    # Told once: whoever takes the mark off a lost GPU means it.
    if loss is not None and not _was_lost(ledger, device):
        health.mark(Taint(LOST, rules.lost, loss[0], now, recovery=loss[1]), now)
    action = seen.actions.get(device, Recovery.NONE)
    said = ledger.advice.get(device)
    if not isinstance(action, Unavailable) and _asks(action) and action is not said:
        reason = f"the driver asks to {action.value}"
        health.mark(Taint(ACTION, rules.hard, reason, now, recovery=action.value), now)
    for fault, count in seen.faults.get(device, {}).items():
        _weigh_fault(ledger, health, fault, count, now)


def _was_lost(ledger: Ledger, device: DeviceUuid) -> bool:
    """Say whether it was lost before this sample; one that only did not answer was not."""
    if ledger.sample is None or device not in ledger.lost:
        return False
    before = ledger.sample.reading
    silent = () if isinstance(before, Unavailable) else before.lost
    return not any(one.uuid == device and one.needs is None for one in silent)


def _weigh_fault(
    ledger: Ledger, health: _Health, fault: DeviceFault, count: int, now: Moment
) -> None:
    rules = ledger.policy.health
    severity = severity_of(fault, rules)
    if severity is Severity.NOTHING:
        told = fault_reported(fault, reason_of(fault), count, now)
        if not _told_lately(ledger, told, now):
            health.lines.append(told)
        return
    soft = severity is Severity.SOFT
    clears = Instant(now.instant + rules.soft_time) if soft else None
    effect = rules.soft if soft else rules.hard
    taint = Taint(key_of(fault), effect, reason_of(fault), now, clears, recovery_of(fault))
    health.mark(taint, now)


def _told_lately(ledger: Ledger, told: StoryTold, now: Moment) -> bool:
    """Say whether the same was told a short while ago: a flood must not push out the rest."""
    since = now.wall - ledger.policy.health.soft_time
    return any(
        one.wall > since
        and (one.kind, one.entity) == (told.line.kind, told.line.entity)
        and one.data.get("fault") == told.line.data.get("fault")
        for one in ledger.stories
    )


def _notices(
    ledger: Ledger, device: DeviceUuid, taint: Taint, now: Moment
) -> Iterator[NoticeGiven]:
    """Tell the holders that their device fails, and what follows."""
    evicts = taint.effect is TaintEffect.EVICT
    for lease in leases_on(ledger, device):
        yield NoticeGiven(
            Notice(
                lease=lease.id,
                kind=NoticeKind.DEVICE_FAILING,
                sentence=f"{device} fails: {taint.reason}",
                at=now,
                action=NoticeAction.END if evicts else NoticeAction.NOTHING,
                action_at=Instant(now.instant + ledger.policy.grace) if evicts else None,
                device=device,
            )
        )
