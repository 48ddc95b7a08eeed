"""Decides at the start of the daemon: what of the stored ledger is still true.

Pure and idempotent: recovering twice changes nothing the second time but the clocks. Masks are
looked at with the first sample, when the nodes of the devices are known; until then the programs
that are attached hold.
"""

from gpusched.core.actions import Action, Observe, ReleaseDriver, WatchExit
from gpusched.core.changes import AbilityFound, Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.ending import given_up, going_back
from gpusched.core.events import Recovered
from gpusched.core.ids import Moment
from gpusched.core.lease import EndReason, LeaseState, confirm, end, void
from gpusched.core.leaving import rebooted, restarted
from gpusched.core.ledger import Ledger
from gpusched.core.marking import after_boot
from gpusched.core.reconcile import reconcile, roll_back
from gpusched.core.story import daemon, ended, ending
from gpusched.core.ticking import extend_all

INTERRUPTED = "the daemon ended while it was prepared"


def recover(ledger: Ledger, event: Recovered, now: Moment) -> Decision:
    """End every lease of another boot; keep the others, and give them the time we were away."""
    if event.stored_boot not in (None, event.boot):
        return _rebooted(ledger, event, now)
    changes: list[Change] = [AbilityFound(event.ability)]
    changes.append(daemon(f"gpusched {event.version} started", now))
    away = 0 if event.alive_at is None else max(0, now.instant - event.alive_at)
    changes += extend_all(ledger, away, "the daemon was away", now)
    changes += restarted(ledger, away, now)
    actions: list[Action] = [
        WatchExit(process)
        for lease in ledger.live()
        if lease.cgroup is None
        for process in lease.processes
    ]
    if ledger.released is not None:
        actions.append(ReleaseDriver())
    if not event.ability.cgroups:
        return Decision((*changes, *_abandoned(ledger, now)), tuple(actions))
    undone = _undone(ledger, event, now)
    found = reconcile(ledger, event.observation, now)
    return Decision(
        (*changes, *undone.changes, *found.changes), (*actions, *undone.actions, *found.actions)
    )


def _undone(ledger: Ledger, event: Recovered, now: Moment) -> Decision:
    """Roll back what was being prepared."""
    preparing = [one for one in ledger.live() if one.state is LeaseState.PREPARING]
    along = frozenset(one.id for one in preparing)
    changes: list[Change] = []
    actions: list[Action] = []
    for lease in preparing:
        failed = end(lease, EndReason.PREPARE_FAILED, now, detail=INTERRUPTED)
        after = given_up(ledger, failed, along)
        changes += [LeaseChanged(after), ending(after, now)]
        actions += roll_back(ledger, after, event.observation, along)
    return Decision(tuple(changes), (*actions, Observe()) if preparing else ())


def _abandoned(ledger: Ledger, now: Moment) -> list[Change]:
    """End what was being prepared where no cgroups can be had: a later daemon clears it away."""
    changes: list[Change] = []
    for lease in ledger.live():
        if lease.state is LeaseState.PREPARING:
            failed = end(lease, EndReason.PREPARE_FAILED, now, detail=INTERRUPTED)
        elif going_back(lease):
            failed = lease
        else:
            continue
        over = confirm(failed, now)
        changes += [LeaseChanged(over), ended(over, now)]
    return changes


def _rebooted(ledger: Ledger, event: Recovered, now: Moment) -> Decision:
    changes: list[Change] = [AbilityFound(event.ability)]
    changes.append(daemon(f"gpusched {event.version} started after a boot", now))
    for lease in ledger.live():
        over = void(lease, EndReason.REBOOT, now)
        changes += [LeaseChanged(over), ended(over, now)]
    return Decision((*changes, *rebooted(ledger, now), *after_boot(ledger, now)))
