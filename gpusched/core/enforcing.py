"""What the kernel is asked for so that the masks of the ledger hold: actions from leases.

A cgroup carries one program, and its mask is that of all leases in it together: a process may
have two leases, and a unit that is attached in place may have several.
"""

from collections.abc import Collection
from dataclasses import replace

from gpusched.core.actions import Action, Remask, Terminate, Unprepare
from gpusched.core.changes import Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.events import Masked
from gpusched.core.ids import LeaseId, Moment
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.mask import Mask, mask_of
from gpusched.core.request import Enforce, Request
from gpusched.core.story import enforcement


def mask_for(ledger: Ledger, leases: Collection[Lease]) -> Mask | None:
    """Give the mask of a cgroup that has *leases*; None where it gets none.

    That is where all of them are advisory and none has come under the mask of another, and while
    nothing is known of nodes: a mask without rules would allow all.
    """
    advisory = (Enforce.ADVISORY, Level.ADVISORY)
    if all((one.request.enforce, one.level) == advisory for one in leases):
        return None
    return _mask_of(ledger, leases) if ledger.governed.ranges else None


def nothing(ledger: Ledger) -> Mask:
    """Give the mask of a process that has no lease any more."""
    return mask_of((), ledger.devices.values(), ledger.governed)


def usable_in(ledger: Ledger, path: str) -> list[Lease]:
    """Give the usable leases that have the cgroup *path*."""
    return [one for one in ledger.in_cgroup(path) if one.usable]


def usable_of(ledger: Ledger, cgroup: LeaseCgroup) -> list[Lease]:
    """Give the usable leases of exactly this cgroup.

    A unit that was started anew has another one of the same path: what a lease of the last start
    has left, if it is still ending, is not of this one.
    """
    here = usable_in(ledger, cgroup.path)
    return [one for one in here if one.cgroup is not None and one.cgroup.inode == cgroup.inode]


def sharers(ledger: Ledger, lease: Lease, along: Collection[LeaseId] = frozenset()) -> list[Lease]:
    """Give the other usable leases in its cgroup; those *along* end together with it."""
    if lease.cgroup is None:
        return []
    here = usable_of(ledger, lease.cgroup)
    return [one for one in here if one.id != lease.id and one.id not in along]


def without_program(request: Request) -> Level:
    """Say how far the mask is held where the kernel has no program for it."""
    return Level.LANDLOCK if request.confines_itself else Level.ADVISORY


def let_go(
    ledger: Ledger, lease: Lease, *, kill: bool, along: Collection[LeaseId] = frozenset()
) -> list[Action]:
    """Say what to ask for when *lease* has begun to end and its processes may live.

    Args:
        ledger: Before the end.
        lease: Which.
        kill: Whether its processes are ended, where gpusched made the cgroup; else those that
            stay in it may open no device. A cgroup of somebody else's is unmasked.
        along: Leases that end together with it.
    """
    cgroup = lease.cgroup
    if cgroup is None:
        return []
    masked = lease.level is not Level.ADVISORY and bool(ledger.governed.ranges)
    others = sharers(ledger, lease, along)
    if others:
        # Advisory ones keep the program that is there: it must not go on to allow more.
        mask = mask_for(ledger, others) or (_mask_of(ledger, others) if masked else None)
        return [] if mask is None else [Remask(cgroup, mask)]
    if not cgroup.made:
        return [Unprepare(cgroup)]
    if kill:
        return [Terminate(cgroup)]
    return [Remask(cgroup, nothing(ledger))] if masked else []


def masks(ledger: Ledger) -> dict[LeaseCgroup, Mask]:
    """Give the mask that each cgroup of a live lease has to have; empty while none is known.

    Before the first sample nothing is known of nodes, and a mask without rules allows all.
    """
    found: dict[LeaseCgroup, Mask] = {}
    if not ledger.governed.ranges:
        return found
    for path in ledger.cgroups():
        here = ledger.in_cgroup(path)
        if any(one.state is LeaseState.PREPARING for one in here):
            continue  # it gets its mask right now
        usable = [one for one in here if one.usable]
        # Until the processes of a lease that is killed are gone, they keep what they had.
        holding = usable or [one for one in here if one.clocks.kill is not None]
        cgroup = (usable or here)[-1].cgroup  # the newest: an older one may be gone
        if usable and cgroup is not None:
            holding = usable_of(ledger, cgroup)
        mask = mask_for(ledger, holding) if holding else _leftover(ledger, here)
        if cgroup is not None and mask is not None and (usable or cgroup.made):
            found[cgroup] = mask
    return found


def masked(ledger: Ledger, event: Masked, now: Moment) -> Decision:
    """Take note whether a cgroup has its mask: the level of its leases says so."""
    changes: list[Change] = []
    for lease in usable_in(ledger, event.cgroup.path):
        fallen = without_program(lease.request)
        level = Level.DEVICE_PROGRAM if event.failure is None else fallen
        advisory = lease.request.enforce is Enforce.ADVISORY
        if lease.cgroup != event.cgroup or advisory or lease.level is level:
            continue
        why = event.failure or ""
        told = why or "the kernel holds its mask again"
        after = replace(lease, level=level, level_reason=why)
        changes += [LeaseChanged(after), enforcement(lease.id, told, now)]
    return Decision(tuple(changes))


def _mask_of(ledger: Ledger, leases: Collection[Lease]) -> Mask:
    devices = {share.device for one in leases for share in one.shares}
    return mask_of(devices, ledger.devices.values(), ledger.governed)


def _leftover(ledger: Ledger, leases: Collection[Lease]) -> Mask | None:
    advisory = all(one.level is Level.ADVISORY for one in leases)
    return None if advisory else nothing(ledger)
