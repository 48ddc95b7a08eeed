"""What can happen to requests that wait, beside the verbs of clients."""

from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.waiting import Key


@dataclass(frozen=True, slots=True)
class TurnCame:
    """Something has changed that may let one of those who wait be served."""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """Nobody listens any more for the answer to a request that waits."""

    key: Key


QueueEvent: TypeAlias = TurnCame | ClientLeft
"""Everything that happens to requests that wait."""
