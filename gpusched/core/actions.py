"""What the world is asked to do once a decision is durable. Outcomes come back as events."""

from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.ids import ProcessId


@dataclass(frozen=True, slots=True)
class WatchExit:
    """Take a sample at once when *process* ends."""

    process: ProcessId


@dataclass(frozen=True, slots=True)
class TakeSample:
    """Take a sample now, not only at the next tick."""


Action: TypeAlias = WatchExit | TakeSample
