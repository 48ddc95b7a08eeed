"""The requests that wait, in the order of service, and their indexes.

The ledger's `apply` alone puts them in and takes them out. A place is found by bisection: a
hundred thousand of them cost some twenty microseconds to put in or to take out.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import TypeAlias

from gpusched.core.ids import Instant
from gpusched.core.tally import Subject, subjects_of
from gpusched.core.waiting import Key, Order, Waiting, shape_of

Place: TypeAlias = tuple[Order, Key]


class WaitingTable:
    """Requests that wait."""

    def __init__(self) -> None:
        self._rows: dict[Key, Waiting] = {}
        self._order: list[Place] = []
        self._clocks: list[tuple[Instant, Key]] = []
        self._shapes: dict[Hashable, list[Place]] = {}
        self._counts: Counter[Subject] = Counter()
        self.arrivals = 0
        """How many have arrived since the queue was last empty at a start."""

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

    def over(self, now: Instant) -> Iterator[Waiting]:
        """Give those of which a deadline has run out."""
        for clock, key in self._clocks:
            if clock > now:
                return
            yield self._rows[key]

    def by_shape(self) -> "ByShape":
        """Begin to go through them in the order of service, leaving out shapes on the way."""
        return ByShape(self._rows, self._shapes)

    def put(self, waiting: Waiting) -> None:
        """Put in a request, or its next version."""
        self.drop(waiting.key)
        place = (waiting.order, waiting.key)
        self._rows[waiting.key] = waiting
        insort(self._order, place)
        insort(self._shapes.setdefault(shape_of(waiting), []), place)
        self._counts.update(_subjects(waiting))
        if waiting.clock is not None:
            insort(self._clocks, (waiting.clock, waiting.key))
        self.arrivals = max(self.arrivals, waiting.number + 1)

    def drop(self, key: Key) -> None:
        """Take a request out; one that is not there is no matter."""
        waiting = self._rows.pop(key, None)
        if waiting is None:
            return
        place, shape = (waiting.order, key), shape_of(waiting)
        for subject in _subjects(waiting):
            self._counts[subject] -= 1
            if not self._counts[subject]:
                del self._counts[subject]
        _remove(self._order, place)
        _remove(self._shapes[shape], place)
        if not self._shapes[shape]:
            del self._shapes[shape]
        if waiting.clock is not None:
            del self._clocks[bisect_left(self._clocks, (waiting.clock, key))]

    def index_faults(self) -> Iterator[str]:
        """Name the indexes that do not agree with the requests."""
        fresh = WaitingTable()
        for waiting in self._rows.values():
            fresh.put(waiting)
        for name in ("_order", "_clocks", "_shapes", "_counts"):
            if getattr(fresh, name) != getattr(self, name):
                yield f"index {name[1:]} does not agree with the requests that wait"


class ByShape:
    """Goes through the requests in the order of service; a shape can be left out from now on."""

    def __init__(self, rows: dict[Key, Waiting], shapes: dict[Hashable, list[Place]]) -> None:
        self._rows = rows
        self._heap = [(places[0], 0, number) for number, places in enumerate(shapes.values())]
        self._places = list(shapes.values())
        heapify(self._heap)

    def next(self) -> Waiting | None:
        """Give the next request; None: there is none left."""
        return self._rows[self._heap[0][0][1]] if self._heap else None

    @property
    def shape(self) -> int:
        """A number for the shape of the next request."""
        return self._heap[0][2]

    def passed(self) -> None:
        """Go on behind the next request."""
        _, at, shape = self._heap[0]
        if at + 1 < len(self._places[shape]):
            heapreplace(self._heap, (self._places[shape][at + 1], at + 1, shape))
        else:
            heappop(self._heap)

    def leave_out(self) -> None:
        """Pass over all requests of the next one's shape."""
        heappop(self._heap)


def _subjects(waiting: Waiting) -> tuple[Subject, ...]:
    return subjects_of(waiting.uid, waiting.gid, waiting.groups, waiting.request.labels)


def _remove(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]
