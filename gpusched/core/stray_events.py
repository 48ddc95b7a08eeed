"""What can happen about strays beside the samples that show them."""

from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.ids import Caller, LeaseId, ProcessId
from gpusched.core.standing import Standing


@dataclass(frozen=True, slots=True)
class AdoptRequested:
    """An operator wants a lease for what runs already.

    Attributes:
        caller: Who asks.
        process: One of the processes meant; the last sample says which belong to it.
        standing: Where it is, and whose it is and what goes with it are.
        own: The daemon itself; None where it is not known.
        user: Name of the process's user, for display.
        gid: Primary group of that user, for display.
        lease_id: Fresh; used if a lease comes of it.
        dry_run: Whether only to say what would be done.
    """

    caller: Caller
    process: ProcessId
    standing: Standing
    own: ProcessId | None
    user: str
    gid: int
    lease_id: LeaseId
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class SignalFailed:
    """A process could not be signalled; *sentence* says why."""

    process: ProcessId
    sentence: str


StrayEvent: TypeAlias = AdoptRequested | SignalFailed
"""Everything that can happen about strays."""
