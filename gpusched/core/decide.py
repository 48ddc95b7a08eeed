"""The one function that decides: an event and the ledger in, changes, actions and a reply out.

It dispatches; each verb's file decides. Nothing here or below touches the world, and the ledger
it reads is changed only by whoever applies the changes.
"""

from typing import assert_never

from gpusched.core import events as e
from gpusched.core.adopting import about_strays
from gpusched.core.attaching import (
    join_failed,
    lease_joined,
    lease_prepared,
    prepare_failed,
    unprepared,
)
from gpusched.core.changes import PolicyChanged
from gpusched.core.decision import Decision
from gpusched.core.ending import emptied
from gpusched.core.enforcing import masked
from gpusched.core.granting import allocate, explain
from gpusched.core.guarding import guard_requested, guard_set
from gpusched.core.holding import attach, cancel, forget, release, renew, revoke
from gpusched.core.ids import Moment
from gpusched.core.leaving import client_left
from gpusched.core.ledger import Ledger
from gpusched.core.marking import operated
from gpusched.core.operator_events import OperatorEvent
from gpusched.core.queue import turn
from gpusched.core.queue_events import ClientLeft, TurnCame
from gpusched.core.reconcile import observed
from gpusched.core.recovering import recover
from gpusched.core.story import daemon
from gpusched.core.stray_events import StrayEvent
from gpusched.core.ticking import tick


def decide(ledger: Ledger, event: e.Event, now: Moment) -> Decision:  # noqa: C901, PLR0911, PLR0912 - a dispatch
    """Say what follows from *event*; *ledger* is only read."""
    match event:
        case e.AllocateRequested():
            return allocate(ledger, event, now)
        case e.ExplainRequested():
            return explain(ledger, event, now)
        case e.AttachRequested():
            return attach(ledger, event, now)
        case e.RenewRequested():
            return renew(ledger, event, now)
        case e.ReleaseRequested():
            return release(ledger, event, now)
        case e.RevokeRequested():
            return revoke(ledger, event, now)
        case e.CancelRequested():
            return cancel(ledger, event, now)
        case e.GuardRequested():
            return guard_requested(ledger, event)
        case e.ForgetRequested():
            return forget(ledger, event, now)
        case e.Ticked():
            return tick(ledger, event, now)
        case e.Recovered():
            return recover(ledger, event, now)
        case e.PolicyRead():
            words = ", ".join(f"{key} = {value}" for key, value in event.changed.items())
            told = daemon(f"configuration read: {words or 'nothing changed'}", now)
            return Decision((PolicyChanged(event.policy), told))
        case _ if isinstance(event, OperatorEvent):
            return operated(ledger, event, now)
        case _ if isinstance(event, StrayEvent):
            return about_strays(ledger, event, now)
        case TurnCame():
            return turn(ledger, now)
        case ClientLeft():
            return client_left(ledger, event, now)
        case _:
            return _decide_on_kernel(ledger, event, now)


def _decide_on_kernel(ledger: Ledger, event: e.KernelEvent, now: Moment) -> Decision:  # noqa: C901, PLR0911 - a dispatch
    """Say what follows from something that the kernel has done, or was found in it."""
    match event:
        case e.LeasePrepared():
            return lease_prepared(ledger, event, now)
        case e.PrepareFailed():
            return prepare_failed(ledger, event, now)
        case e.LeaseJoined():
            return lease_joined(ledger, event, now)
        case e.JoinFailed():
            return join_failed(event)
        case e.Masked():
            return masked(ledger, event, now)
        case e.Unprepared():
            return unprepared(ledger, event)
        case e.GuardSet():
            return guard_set(ledger, event, now)
        case e.CgroupEmptied():
            return emptied(ledger, event, now)
        case e.Observed():
            return observed(ledger, event, now)
        case _:
            assert_never(event)
