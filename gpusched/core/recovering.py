"""Decides at the start of the daemon: what of the stored ledger is still true.

Pure and idempotent: recovering twice changes nothing the second time but the clocks.
"""

from gpusched.core.actions import Action, WatchExit
from gpusched.core.changes import Change, LeaseChanged
from gpusched.core.decision import Decision
from gpusched.core.events import Recovered
from gpusched.core.ids import Moment
from gpusched.core.lease import EndReason, void
from gpusched.core.ledger import Ledger
from gpusched.core.story import daemon, ended
from gpusched.core.ticking import extend_all


def recover(ledger: Ledger, event: Recovered, now: Moment) -> Decision:
    """End every lease of another boot; keep the others, and give them the time we were away."""
    if event.stored_boot not in (None, event.boot):
        return _rebooted(ledger, event, now)
    changes: list[Change] = [daemon(f"gpusched {event.version} started", now)]
    away = 0 if event.alive_at is None else max(0, now.instant - event.alive_at)
    changes += extend_all(ledger, away, "the daemon was away", now)
    actions: list[Action] = [
        WatchExit(process) for lease in ledger.live() for process in lease.processes
    ]
    return Decision(tuple(changes), tuple(actions))


def _rebooted(ledger: Ledger, event: Recovered, now: Moment) -> Decision:
    changes: list[Change] = [daemon(f"gpusched {event.version} started after a boot", now)]
    for lease in ledger.live():
        over = void(lease, EndReason.REBOOT, now)
        changes += [LeaseChanged(over), ended(over, now)]
    return Decision(tuple(changes))
