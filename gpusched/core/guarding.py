"""Decides on the host-wide guard: whether a process without a lease may open a device at all.

The truth is in the kernel: the guard outlives the daemon, and can be turned off without it.
"""

from dataclasses import replace

from gpusched.core.actions import SetGuard
from gpusched.core.changes import AbilityFound, Change
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Level
from gpusched.core.events import GuardRequested, GuardSet
from gpusched.core.ids import Moment
from gpusched.core.ledger import Ledger
from gpusched.core.replies import NOT_ADMIN, Done, Guarding, Refusal, Rejected
from gpusched.core.story import guard


def guard_requested(ledger: Ledger, event: GuardRequested) -> Decision:
    """Turn the guard on or off; on already is turned on again: it may be out of date."""
    if not event.caller.admin:
        return Decision(reply=NOT_ADMIN)
    if event.on and ledger.ability.level is not Level.DEVICE_PROGRAM:
        sentence = f"the guard cannot be had here: {ledger.ability.sentence}"
        return Decision(reply=Rejected(Refusal.NEVER_HERE, sentence))
    if event.on and not ledger.governed.ranges:
        sentence = "the guard cannot be turned on yet: no device nodes are known"
        return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))
    return Decision((), (turned(ledger, on=event.on),), Guarding())


def turned(ledger: Ledger, *, on: bool) -> SetGuard:
    """Give the order to turn the guard on or off as the ledger is now."""
    cgroups = {one.cgroup for one in ledger.live() if one.cgroup is not None and one.usable}
    admitted = tuple(sorted(cgroups, key=lambda one: one.path))
    return SetGuard(on, ledger.governed, admitted)


def guard_set(ledger: Ledger, event: GuardSet, now: Moment) -> Decision:
    """Take note of what the guard is."""
    changes = tuple(guard_seen(ledger, event.on, now))
    if event.failure is not None:
        return Decision(changes, reply=Rejected(Refusal.WRONG_STATE, event.failure))
    return Decision(changes, reply=Done(()))


def guard_seen(ledger: Ledger, on: bool, now: Moment) -> list[Change]:  # noqa: FBT001 - a fact
    """Give what changes when the guard is found on or off."""
    if on is ledger.ability.guard:
        return []
    return [AbilityFound(replace(ledger.ability, guard=on)), guard(on, now)]
