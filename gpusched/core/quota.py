"""Quotas: bounds on what a user, a group or a label may have. Values and rules; no ledger.

All that match apply. A bound for each user is a default: it holds for what no quota of that very
user says (ADR 12).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gpusched.core import durations, sizes
from gpusched.core.ids import SECOND, Caller
from gpusched.core.tally import Subject, Taken, subjects_of


class Resource(Enum):
    """What a quota bounds, by the names of the public API."""

    DEVICES = "devices"
    MEMORY = "memory_bytes"
    LEASES = "leases"
    WAITING = "waiting"
    TIME_LIMIT = "time_limit_seconds"


_WORDS: Mapping[Resource, str] = MappingProxyType(
    {
        Resource.DEVICES: "devices",
        Resource.MEMORY: "memory",
        Resource.LEASES: "leases",
        Resource.WAITING: "waiting requests",
        Resource.TIME_LIMIT: "time limit",
    }
)
NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class QuotaExcess:
    """How much of a bound is used, and what is asked for beside that.

    Attributes:
        subject: Whose quota it is, in the words of the configuration.
        resource: What it bounds.
        used: In use: a number, bytes, or nanoseconds.
        wanted: Asked for.
        allowed: Allowed.
    """

    subject: str
    resource: Resource
    used: int
    wanted: int
    allowed: int


class Exempt(Enum):
    """Whom no quota bounds."""

    NOBODY = "nobody"
    ROOT = "root"
    ADMINS = "admins"

    def frees(self, caller: Caller) -> bool:
        """Say whether *caller* has no bounds; root is an administrator, too."""
        if self is Exempt.NOBODY:
            return False
        return caller.uid == 0 or (self is Exempt.ADMINS and caller.admin)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one quota allows.

    Attributes:
        name: Whose it is, in the words of the configuration: `user ann`, `gid 100`.
        allowed: By resource: numbers, bytes, nanoseconds; what is not there is not bounded.
    """

    name: str
    allowed: Mapping[Resource, int]


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound that holds for somebody.

    Attributes:
        subject: On whose account what he has is.
        name: Whose quota it is.
        resource: What is bounded.
        allowed: How much of it there may be.
    """

    subject: Subject
    name: str
    resource: Resource
    allowed: int

    def excess(self, used: int, wanted: int) -> QuotaExcess | None:
        """Say that *wanted* beside *used* is too much; None: it is not."""
        if used + wanted <= self.allowed:
            return None
        return QuotaExcess(self.name, self.resource, used, wanted, self.allowed)


@dataclass(frozen=True, slots=True)
class Quotas:
    """All quotas.

    Attributes:
        bounds: By whose they are, in the order of the configuration.
        each: The default of each user.
        exempt: Whom none of them bounds.
        shortest: The least of the longest times that they allow, in nanoseconds; None: none does.
    """

    bounds: Mapping[Subject, Bounds] = field(default_factory=lambda: NO_BOUNDS)
    each: Bounds | None = None
    exempt: Exempt = Exempt.NOBODY
    shortest: int | None = field(init=False, repr=False, compare=False)
    _made: Mapping[Subject, tuple[Bound, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once for all requests: making them is most of what a check costs.
        made = {subject: tuple(_each(subject, found)) for subject, found in self.bounds.items()}
        object.__setattr__(self, "_made", made)
        every = [*self.bounds.values(), *filter(None, [self.each])]
        times = [one.allowed.get(Resource.TIME_LIMIT) for one in every]
        shortest = min((one for one in times if one is not None), default=None)
        object.__setattr__(self, "shortest", shortest)

    def __str__(self) -> str:
        found = [*self.bounds.values(), *filter(None, [self.each])]
        free = [] if self.exempt is Exempt.NOBODY else [f"free of them: {self.exempt.value}"]
        return "; ".join([*map(_told, found), *free]) or "none"

    def on(self, caller: Caller, labels: Mapping[str, str] = NO_LABELS) -> Iterator[Bound]:
        """Give what bounds a request of *caller* with *labels*; none where he is exempt."""
        if self.each is None and not self.bounds:
            return
        if self.exempt.frees(caller):
            return
        if self.each is not None:
            yield from self._default(Subject("uid", caller.uid), self.each)
        if self.bounds:
            for subject in subjects_of(caller.uid, caller.gid, caller.groups, labels):
                yield from self._made.get(subject, ())

    def labelled(self) -> Iterator[Bound]:
        """Give the bounds on labels, which anybody's request may have."""
        for subject, bounds in self._made.items():
            if subject.kind == "label":
                yield from bounds

    def _default(self, subject: Subject, each: Bounds) -> Iterator[Bound]:
        """Give what holds for each user and is not said of this one."""
        own = self.bounds.get(subject)
        for resource, allowed in each.allowed.items():
            if own is None or resource not in own.allowed:
                yield Bound(subject, each.name, resource, allowed)


NO_BOUNDS: Mapping[Subject, Bounds] = MappingProxyType({})
UNBOUNDED = Quotas()


def used_of(resource: Resource, taken: Taken, waiting: int) -> int:
    """Give how much of *resource* is in use; of a longest time nothing ever is."""
    if resource is Resource.DEVICES:
        return taken.devices
    if resource is Resource.MEMORY:
        return taken.memory
    if resource is Resource.LEASES:
        return len(taken.leases)
    return waiting if resource is Resource.WAITING else 0


def sentence_of(excess: QuotaExcess) -> str:
    """Say what is too much: `quota of user ann: devices: 3 of 4 used, 2 wanted`."""
    what = f"quota of {excess.subject}: {_WORDS[excess.resource]}"
    used, wanted, allowed = (
        amount(excess.resource, many) for many in (excess.used, excess.wanted, excess.allowed)
    )
    if excess.resource is Resource.TIME_LIMIT:
        return f"{what}: {allowed} at most, {wanted} wanted"
    return f"{what}: {used} of {allowed} used, {wanted} wanted"


def amount(resource: Resource, many: int) -> str:
    """Give an amount of *resource* in words: `3`, `40 GiB`, `1d`."""
    if resource is Resource.MEMORY:
        return sizes.in_words(many)
    if resource is Resource.TIME_LIMIT:
        return durations.in_words(many)
    return str(many)


def as_told(resource: Resource, many: int) -> int:
    """Give an amount in the unit that clients are told it in: a time in whole seconds."""
    return many // SECOND if resource is Resource.TIME_LIMIT else many


def _each(subject: Subject, bounds: Bounds) -> Iterator[Bound]:
    for resource, allowed in bounds.allowed.items():
        yield Bound(subject, bounds.name, resource, allowed)


def _told(bounds: Bounds) -> str:
    words = ", ".join(f"{_WORDS[key]} {amount(key, many)}" for key, many in bounds.allowed.items())
    return f"{bounds.name}: {words}"
