"""Memory that an ended lease did not give back. Values only."""

from dataclasses import dataclass

from gpusched.core.ids import LeaseId, Moment


@dataclass(frozen=True, slots=True)
class Ghost:
    """Memory of a device that stayed when its lease had ended, and that no process has.

    Attributes:
        memory: Bytes, when it was found.
        baseline: Bytes that belonged to no process before the lease: what is normal there.
        lease: The lease that left it.
        since: When it was found.
    """

    memory: int
    baseline: int
    lease: LeaseId
    since: Moment
