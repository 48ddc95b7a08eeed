"""Memory that an ended lease did not give back: how it is measured. Values only."""

from dataclasses import dataclass

from gpusched.core.ids import LeaseId, Moment
from gpusched.core.sample import DeviceReading, Unavailable


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


def unattributed(reading: DeviceReading) -> int | None:
    """Give the bytes in use that no process of the list has; None where that is not known."""
    if isinstance(reading.memory, Unavailable) or isinstance(reading.contexts, Unavailable):
        return None
    attributed = 0
    for context in reading.contexts:
        if isinstance(context.memory, Unavailable):
            return None
        attributed += context.memory
    return max(0, reading.memory.used - attributed)
