"""Priority classes, and the order of service that follows from them.

A class is worth a number of steps; each step counts as if the request had come `ageing` earlier.
So within a class the first comes first, a higher class passes a lower one, and nobody starves:
who came early enough is not passed by any class. Because the order of two requests never changes,
it is kept as a number and not worked out again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gpusched.core.ids import SECOND, Caller, Instant

DEFAULT = "normal"
"""Name of the class of a request that names none, unless it is configured."""


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A class of requests.

    Attributes:
        value: Steps that it is worth; less than 0: it gives way.
        preemptible: Whether its leases may be ended for a higher class.
        uids: Who may use it; None: everybody.
        gids: Groups whose members may, beside *uids*.
    """

    value: int = 0
    preemptible: bool = False
    uids: frozenset[int] | None = None
    gids: frozenset[int] = frozenset()

    def admits(self, caller: Caller) -> bool:
        """Say whether *caller* may use it; administrators may use every class."""
        if caller.admin or self.uids is None:
            return True
        return caller.uid in self.uids or caller.gid in self.gids


CLASSES: Mapping[str, PriorityClass] = MappingProxyType(
    {
        "high": PriorityClass(10, uids=frozenset()),
        DEFAULT: PriorityClass(),
        "low": PriorityClass(-10, preemptible=True),
    }
)
"""The classes where none are configured: `high` is for administrators."""


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

    def rank(self, name: str | None, arrived: Instant) -> int:
        """Give the place in the order of service: the lower one is served first.

        A class that is not configured any more counts as worth nothing.
        """
        found = self.classes.get(self.named(name))
        return arrived - (0 if found is None else found.value) * self.ageing


FIRST_COME = QueueRules()
