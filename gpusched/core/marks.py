"""Marks on a device that outlive the daemon: an operator's cordon, and taints of its health.

Values only.
"""

from dataclasses import dataclass
from enum import Enum

from gpusched.core.ids import Instant, Moment


class TaintEffect(Enum):
    """What a taint does to scheduling; the words of Kubernetes' device taints."""

    NONE = "none"
    NO_SCHEDULE = "no-schedule"
    EVICT = "evict"


@dataclass(frozen=True, slots=True)
class Taint:
    """A health mark with an effect on scheduling.

    Attributes:
        key: What it is for, such as `xid-79`.
        effect: What it does.
        reason: Why, in one sentence.
        at: Since when.
        clears: When it goes by itself; None: it does not.
        recovery: What helps, in the driver's words; empty where that is not known.
    """

    key: str
    effect: TaintEffect
    reason: str
    at: Moment
    clears: Instant | None = None
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class Cordon:
    """An operator's mark: no new leases.

    Attributes:
        reason: Why; never empty.
        uid: Who set it.
        user: Name of that uid; empty where it has none.
        at: Since when.
        deadline: When the leases that remain are ended; None: cordoned, not drained.
        in_place: Whether processes of leases in place are signalled then, too.
    """

    reason: str
    uid: int
    user: str
    at: Moment
    deadline: Instant | None = None
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks of one device.

    Attributes:
        cordon: The operator's; None: none.
        taints: By the order in which they came; no two of one key.
    """

    cordon: Cordon | None = None
    taints: tuple[Taint, ...] = ()

    @property
    def none(self) -> bool:
        """Whether nothing is marked."""
        return self.cordon is None and not self.taints


UNMARKED = Marks()
