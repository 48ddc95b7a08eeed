"""The shape of an answer of `decide`: changes, actions, reply."""

from dataclasses import dataclass

from gpusched.core.actions import Action
from gpusched.core.changes import Change
from gpusched.core.replies import Reply


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one event.

    Attributes:
        changes: To be applied, in this order, and committed together.
        actions: To be done after the commit.
        reply: To whoever asked, after the commit; None where nobody waits.
    """

    changes: tuple[Change, ...] = ()
    actions: tuple[Action, ...] = ()
    reply: Reply | None = None
