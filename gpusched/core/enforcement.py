"""How far a mask is held and by whom, and the cgroup that holds it. Values only."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """Who holds the mask of a lease, from nobody to the kernel for the whole host."""

    ADVISORY = "advisory"
    LANDLOCK = "landlock"
    DEVICE_PROGRAM = "device_program"
    GUARD = "guard"


HELD = frozenset(Level) - {Level.ADVISORY}
"""Levels at which the kernel denies what is not leased."""


@dataclass(frozen=True, slots=True)
class Ability:
    """What the daemon can do on this host.

    Attributes:
        level: The highest level that a lease can reach.
        sentence: What that means, or why it is not a higher one.
        cgroups: Whether leases get cgroups, at any level.
        guard: Whether the host-wide guard is on.
    """

    level: Level
    sentence: str
    cgroups: bool = False
    guard: bool = False


NOT_PROBED = Ability(Level.ADVISORY, "it has not been found out yet what this host can enforce")


@dataclass(frozen=True, slots=True)
class LeaseCgroup:
    """The cgroup whose processes are a lease's.

    Attributes:
        path: Relative to the root of the cgroup2 hierarchy, with a leading slash.
        inode: Of its directory: the kernel's cgroup id, its identity.
        made: Whether gpusched made it; else the lease is attached in place.
    """

    path: str
    inode: int
    made: bool


class Mode(Enum):
    """How a process comes under a lease."""

    MOVE = "move"
    IN_PLACE = "in_place"
    RECORD = "record"
