"""A request that waits for devices: one durable row, with its place in the order of service."""

from collections.abc import Hashable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TypeAlias

from gpusched.core.ids import Caller, Instant, LeaseId, Moment, RequestId
from gpusched.core.request import Request

Key: TypeAlias = tuple[int, RequestId]
"""Whose request, and which: the holder's uid and the request's id."""

Order: TypeAlias = tuple[int, int]
"""Place in the order of service: the lower one is served first."""

_OWN = frozenset({"request_id", "wait", "wait_without_limit", "owner", "labels"})
"""Fields of a request that matter to nothing that is decided about its devices; and its labels,
which quotas count, and which cannot be hashed."""

_wanted = attrgetter(*(one.name for one in fields(Request) if one.name not in _OWN))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that could be granted later; every version of it is one row.

    Attributes:
        request: What is asked for.
        uid: User that will hold the lease.
        gid: Its group.
        user: Its name when it asked; for display, never for a decision.
        admin: Whether it was root or an administrator.
        lease_id: Of the lease that comes of it.
        arrived: When it was first asked for.
        number: How many had arrived before it.
        rank: Its arrival (CLOCK_BOOTTIME nanoseconds), put back by what its class is worth: see
            `priority.rank`. It does not change, so that nobody is overtaken by who comes late
            enough.
        priority: Name of its class.
        deadline: When it gives up; None: never.
        abandoned: When it leaves because its client is gone; None: the client is there.
        groups: Supplementary groups of who asked, as the kernel told them.
    """

    request: Request
    uid: int
    gid: int
    user: str
    admin: bool
    lease_id: LeaseId
    arrived: Moment
    number: int
    rank: int
    priority: str
    deadline: Instant | None = None
    abandoned: Instant | None = None
    groups: tuple[int, ...] = ()

    @property
    def key(self) -> Key:
        """Its identity."""
        return self.uid, self.request.request_id

    @property
    def order(self) -> Order:
        """Its place in the order of service."""
        return self.rank, self.number

    @property
    def clock(self) -> Instant | None:
        """The first of its deadlines; None: none runs."""
        running = [one for one in (self.deadline, self.abandoned) if one is not None]
        return min(running, default=None)

    @property
    def classed(self) -> Request:
        """What is asked for, in the class that it came in: the default may be another by now."""
        return replace(self.request, priority=self.priority)

    @property
    def caller(self) -> Caller:
        """Who asked, as far as the grant depends on it."""
        return Caller(self.uid, self.gid, user=self.user, admin=self.admin, groups=self.groups)


def shape_of(waiting: Waiting) -> Hashable:
    """Give what decides about a request's devices: of two with one shape the earlier is served."""
    labels = tuple(sorted(waiting.request.labels.items()))
    who = waiting.uid, waiting.gid, waiting.groups, waiting.admin
    return *who, waiting.priority, labels, _wanted(waiting.request)


def owned(request: Request, by: Request) -> Request:
    """Give *request* with what *by*, one of the same shape, has of its own."""
    return replace(request, **{name: getattr(by, name) for name in _OWN})


def same(one: Request, other: Request) -> bool:
    """Say whether two requests with one id ask for the same; who comes back may wait less."""
    return all(
        getattr(one, field.name) == getattr(other, field.name)
        for field in fields(one)
        if field.name not in ("wait", "wait_without_limit")
    )
