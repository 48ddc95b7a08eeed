"""The one function that decides: an event and the ledger in, changes, actions and a reply out.

It dispatches; each verb's file decides. Nothing here or below touches the world, and the ledger
it reads is changed only by whoever applies the changes.
"""

from typing import assert_never

from gpusched.core import events as e
from gpusched.core.changes import PolicyChanged
from gpusched.core.decision import Decision
from gpusched.core.granting import allocate, explain
from gpusched.core.holding import attach, cancel, release, renew
from gpusched.core.ids import Moment
from gpusched.core.ledger import Ledger
from gpusched.core.recovering import recover
from gpusched.core.story import daemon
from gpusched.core.ticking import tick


def decide(ledger: Ledger, event: e.Event, now: Moment) -> Decision:  # noqa: C901, PLR0911 - a dispatch
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
        case e.CancelRequested():
            return cancel(ledger, event, now)
        case e.Ticked():
            return tick(ledger, event, now)
        case e.Recovered():
            return recover(ledger, event, now)
        case e.PolicyRead():
            words = ", ".join(f"{key} = {value}" for key, value in event.changed.items())
            told = daemon(f"configuration read: {words or 'nothing changed'}", now)
            return Decision((PolicyChanged(event.policy), told))
        case _:
            assert_never(event)
