"""Compares the ledger with what is found in the kernel, and says what makes them equal.

Pure and idempotent: done twice it asks for the same, and for nothing once they are equal. A lease
that was made true after the look began is not judged by it.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from gpusched.core.actions import Action, Follow, Observe, Remask, Unprepare
from gpusched.core.changes import Change, LeaseChanged, ObservationTaken
from gpusched.core.decision import Decision
from gpusched.core.ending import Manner, begin, given_up, going_back
from gpusched.core.enforcement import HELD, LeaseCgroup
from gpusched.core.enforcing import let_go, masks, nothing, usable_in
from gpusched.core.events import Observed
from gpusched.core.guarding import guard_seen, turned
from gpusched.core.ids import LeaseId, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState, confirm
from gpusched.core.ledger import Ledger
from gpusched.core.observation import Observation, SeenCgroup
from gpusched.core.story import ended, enforcement
from gpusched.core.unit_start import may_be_between_steps


def observed(ledger: Ledger, event: Observed, now: Moment) -> Decision:
    """Decide on a look at the kernel while the daemon runs."""
    if not ledger.ability.cgroups:
        return Decision()  # whoever cannot look sees nothing
    nodes_known = bool(ledger.governed.ranges)
    first = nodes_known and ledger.observed_at is None
    found = reconcile(ledger, event.observation, now)
    changes: list[Change] = guard_seen(ledger, event.observation.guard, now)
    if nodes_known:  # else the first look at masks and guard is still to come
        changes.append(ObservationTaken(now.instant, event.observation.guard_denied))
    changes += found.changes
    actions = [*_remasked(ledger, event.observation, first=first), *found.actions]
    if first and (event.observation.guard or ledger.policy.guard):
        # Also where it is on: an earlier daemon's knows an earlier daemon's leases.
        actions.append(turned(ledger, on=True))
    changes += [
        enforcement(lease.id, "its mask was not what it should be, and is put right", now)
        for action in actions
        if isinstance(action, Remask) and not first
        for lease in usable_in(ledger, action.cgroup.path)
        if lease.level in HELD
    ]
    return Decision(tuple(changes), tuple(actions))


def reconcile(ledger: Ledger, observation: Observation, now: Moment) -> Decision:
    """Say what ends, what is cleared away and what is followed; masks are not looked at."""
    seen = {one.cgroup: one for one in observation.seen}
    changes: list[Change] = []
    actions: list[Action] = []
    for lease in ledger.live():
        more = _of_lease(ledger, lease, observation, seen, now)
        changes += more.changes
        actions += more.actions
    busy = any(one.state is LeaseState.PREPARING for one in ledger.live())
    if not busy:
        for one in observation.seen:
            if not ledger.in_cgroup(one.cgroup.path) and not _rolled_back(ledger, one):
                actions += _orphan(ledger, one)
    return Decision(tuple(changes), tuple(actions))


def roll_back(
    ledger: Ledger,
    lease: Lease,
    observation: Observation,
    along: Collection[LeaseId] = frozenset(),
) -> list[Action]:
    """Undo what was prepared for *lease*: its process goes back to where it came from."""
    if lease.cgroup is not None:
        # Taken in place it may be one that gpusched made for a lease that is no more.
        alike = (one.cgroup for one in observation.seen if _same(one.cgroup, lease.cgroup))
        taken = replace(lease, cgroup=next(alike, lease.cgroup))
        return let_go(ledger, taken, kill=False, along=along)
    return [Unprepare(one.cgroup, lease.origin) for one in observation.seen if _named(lease, one)]


def _of_lease(
    ledger: Ledger,
    lease: Lease,
    observation: Observation,
    seen: dict[LeaseCgroup, SeenCgroup],
    now: Moment,
) -> Decision:
    if going_back(lease):
        return _going_back(ledger, lease, observation, now)
    if lease.cgroup is None or not _judged(lease, observation):
        return Decision()
    one = seen.get(lease.cgroup)
    populated = one is not None and one.populated
    if populated and (lease.usable or lease.cgroup.made):
        return Decision((), (Follow(lease.cgroup),))
    here = [
        other for other in usable_in(ledger, lease.cgroup.path) if other.cgroup == lease.cgroup
    ]
    staying = [other for other in here if populated or not _judged(other, observation)]
    # Also where it is not seen: then the answer says that nothing is left.
    left = () if staying else (Unprepare(lease.cgroup),)
    along = frozenset(other.id for other in here if other not in staying)
    if lease.usable:
        over = begin(ledger, lease, Manner(EndReason.EMPTY), now, along=along)
        return Decision(over.changes, left)
    leaving = given_up(ledger, lease, along)
    return Decision((LeaseChanged(leaving),) if leaving != lease else (), left)


def _judged(lease: Lease, observation: Observation) -> bool:
    if may_be_between_steps(lease, observation.begun_at):
        return False
    return lease.entered is not None and lease.entered.instant < observation.begun_at


def _going_back(ledger: Ledger, lease: Lease, observation: Observation, now: Moment) -> Decision:
    """Confirm the end of a preparation that was rolled back once nothing of it is seen."""
    leaving = given_up(ledger, lease)
    if leaving != lease:
        return Decision((LeaseChanged(leaving),), (Observe(),))
    again = roll_back(ledger, lease, observation)
    if again:
        return Decision((), tuple(again))  # `Unprepared` makes for the next look
    if lease.ending is None or lease.ending.instant >= observation.begun_at:
        return Decision()
    over = confirm(lease, now)
    return Decision((LeaseChanged(over), ended(over, now)))


def _orphan(ledger: Ledger, one: SeenCgroup) -> Iterator[Action]:
    """Clear away what has no live lease: processes in it stay, and may open no device."""
    if not one.populated or not one.cgroup.made:
        yield Unprepare(one.cgroup)
        return
    if ledger.governed.ranges and one.digest not in (None, nothing(ledger).digest):
        yield Remask(one.cgroup, nothing(ledger))
    yield Follow(one.cgroup)


def _remasked(ledger: Ledger, observation: Observation, *, first: bool) -> Iterator[Action]:
    """Ask for the masks that are missing or others; at the first look for all.

    The programs of an earlier daemon report denials to nobody.
    """
    if ledger.ability.level not in HELD:
        return
    digests = {one.cgroup: one.digest for one in observation.seen}
    for cgroup, mask in masks(ledger).items():
        newer = any(
            one.entered is not None and one.entered.instant >= observation.begun_at
            for one in ledger.in_cgroup(cgroup.path)
        )
        if first or (not newer and digests.get(cgroup) != mask.digest):
            yield Remask(cgroup, mask)


def _rolled_back(ledger: Ledger, one: SeenCgroup) -> bool:
    return any(going_back(lease) and _named(lease, one) for lease in ledger.live())


def _same(one: LeaseCgroup, other: LeaseCgroup) -> bool:
    return (one.path, one.inode) == (other.path, other.inode)


def _named(lease: Lease, one: SeenCgroup) -> bool:
    """Say whether a cgroup was made for *lease*: its name tells, with `_` for `-` in systemd's."""
    names = (lease.id, lease.id.replace("-", "_"))
    return one.cgroup.made and any(name in one.cgroup.path for name in names)
