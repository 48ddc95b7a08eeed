"""A breach of a lease's terms that lasts, and how far it has been answered. Values only."""

from dataclasses import dataclass
from enum import Enum

from gpusched.core.ids import DeviceUuid, Instant, Moment, ProcessId


class ViolationKind(Enum):
    """The two ways in which a lease can break its terms."""

    OVER_LIMIT = "over_limit"
    OUTSIDE_MASK = "outside_mask"


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach; it goes when a sample shows that it is over.

    Attributes:
        kind: Which.
        device: Where.
        process: Who, where one can be named; None: the lease as a whole.
        since: When a sample first showed it.
        memory: Bytes that the last sample showed there.
        deadline: When the lease is ended for it; None: it is not.
    """

    kind: ViolationKind
    device: DeviceUuid
    process: ProcessId | None
    since: Moment
    memory: int
    deadline: Instant | None = None
