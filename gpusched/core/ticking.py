"""Decides on a tick: inventory, clocks, leases whose processes ended, confirmations.

One timer for all: whatever has a deadline is looked at here, on one sample.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gpusched.core.actions import Action, Observe, TakeSample
from gpusched.core.attribution import DeviceUse, attribute
from gpusched.core.changes import (
    Change,
    InventoryChanged,
    LeaseChanged,
    LeaseForgotten,
    SampleTaken,
)
from gpusched.core.clocks import missed_since
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.ending import Ending, Manner, begin, settle, vanished_ghosts
from gpusched.core.events import Ticked
from gpusched.core.evicting import next_step, watch
from gpusched.core.guarding import turned
from gpusched.core.health import UNSURE, VANISHED, weigh
from gpusched.core.idle import stood_still
from gpusched.core.idle import watch as watch_idle
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.leaving import more_time, timed_out
from gpusched.core.ledger import Ledger
from gpusched.core.marking import deadlines, ends
from gpusched.core.missing import nameless_gpus, nameless_instances, recognized
from gpusched.core.overuse import judged
from gpusched.core.peaks import Peaks, risen, unwritten
from gpusched.core.preempting import preempted
from gpusched.core.sample import NodeReading, NodeSample, Unavailable, governed_by
from gpusched.core.starting import watch_growth
from gpusched.core.story import denied, device_appeared, device_lost, extended
from gpusched.core.unit_start import may_be_between_steps


def tick(ledger: Ledger, event: Ticked, now: Moment) -> Decision:
    """Take a sample into the ledger, and end what it or the clock ends."""
    sample = recognized(event.sample, ledger.devices.values())
    uses = attribute(sample, ledger.live(), ledger.policy.infrastructure, ledger.uses)
    peaks = risen(ledger.peaks, uses, ledger.live(), now.instant)
    changes: list[Change] = [SampleTaken(sample, uses, now.instant, peaks)]
    if not isinstance(sample.reading, Unavailable):
        changes += _inventory(ledger, sample.reading, now)
    changes += weigh(ledger, sample, now)
    changes += _denials(ledger, event, now)
    slept = _slept(ledger, now)
    strays = watch(ledger, sample, uses, slept, now)
    changes += [*strays.changes, *watch_growth(ledger, uses, now)]
    if slept:
        changes += extend_all(ledger, slept, "the host slept", now, ledger.ticked_at)
        changes += more_time(ledger, slept, now)
        changes += stood_still(ledger, slept, now)
        return Decision(tuple(changes))
    after = _leases(ledger, sample, uses, peaks, now)
    gone = timed_out(ledger, now)
    changes += [*after.changes, *gone.changes]
    changes += vanished_ghosts(ledger, uses, now)
    changes += _forgotten(ledger, now)
    actions = (*strays.actions, *after.actions, *gone.actions, *_looks(ledger, sample, now))
    return Decision(tuple(changes), actions)


def _leases(
    ledger: Ledger,
    sample: NodeSample,
    uses: Mapping[DeviceUuid, DeviceUse],
    peaks: Peaks,
    now: Moment,
) -> Decision:
    """Take note of what every lease uses; end those whose time, terms or processes are over."""
    changes: list[Change] = []
    actions: list[Action] = []
    current = {one.id: one for one in ledger.live()}
    current |= {one.id: one for one in unwritten(ledger.live(), peaks, now.instant)}
    terms = judged(ledger, current.values(), sample, uses, now)
    current |= terms.leases
    idle = watch_idle(ledger, current.values(), sample, uses, now)
    current |= idle.leases
    changes += [LeaseChanged(one) for one in current.values() if one is not ledger.get(one.id)]
    changes += [*terms.changes, *idle.changes]
    ends_for = idle.ends | terms.ends
    over = {
        lease.id: _over(ledger, lease, sample, now) or ends_for.get(lease.id)
        for lease in ledger.live()
    }
    along = frozenset(lease_id for lease_id, manner in over.items() if manner is not None)
    for lease in current.values():
        manner = over[lease.id]
        if manner is not None:
            after = begin(ledger, lease, manner, now, along=along)
        else:
            after = _settling(ledger, lease, sample, uses, now)
        changes += after.changes
        actions += [one for one in after.actions if one not in actions]
        if after.lease is not lease and after.lease.live and TakeSample() not in actions:
            actions.append(TakeSample())
    return Decision(tuple(changes), tuple(actions))


def next_deadline(ledger: Ledger) -> Instant | None:
    """Say when the next clock of anything in the ledger runs out; None while none runs.

    One that the last tick found run out is looked at by each tick, and hides no other.
    """
    running = (
        deadline
        for lease in ledger.live()
        for deadline in (
            lease.clocks.attach,
            lease.clocks.keepalive,
            lease.clocks.time_limit,
            lease.clocks.kill,
            lease.clocks.settle,
            *(one.deadline for one in lease.violations if one.within is None),
            None if lease.idle is None else lease.idle.deadline,
            None if lease.giving_way is None else lease.giving_way.deadline,
        )
        if deadline is not None
    )
    last, waiting = ledger.ticked_at or 0, ledger.waiting.next_clock()
    queue = () if waiting is None else (waiting,)
    found = (*running, *deadlines(ledger), *next_step(ledger), *queue)
    return min((one for one in found if one > last), default=None)


def extend_all(
    ledger: Ledger, by: int, why: str, now: Moment, since: Instant | None = None
) -> list[Change]:
    """Give every running clock *by* nanoseconds more; a lease from after *since* its age."""
    changes: list[Change] = []
    for lease in ledger.live():
        missed = missed_since(since, by, lease.created.instant, now.instant)
        violations = tuple(one.extended(missed) for one in lease.violations)
        idle = None if lease.idle is None else lease.idle.extended(by, now.instant)
        clocks = lease.clocks.extended(missed)
        way = None if lease.giving_way is None else lease.giving_way.extended(missed)
        after = replace(lease, clocks=clocks, violations=violations, idle=idle, giving_way=way)
        if after != lease:
            changes.append(LeaseChanged(after))
    # Of a daemon that was not away only the count of idle time has stopped.
    return [*changes, extended(by, why, now)] if changes and by else changes


def _over(ledger: Ledger, lease: Lease, sample: NodeSample, now: Moment) -> Manner | None:
    """Say how the lease is to end now; None: it is not, or ends already."""
    # Of a lease that is being prepared the outcome is on its way.
    if not lease.usable or lease.state is LeaseState.PREPARING:
        return None
    reason = _expired(lease, now)
    if reason is not None:
        return Manner(reason, kill=True)
    reason = _emptied(lease, sample)
    if reason is not None:
        return Manner(reason)
    return ends(ledger, lease, now) or preempted(ledger, lease, now)


def _settling(
    ledger: Ledger,
    lease: Lease,
    sample: NodeSample,
    uses: Mapping[DeviceUuid, DeviceUse],
    now: Moment,
) -> Ending:
    """Give the lease as this tick leaves it; the same object where nothing happened."""
    if lease.state is not LeaseState.RELEASING:
        return Ending(lease)
    return settle(ledger, lease, sample, uses, now)


def _expired(lease: Lease, now: Moment) -> EndReason | None:
    deadlines = (
        (lease.clocks.attach, EndReason.ATTACH_DEADLINE),
        (lease.clocks.keepalive, EndReason.KEEPALIVE),
        (lease.clocks.time_limit, EndReason.TIME_LIMIT),
    )
    for deadline, reason in deadlines:
        if deadline is not None and deadline <= now.instant:
            return reason
    return None


def _emptied(lease: Lease, sample: NodeSample) -> EndReason | None:
    """Say EMPTY when a look begun after the last attach found none of its processes."""
    members = sample.members.get(lease.id)
    if members is None or members or lease.entered is None:
        return None
    if may_be_between_steps(lease, sample.begun_at):
        return None
    return EndReason.EMPTY if sample.begun_at > lease.entered.instant else None


def _inventory(ledger: Ledger, reading: NodeReading, now: Moment) -> list[Change]:
    present = {one.device.uuid: one.device for one in reading.devices}
    reasons = {one.uuid: one.reason for one in reading.lost if one.uuid is not None}
    nameless = nameless_instances(reading)
    otherwise = UNSURE if nameless_gpus(reading) else VANISHED
    lost = {
        uuid: reasons.get(uuid) or nameless.get(device.physical, otherwise)
        for uuid, device in ledger.devices.items()
        if uuid not in present and _remembered(ledger, device, present)
    }
    devices = {**{uuid: ledger.devices[uuid] for uuid in lost}, **present}
    if devices == ledger.devices and lost == ledger.lost:
        return []
    changes: list[Change] = [InventoryChanged(tuple(devices.values()), lost)]
    # The first sample after a start finds everything: that is no news.
    changes += [
        device_appeared(uuid, now)
        for uuid in present
        if ledger.sample is not None and (uuid not in ledger.devices or uuid in ledger.lost)
    ]
    changes += [
        device_lost(uuid, reason, now) for uuid, reason in lost.items() if uuid not in ledger.lost
    ]
    return changes


def _remembered(ledger: Ledger, device: Device, present: Mapping[DeviceUuid, Device]) -> bool:
    """Keep an absent GPU as lost; an absent MIG instance only while it is leased.

    Instances come and go by the operator's hand, so one that vanished from a GPU that answers
    was removed, not lost.
    """
    gone_by_hand = device.mig is not None and device.mig.parent in present
    return not gone_by_hand or bool(ledger.holding(device.memory_domain).shares)


def _looks(ledger: Ledger, sample: NodeSample, now: Moment) -> Iterator[Action]:
    """Look at the kernel again when it is time, and when masks may have become others."""
    reading = sample.reading
    if not ledger.ability.cgroups or isinstance(reading, Unavailable):
        return
    last = ledger.observed_at
    due = last is None or now.instant - last >= ledger.policy.recheck
    governed = governed_by(reading)
    if due or governed != ledger.governed or _other_nodes(ledger, reading):
        yield Observe()
    # A reading without ranges must not open the guard.
    changed = bool(governed.ranges) and governed.ranges != ledger.governed.ranges
    if ledger.ability.guard and changed:
        yield replace(turned(ledger, on=True), governed=governed)


def _other_nodes(ledger: Ledger, reading: NodeReading) -> bool:
    for one in reading.devices:
        known = ledger.devices.get(one.device.uuid)
        if known is None or (known.nodes, known.dri_nodes) != (
            one.device.nodes,
            one.device.dri_nodes,
        ):
            return True
    return False


def _denials(ledger: Ledger, event: Ticked, now: Moment) -> Iterator[Change]:
    """Tell of denied opens, those of one process together: CUDA tries every device it finds."""
    leases = {one.cgroup.inode: one.id for one in ledger.live() if one.cgroup is not None}
    nodes = {
        (node.major, node.minor): node.path
        for device in ledger.devices.values()
        for node in (*device.nodes, *device.dri_nodes)
    }
    tried: dict[tuple[LeaseId | None, int | None], dict[str, int]] = {}
    for one in event.denied:
        node = nodes.get((one.major, one.minor), f"device {one.major}:{one.minor}")
        mine = tried.setdefault((leases.get(one.cgroup), one.pid), {})
        mine[node] = mine.get(node, 0) + one.count
    for (lease, pid), counts in tried.items():
        yield denied(lease, pid, counts, now)


def _slept(ledger: Ledger, now: Moment) -> int:
    gap = 0 if ledger.ticked_at is None else now.instant - ledger.ticked_at
    return gap if gap > ledger.policy.max_tick_gap else 0


def _forgotten(ledger: Ledger, now: Moment) -> Iterator[Change]:
    """Forget the ended leases that are too many, or ended too long ago."""
    surplus = ledger.ended_count() - ledger.policy.history
    oldest = None
    if ledger.policy.history_time is not None:
        oldest = now.wall - ledger.policy.history_time
    for place, lease in enumerate(ledger.ended()):
        aged = oldest is not None and lease.ended is not None and lease.ended.wall < oldest
        if place >= surplus and not aged:
            return
        yield LeaseForgotten(lease.id)
