"""How a lease ends: its processes are ended where they are ours, then its memory has to come back.

Killing and settling are deadlines in the lease; ticks look at them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from gpusched.core.accounts import unattributed
from gpusched.core.actions import Action, Kill, TakeSample, Terminate, Unprepare
from gpusched.core.attribution import DeviceUse
from gpusched.core.changes import Change, GhostChanged, LeaseChanged
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcing import let_go, sharers, usable_in
from gpusched.core.events import CgroupEmptied
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState, confirm, end
from gpusched.core.ledger import Ledger
from gpusched.core.sample import NodeSample, Unavailable
from gpusched.core.share import Share
from gpusched.core.story import ended, ending, ghost_found, ghost_gone, signalled
from gpusched.core.unit_start import may_be_between_steps


@dataclass(frozen=True, slots=True)
class Manner:
    """How a lease is to end.

    Attributes:
        reason: Why.
        detail: Why, in somebody's words.
        kill: Whether its processes are ended, if gpusched made their cgroup and no other usable
            lease is in it.
        grace: Nanoseconds between SIGTERM and SIGKILL; None: as configured.
        in_place: Whether processes in a cgroup that is not gpusched's get SIGTERM.
    """

    reason: EndReason
    detail: str = ""
    kill: bool = False
    grace: int | None = None
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a lease brings with it, so far."""

    lease: Lease
    changes: tuple[Change, ...] = ()
    actions: tuple[Action, ...] = ()


def begin(
    ledger: Ledger,
    lease: Lease,
    manner: Manner,
    now: Moment,
    *,
    along: Collection[LeaseId] = frozenset(),
) -> Ending:
    """Begin the end of a usable lease; those *along* end together with it."""
    kill = manner.kill and kills(ledger, lease, along)
    clocks = Clocks()
    if kill:
        wait = ledger.policy.grace if manner.grace is None else manner.grace
        clocks = Clocks(kill=Instant(now.instant + wait))
    after = end(lease, manner.reason, now, detail=manner.detail, clocks=clocks)
    after = given_up(ledger, after, along)
    changes: list[Change] = [LeaseChanged(after)]
    changes.append(ending(after, now) if after.live else ended(after, now))
    actions: list[Action] = []
    in_place = manner.in_place and lease.cgroup is not None and not lease.cgroup.made
    if in_place and lease.cgroup is not None:
        actions.append(Terminate(lease.cgroup))
    if kill or in_place:
        changes.append(signalled(after, "SIGTERM was sent to its processes", now))
    return Ending(
        after, tuple(changes), (*actions, *let_go(ledger, lease, kill=kill, along=along))
    )


def given_up(ledger: Ledger, lease: Lease, along: Collection[LeaseId] = frozenset()) -> Lease:
    """Leave a cgroup that was not made for it to the other usable leases in it.

    The program stays as long as they do, and the devices of this one do not wait for that.
    """
    # One that is only being prepared may come to nothing, and leave the program behind.
    others = [one for one in sharers(ledger, lease, along) if one.entered is not None]
    if lease.cgroup is None or not others:
        return lease
    # In one that gpusched made its processes are looked for, if it ever had any.
    keeps = lease.cgroup.made and lease.entered is not None
    return lease if keeps else replace(lease, cgroup=None)


def kills(ledger: Ledger, lease: Lease, along: Collection[LeaseId] = frozenset()) -> bool:
    """Say whether its processes are gpusched's to end: in a made cgroup of no other lease."""
    if lease.cgroup is None or not lease.cgroup.made:
        return False
    return not sharers(ledger, lease, along)


def going_back(lease: Lease) -> bool:
    """Say whether its preparation is being rolled back: it ends, and nobody had entered."""
    return lease.state is LeaseState.RELEASING and lease.entered is None


def emptied(ledger: Ledger, event: CgroupEmptied, now: Moment) -> Decision:
    """End the leases whose last process has ended, and clear the cgroup away."""
    here = [one for one in usable_in(ledger, event.cgroup.path) if one.cgroup == event.cgroup]
    # What is being prepared has its own outcome; then its cgroup is followed anew.
    over = [
        one
        for one in here
        if one.entered is not None and not may_be_between_steps(one, now.instant)
    ]
    along = frozenset(one.id for one in over)
    changes: list[Change] = []
    for lease in over:
        changes += begin(ledger, lease, Manner(EndReason.EMPTY), now, along=along).changes
    actions: list[Action] = [Unprepare(event.cgroup)] if here == over else []
    if any(one.cgroup == event.cgroup for one in ledger.in_cgroup(event.cgroup.path)):
        # Whether it ends now or has ended before: what it held may be confirmed back.
        actions.append(TakeSample())
    return Decision(tuple(changes), tuple(actions))


def settle(
    ledger: Ledger,
    lease: Lease,
    sample: NodeSample,
    uses: Mapping[DeviceUuid, DeviceUse],
    now: Moment,
) -> Ending:
    """Go on with the end of a RELEASING lease, by a sample.

    It is confirmed by one begun after the end that shows none of its processes, and no more
    memory without a process than before the lease. What is not back in time is ghost memory.
    """
    if lease.ending is None or lease.entered is None or sample.begun_at <= lease.ending.instant:
        return Ending(lease)
    # Not looked at is not gone.
    if lease.clocks.kill is not None and sample.members.get(lease.id, True):
        return _killed(ledger, lease, now)
    if _masked_in_place(ledger, lease) or not _off_devices(lease, uses):
        return Ending(lease)
    left = _left(ledger, lease, uses)
    if left and lease.clocks.settle is None:
        deadline = Instant(now.instant + ledger.policy.settle)
        waiting = replace(lease, clocks=replace(lease.clocks, settle=deadline))
        return Ending(waiting, (LeaseChanged(waiting),))
    if left and lease.clocks.settle is not None and now.instant < lease.clocks.settle:
        return Ending(lease)
    over = confirm(lease, now)
    changes: list[Change] = [LeaseChanged(over), ended(over, now)]
    for share, memory in left:
        ghost = Ghost(memory, _normal(ledger, share), lease.id, now)
        changes += [GhostChanged(share.device, ghost), ghost_found(share.device, ghost, now)]
    return Ending(over, tuple(changes))


def vanished_ghosts(
    ledger: Ledger, uses: Mapping[DeviceUuid, DeviceUse], now: Moment
) -> list[Change]:
    """Find the ghost memory that has gone."""
    changes: list[Change] = []
    for device, ghost in ledger.ghosts.items():
        found = unattributed(uses, device)
        if found is not None and found <= ghost.baseline + ledger.policy.tolerance:
            changes += [GhostChanged(device, None), ghost_gone(device, "it came back", now)]
    return changes


def _normal(ledger: Ledger, share: Share) -> int:
    """Give what is normal on a device: what was there before an earlier ghost, too."""
    earlier = ledger.ghosts.get(share.device)
    baseline = share.baseline or 0
    return baseline if earlier is None else min(baseline, earlier.baseline)


def _killed(ledger: Ledger, lease: Lease, now: Moment) -> Ending:
    deadline, cgroup, began = lease.clocks.kill, lease.cgroup, lease.ending
    if cgroup is None or deadline is None or deadline > now.instant:
        return Ending(lease)
    # At each tick until they are gone: one that the driver holds back dies late. Told once.
    before = ledger.ticked_at
    first = began is None or before is None or max(deadline, began.instant + 1) > before
    told = (signalled(lease, "SIGKILL was sent to its processes", now),) if first else ()
    return Ending(lease, told, (Kill(cgroup),))


def _masked_in_place(ledger: Ledger, lease: Lease) -> bool:
    """Say whether the program is not known to be off somebody else's cgroup: it must not stay.

    A daemon that cannot take it off does not keep the devices for it: a later one will.
    """
    return lease.cgroup is not None and not lease.cgroup.made and ledger.ability.cgroups


def _off_devices(lease: Lease, uses: Mapping[DeviceUuid, DeviceUse]) -> bool:
    for share in lease.shares:
        use = uses.get(share.device)
        if use is None or isinstance(use.processes, Unavailable):
            return False
        if any(one.lease == lease.id for one in use.processes):
            return False
    return True


def _left(
    ledger: Ledger, lease: Lease, uses: Mapping[DeviceUuid, DeviceUse]
) -> list[tuple[Share, int]]:
    """Give the bytes of each share that are in use and belong to no process, beyond the normal.

    Two compute instances that share a memory count once.
    """
    found: list[tuple[Share, int]] = []
    first: dict[str, Share] = {}
    for share in lease.shares:
        first.setdefault(share.domain, share)
    for share in first.values():
        memory = unattributed(uses, share.device)
        if memory is None or share.baseline is None:
            continue
        if memory > share.baseline + ledger.policy.tolerance:
            found.append((share, memory - share.baseline))
    return found
