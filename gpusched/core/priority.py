"""Priority classes, and the order of service that follows from them.

A class is worth a number of steps; each step counts as if the request had come `ageing` earlier.
So within a class the first comes first, a higher class passes a lower one, and nobody starves:
who came early enough is not passed by any class. Because the order of two requests never changes,
it is kept as a number and not worked out again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gpusched.core.ids import SECOND, Instant
from gpusched.core.rights import ADMINS_ONLY, EVERYBODY, Rights

DEFAULT = "normal"
"""Name of the class of a request that names none, unless it is configured."""


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A class of requests.

    Attributes:
        value: Steps that it is worth; less than 0: it gives way.
        preemptible: Whether its leases may be ended for a higher class.
        rights: Who may use it.
    """

    value: int = 0
    preemptible: bool = False
    rights: Rights = EVERYBODY

    def __str__(self) -> str:
        gives_way = ", preemptible" if self.preemptible else ""
        whose = f", for {self.rights.words}" if self.rights.words else ""
        return f"{self.value}{gives_way}{whose}"


PLAIN = PriorityClass()

CLASSES: Mapping[str, PriorityClass] = MappingProxyType(
    {
        "high": PriorityClass(10, rights=ADMINS_ONLY),
        DEFAULT: PriorityClass(),
        "low": PriorityClass(-10, preemptible=True),
    }
)
"""The classes that are there unless they are configured otherwise."""


@dataclass(frozen=True, slots=True)
class QueueRules:
    """How requests wait. Durations are nanoseconds.

    Attributes:
        classes: By name.
        default: Name of the class of a request that names none.
        ageing: How much earlier a request counts as having come, for each step of its class.
        grace: How long a request keeps its place though its client is gone.
        preemption: Whether leases of preemptible classes are ended for higher ones.
        notice: Between the notice to such a lease and SIGTERM.
    """

    classes: Mapping[str, PriorityClass] = field(default_factory=lambda: CLASSES)
    default: str = DEFAULT
    ageing: int = 360 * SECOND
    grace: int = 120 * SECOND
    preemption: bool = True
    notice: int = 30 * SECOND

    def named(self, name: str | None) -> str:
        """Give the name of a request's class."""
        return self.default if name is None else name

    def class_of(self, name: str | None) -> PriorityClass:
        """Give a request's class; one that is not configured any more is worth nothing."""
        return self.classes.get(self.named(name), PLAIN)

    def rank(self, name: str | None, arrived: Instant) -> int:
        """Give the place in the order of service: the lower one is served first."""
        return arrived - self.class_of(name).value * self.ageing


FIRST_COME = QueueRules()
