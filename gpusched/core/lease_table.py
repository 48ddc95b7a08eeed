"""The leases of the ledger and their indexes: by request, by cgroup, and what is promised where.

The ledger's `apply` alone puts leases in and takes them out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpusched.core.ids import DeviceUuid, LeaseId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.openings import Openings
from gpusched.core.share import Share
from gpusched.core.tally import Subject, Taken, Tallies
from gpusched.core.waiting import Key


@dataclass(slots=True)
class Holding:
    """The live shares of one memory domain.

    Attributes:
        shares: By lease and device, in the order in which they were granted: a lease may hold two
            compute instances of one GI.
        promised: Sum of their bytes.
        exclusive: The lease that has the domain for itself.
    """

    shares: dict[tuple[LeaseId, DeviceUuid], Share] = field(default_factory=dict)
    promised: int = 0
    exclusive: LeaseId | None = None


NOTHING_HELD = Holding()


class LeaseTable:
    """Leases, live ones and those of the history."""

    def __init__(self) -> None:
        self._leases: dict[LeaseId, Lease] = {}
        self._live: dict[LeaseId, Lease] = {}
        self._ended: dict[LeaseId, None] = {}
        self._holdings: dict[str, Holding] = {}
        self._requests: dict[tuple[int, RequestId], LeaseId] = {}
        self._cgroups: dict[str, dict[LeaseId, None]] = {}
        self._ways: dict[LeaseId, Key] = {}
        self._tallies = Tallies()
        self._affinities: dict[tuple[int, str], dict[LeaseId, None]] = {}
        self._classes: Counter[str | None] = Counter()
        self.openings = Openings((), self.holding)

    def get(self, lease_id: LeaseId) -> Lease | None:
        """Find a lease, live or ended within the history."""
        return self._leases.get(lease_id)

    def live(self) -> Iterator[Lease]:
        """Give the leases that hold shares, oldest first."""
        return iter(self._live.values())

    def live_count(self) -> int:
        """Count the leases that hold shares."""
        return len(self._live)

    def ended(self) -> Iterator[Lease]:
        """Give the ended leases of the history, the one that ended first at the front."""
        return (self._leases[lease_id] for lease_id in self._ended)

    def ended_count(self) -> int:
        """Count the ended leases of the history."""
        return len(self._ended)

    def by_request(self, uid: int, request_id: RequestId) -> Lease | None:
        """Find the usable lease that this user's request was answered with."""
        lease_id = self._requests.get((uid, request_id))
        return None if lease_id is None else self._leases[lease_id]

    def making_way(self) -> Iterator[Lease]:
        """Give the leases that were told to end for a request, those that have ended as well."""
        return (self._leases[lease_id] for lease_id in self._ways)

    def gives_way_to(self, key: Key) -> bool:
        """Say whether a lease was told to end for this request, and has not ended yet."""
        return any(way == key and lease in self._live for lease, way in self._ways.items())

    def last_with(self, uid: int, affinity_key: str) -> Lease | None:
        """Find the newest lease that this user asked for with this key, a live one or an ended."""
        newest = next(reversed(self._affinities.get((uid, affinity_key), {})), None)
        return None if newest is None else self._leases[newest]

    def in_cgroup(self, path: str) -> list[Lease]:
        """Give the live leases that have exactly this cgroup, oldest first."""
        return [self._live[lease_id] for lease_id in self._cgroups.get(path, ())]

    def cgroups(self) -> Iterator[str]:
        """Give the paths of all cgroups of live leases."""
        return iter(self._cgroups)

    def holding(self, domain: str) -> Holding:
        """Give what is promised of a memory domain."""
        return self._holdings.get(domain, NOTHING_HELD)

    def taken(self, subject: Subject) -> Taken:
        """Give what a user, a group or a label has; to be read only."""
        return self._tallies.of(subject)

    def leases_of(self, subject: Subject) -> list[Lease]:
        """Give the live leases of a user, a group or a label, oldest first."""
        return [self._live[lease_id] for lease_id in self._tallies.of(subject).leases]

    def classes(self) -> Iterable[str | None]:
        """Give the priority classes of live leases, each once."""
        return self._classes.keys()

    def _take_over(self, leases: Iterable[Lease]) -> None:
        """Put in what a store kept, in the order in which it came."""
        found = sorted(leases, key=lambda one: one.created.wall)
        for lease in found:
            self._remember(lease)
        for lease in sorted(found, key=_place):
            self._put(lease)

    def _put(self, lease: Lease) -> None:
        before = self._live.get(lease.id)
        self._tallies.follow(before, lease)
        self._ways.pop(lease.id, None)
        self._leases[lease.id] = lease
        self._hold(before, lease)
        self._enclose(before, lease)
        if before is not None:
            self._unindex(before)
        if lease.giving_way is not None:
            self._ways[lease.id] = lease.giving_way.key
        self._remember(lease)
        if lease.live:
            self._live[lease.id] = lease
            self._classes[lease.priority] += 1
            if lease.usable:
                self._requests[lease.uid, lease.request.request_id] = lease.id
        else:
            self._live.pop(lease.id, None)
            self._ended[lease.id] = None  # pragma: no mutate - a set in order: only keys count

    def _remember(self, lease: Lease) -> None:
        """Take note of a lease with a key, once, when it begins: the newest is the last one."""
        if key := lease.request.affinity_key:
            self._affinities.setdefault((lease.uid, key), {})[lease.id] = None

    def _hold(self, before: Lease | None, lease: Lease) -> None:
        """Promise what a lease has now instead of what it had; what it keeps keeps its place."""
        had = () if before is None else before.shares
        has = lease.shares if lease.live else ()
        if has is had:
            return
        for share in has:
            holding = self._holdings.setdefault(share.domain, Holding())
            holding.shares[lease.id, share.device] = share
            holding.promised += share.memory or 0
            if share.exclusive:
                holding.exclusive = lease.id
        kept = {(share.domain, share.device) for share in has}
        for share in had:
            holding = self._holdings[share.domain]
            holding.promised -= share.memory or 0
            if (share.domain, share.device) not in kept:
                del holding.shares[lease.id, share.device]
            if not holding.shares:
                del self._holdings[share.domain]
        for domain in {share.domain for share in (*had, *has)}:
            self.openings.follow(domain, self.holding(domain))

    def _enclose(self, before: Lease | None, lease: Lease) -> None:
        """Take note of the cgroup of a lease, in the place that it has where it is the same."""
        was = None if before is None or before.cgroup is None else before.cgroup.path
        path = lease.cgroup.path if lease.live and lease.cgroup is not None else None
        if path is not None:
            self._cgroups.setdefault(path, {})[lease.id] = None
        if was is not None and was != path:
            del self._cgroups[was][lease.id]
            if not self._cgroups[was]:
                del self._cgroups[was]

    def _unindex(self, lease: Lease) -> None:
        if lease.usable:
            del self._requests[lease.uid, lease.request.request_id]
        self._classes[lease.priority] -= 1
        if not self._classes[lease.priority]:
            del self._classes[lease.priority]

    def _drop(self, lease_id: LeaseId) -> None:
        self._ended.pop(lease_id, None)
        self._ways.pop(lease_id, None)
        lease = self._leases.pop(lease_id, None)
        if lease is not None and (key := lease.request.affinity_key):
            alike = self._affinities[lease.uid, key]
            del alike[lease_id]
            if not alike:
                del self._affinities[lease.uid, key]

    def _index_faults(self) -> Iterator[str]:
        fresh = LeaseTable()
        for lease in self._leases.values():
            fresh._put(lease)
        names = (
            "_live",
            "_requests",
            "_holdings",
            "_ended",
            "_cgroups",
            "_ways",
            "_tallies",
            "_affinities",
            "_classes",
        )
        for name in names:
            if getattr(fresh, name) != getattr(self, name):
                yield f"index {name[1:]} does not agree with the leases"


def _place(lease: Lease) -> tuple[bool, int]:
    """Give the place of a lease that a store kept: by its end, or by its beginning where it lives.

    Of this boot are all that live, so no clock on the wall matters to them.
    """
    if lease.ended is not None:
        return False, lease.ended.wall
    return True, lease.created.instant
