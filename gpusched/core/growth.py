"""How far the memory of a lease that starts has grown on one device. Values only."""

from dataclasses import dataclass

from gpusched.core.ids import Instant


@dataclass(frozen=True, slots=True)
class Growth:
    """The last step up.

    Attributes:
        memory: Bytes that its processes had then.
        since: When a sample first showed that much.
    """

    memory: int
    since: Instant
