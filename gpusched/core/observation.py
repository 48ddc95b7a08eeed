"""What is found in the kernel of leases: cgroups and the programs on them. Values only."""

from dataclasses import dataclass

from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.ids import Instant


@dataclass(frozen=True, slots=True)
class SeenCgroup:
    """A cgroup that gpusched made, or one that carries a program of gpusched's.

    Attributes:
        cgroup: Which.
        populated: Whether a process lives in it or below it.
        digest: `Mask.digest` of the program of ours on it; None: there is none.
    """

    cgroup: LeaseCgroup
    populated: bool
    digest: str | None


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the kernel.

    Attributes:
        seen: What was found.
        guard: Whether the host-wide guard is on.
        guard_denied: Opens that it has denied; None where they are not counted.
        begun_at: When the look began: what was made later is not in it.
    """

    seen: tuple[SeenCgroup, ...]
    begun_at: Instant
    guard: bool = False
    guard_denied: int | None = None


NOTHING_SEEN = Observation((), Instant(0))
