"""The requests that wait, in the order of service, and their indexes.

The ledger's `apply` alone puts them in and takes them out. A place is found by bisection: a
hundred thousand of them cost some twenty microseconds to put in or to take out.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from gpusched.core.ids import Instant
from gpusched.core.selection import selection_of
from gpusched.core.tally import Subject, subjects_of
from gpusched.core.waiting import Key, Order, Waiting, shape_of

Place: TypeAlias = tuple[Order, Key]


@dataclass(slots=True)
class Alike:
    """The requests that mean the same devices.

    Attributes:
        shapes: The places of those of each shape, in the order of service.
        firsts: The first place of each shape, in the order of service, and which shape it is.
    """

    shapes: dict[Hashable, list[Place]] = field(default_factory=dict)
    firsts: list[tuple[Place, Hashable]] = field(default_factory=list)

    def put(self, place: Place, shape: Hashable) -> None:
        """Put in a request."""
        places = self.shapes.setdefault(shape, [])
        if places and place < places[0]:
            del self.firsts[_at(self.firsts, places[0])]
        if not places or place < places[0]:
            insort(self.firsts, (place, shape), key=_place)
        insort(places, place)

    def drop(self, place: Place, shape: Hashable) -> None:
        """Take out a request."""
        places = self.shapes[shape]
        first = place == places[0]
        _remove(places, place)
        if first:
            del self.firsts[_at(self.firsts, place)]
        if not places:
            del self.shapes[shape]
        elif first:
            insort(self.firsts, (places[0], shape), key=_place)


class WaitingTable:
    """Requests that wait."""

    def __init__(self) -> None:
        self._rows: dict[Key, Waiting] = {}
        self._order: list[Place] = []
        self._clocks: list[tuple[Instant, Key]] = []
        self._limits: list[tuple[int, Key]] = []
        self._alike: dict[Hashable, Alike] = {}
        self._counts: Counter[Subject] = Counter()
        self._classes: Counter[str] = Counter()
        self.arrivals = 0
        """How many have arrived since the queue was last empty at a start."""
        self.attainable: set[Hashable] = set()
        """Wishes that the host, as it was last read, can serve at some time."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Waiting]:
        """Give them in the order of service."""
        return (self._rows[key] for _, key in self._order)

    def get(self, key: Key) -> Waiting | None:
        """Find a request that waits."""
        return self._rows.get(key)

    def count_of(self, subject: Subject) -> int:
        """Say how many requests of a user, a group or a label wait."""
        return self._counts[subject]

    def position(self, waiting: Waiting) -> int:
        """Give its place in the order of service, from 1."""
        return bisect_left(self._order, (waiting.order, waiting.key)) + 1

    def next_clock(self) -> Instant | None:
        """Say when the first deadline of one runs out."""
        return self._clocks[0][0] if self._clocks else None

    def shortest(self) -> int | None:
        """Give the shortest time limit of one, in nanoseconds; None: none has any."""
        return self._limits[0][0] if self._limits else None

    def over(self, now: Instant) -> Iterator[Waiting]:
        """Give those of which a deadline has run out."""
        for clock, key in self._clocks:
            if clock > now:
                return
            yield self._rows[key]

    def selections(self) -> Iterator[tuple[Hashable, Waiting]]:
        """Give the selections of devices that are waited for, each with one of its requests."""
        for selection, alike in self._alike.items():
            yield selection, self._rows[alike.firsts[0][0][1]]

    def classes(self) -> Iterable[str]:
        """Give the priority classes of those that wait, each once."""
        return self._classes.keys()

    def by_shape(self, selections: Iterable[Hashable]) -> "ByShape":
        """Begin to go through those of some *selections* in the order of service."""
        return ByShape(self._rows, [self._alike[one] for one in selections])

    def put(self, waiting: Waiting) -> None:
        """Put in a request, or its next version."""
        self.drop(waiting.key)
        place = (waiting.order, waiting.key)
        self._rows[waiting.key] = waiting
        insort(self._order, place)
        alike = self._alike.setdefault(selection_of(waiting.request), Alike())
        alike.put(place, shape_of(waiting))
        self._classes[waiting.priority] += 1
        self._counts.update(_subjects(waiting))
        if waiting.clock is not None:
            insort(self._clocks, (waiting.clock, waiting.key))
        if waiting.request.time_limit is not None:
            insort(self._limits, (waiting.request.time_limit, waiting.key))
        self.arrivals = max(self.arrivals, waiting.number + 1)

    def drop(self, key: Key) -> None:
        """Take a request out; one that is not there is no matter."""
        waiting = self._rows.pop(key, None)
        if waiting is None:
            return
        place, selection = (waiting.order, key), selection_of(waiting.request)
        self._classes -= Counter((waiting.priority,))
        for subject in _subjects(waiting):
            self._counts[subject] -= 1
            if not self._counts[subject]:
                del self._counts[subject]
        _remove(self._order, place)
        self._alike[selection].drop(place, shape_of(waiting))
        if not self._alike[selection].shapes:
            del self._alike[selection]
        if waiting.clock is not None:
            del self._clocks[bisect_left(self._clocks, (waiting.clock, key))]
        if waiting.request.time_limit is not None:
            del self._limits[bisect_left(self._limits, (waiting.request.time_limit, key))]

    def index_faults(self) -> Iterator[str]:
        """Name the indexes that do not agree with the requests."""
        fresh = WaitingTable()
        for waiting in self._rows.values():
            fresh.put(waiting)
        for name in ("_order", "_clocks", "_limits", "_alike", "_counts", "_classes"):
            if getattr(fresh, name) != getattr(self, name):
                yield f"index {name[1:]} does not agree with the requests that wait"


class ByShape:
    """Goes through requests in the order of service; a shape can be left out from now on.

    Costs what is looked at, not what waits: a shape is met when its first request is.
    """

    def __init__(self, rows: dict[Key, Waiting], alike: list[Alike]) -> None:
        self._rows, self._alike = rows, alike
        # The place comes first and is there once: nothing behind it is ever compared.
        self._heap: list[tuple[Place, int, int, int]] = []
        for selection in range(len(alike)):
            self._heap.append((alike[selection].firsts[0][0], 0, selection, 0))
        heapify(self._heap)

    def next(self) -> Waiting | None:
        """Give the next request; None: there is none left."""
        return self._rows[self._heap[0][0][1]] if self._heap else None

    @property
    def shape(self) -> tuple[int, int]:
        """A number for the shape of the next request."""
        return self._heap[0][2:]

    def passed(self) -> None:
        """Go on behind the next request."""
        _, at, selection, shape = self._heap[0]
        self.leave_out()
        alike = self._alike[selection]
        places = alike.shapes[alike.firsts[shape][1]]
        if at + 1 < len(places):
            heappush(self._heap, (places[at + 1], at + 1, selection, shape))

    def leave_out(self) -> None:
        """Pass over all requests of the next one's shape."""
        _, at, selection, shape = heappop(self._heap)
        firsts = self._alike[selection].firsts
        if at == 0 and shape + 1 < len(firsts):
            heappush(self._heap, (firsts[shape + 1][0], 0, selection, shape + 1))


def _subjects(waiting: Waiting) -> tuple[Subject, ...]:
    return subjects_of(waiting.uid, waiting.gid, waiting.groups, waiting.request.labels)


def _remove(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]


def _place(first: tuple[Place, Hashable]) -> Place:
    return first[0]


def _at(firsts: list[tuple[Place, Hashable]], place: Place) -> int:
    return bisect_left(firsts, place, key=_place)
