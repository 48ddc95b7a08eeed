"""What is kept for those who wait: goes through them in the order of service, device by device.

For one that cannot be served the devices that it is to get are kept. Only what comes free matters
to a decision: where nothing is free that anybody who waits could have, nobody is looked at.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpusched.core.device import Device
from gpusched.core.entitlement import hindrance, longest
from gpusched.core.hold import Hold, Holds, kept_from
from gpusched.core.horizon import Horizon, horizon
from gpusched.core.ids import Instant
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.selection import NO_DEVICES, Kind, selection_of, wish_of
from gpusched.core.unjoined import arranged
from gpusched.core.verdicts import could_serve, judge, shut
from gpusched.core.waiting import Key, Order, Waiting

MOST_PASSING = 1024
"""Different requests that are looked at for one that may pass those before it, in one turn."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Who is looked at, and until when.

    Attributes:
        selections: Of the requests that are looked at.
        domains: Memory domains: once all of them are kept for somebody, nobody else matters but
            who is over before they are needed.
    """

    selections: tuple[Hashable, ...]
    domains: frozenset[str]


def everything(ledger: Ledger) -> Scope:
    """Look at all who wait, and all devices."""
    selections = tuple(selection for selection, _ in ledger.waiting.selections())
    return Scope(selections, frozenset(one.memory_domain for one in ledger.devices.values()))


def deviceless(ledger: Ledger) -> Scope:
    """Look at those who want no devices: they are served whatever is free."""
    found = (one for one, _ in ledger.waiting.selections() if one == NO_DEVICES)
    return Scope(tuple(found), frozenset())


def stirred(ledger: Ledger, now: Instant) -> Scope:
    """Look at those only for whom something may be free, and at who may be in their way.

    Those are in each other's way who can mean devices of one kind, also by way of others. What is
    kept of all other devices does not matter before one of them comes free.
    """
    kinds = {
        selection: ledger.openings.kinds(one.request)
        for selection, one in ledger.waiting.selections()
    }
    reached = {kind for kind in frozenset().union(*kinds.values()) if _open(ledger, kind, now)}
    concerned: dict[Hashable, frozenset[Kind]] = {}
    while fresh := {
        one: its for one, its in kinds.items() if one not in concerned and its & reached
    }:
        concerned |= fresh
        reached |= frozenset().union(*fresh.values())
    domains = (one.memory_domain for kind in reached for one in _open(ledger, kind, now))
    return Scope(tuple(concerned), frozenset(domains))


def _open(ledger: Ledger, kind: Kind, now: Instant) -> list[Device]:
    """Give the devices of a kind on which something may be free for somebody."""
    return [one for one in ledger.openings.of_kind(kind) if shut(one, ledger, now) is None]


def kept_in_full(ledger: Ledger, now: Instant) -> Holds:
    """Say for whom which device is kept, those that nothing is free on as well."""
    walk = Walk(ledger, everything(ledger), now)
    for _ in walk:
        if walk.passing:
            break
    return walk.holds


class Walk:
    """Goes through those of a scope in the order of service, and keeps for each what it is to get.

    Attributes:
        holds: What is kept for those that were come past.
        first: Whether the present one is the first of its shape.
        passing: Whether all that is looked at is kept, so that the present one may only pass.
    """

    def __init__(self, ledger: Ledger, scope: Scope, now: Instant) -> None:
        self._ledger, self._scope, self._now = ledger, scope, now
        self._steps = ledger.waiting.by_shape(scope.selections)
        self._judged: dict[Hashable, tuple[Verdict, ...]] = {}
        self._vain: set[Hashable] = set()
        self.holds: dict[str, Hold] = _made_room(ledger, scope, now)
        self._ahead: set[Key] = {one.key for one in self.holds.values()}
        self.first, self.passing = True, False

    def __iter__(self) -> Iterator[Waiting]:
        """Give one after the other; when the next is asked for the last one is come past."""
        steps = self._steps
        while one := steps.next():
            if self._all_kept():
                yield from self._passing()
                return
            self._ahead.discard(one.key)
            if wish_of(one.request) in self._vain:
                steps.leave_out()
                continue
            self.first = steps.shape not in self._judged
            # It waits for leases of its own account: no device is kept for it.
            if self.first and hindrance(self._ledger, one.caller, one.request, self._now):
                steps.leave_out()
                continue
            yield one
            verdicts = self.verdicts_for(one)
            if _keep(self._ledger, one, verdicts, self.holds, self._now):
                steps.passed()
                continue
            steps.leave_out()
            if not self._ahead and self._in_vain(verdicts):
                self._vain.add(wish_of(one.request))

    def _passing(self) -> Iterator[Waiting]:
        """Give those who would be over before anybody begins for whom something is kept."""
        shortest = (self._ledger.waiting.shortest(), self._ledger.policy.quotas.shortest)
        limits = [one for one in shortest if one is not None]
        if not limits:
            return
        begin = max(self.holds[one].until or 0 for one in self._scope.domains)
        most = begin - self._now
        if min(limits) > most:
            return
        self.first = self.passing = True
        # What cannot be had for so long cannot be had for longer either.
        tried: dict[Hashable, int] = {}
        for _ in range(MOST_PASSING):
            if (one := self._steps.next()) is None:
                return
            who = wish_of(one.request), one.uid
            limit = longest(self._ledger, one.caller, one.request)
            if limit is not None and limit < tried.get(who, most + 1) and self._may_pass(one):
                yield one
                tried[who] = limit
            self._steps.leave_out()

    def _may_pass(self, one: Waiting) -> bool:
        """Say whether one that would be over in time may be served, and was not looked at."""
        known = self._steps.shape in self._judged or wish_of(one.request) in self._vain
        hindered = known or hindrance(self._ledger, one.caller, one.request, self._now)
        return not hindered

    def _all_kept(self) -> bool:
        # Who others made room for is served, too, where that is all there is.
        domains = self._scope.domains
        return bool(domains) and not self._ahead and self.holds.keys() >= domains

    def _in_vain(self, verdicts: Sequence[Verdict]) -> bool:
        """Say whether nothing is free, or left to be kept, for all who wish the same.

        Whoever they are: a device that others have may be free for who they are.
        """
        devices = self._ledger.devices
        return all(
            one.obstacle not in (None, Obstacle.OTHER_HOLDER)
            and devices[one.device].memory_domain in self.holds
            for one in could_serve(verdicts)
        )

    def verdicts_for(self, waiting: Waiting) -> tuple[Verdict, ...]:
        """Give the verdicts on all devices for the present request, as if nobody waited."""
        shape = self._steps.shape
        if shape not in self._judged:
            request, uid = waiting.request, waiting.uid
            self._judged[shape] = judge(self._ledger, request, self._now, uid)
        return self._judged[shape]


def _made_room(ledger: Ledger, scope: Scope, now: Instant) -> dict[str, Hold]:
    """Keep what leases were told to end for, whoever else came first.

    Else they would end for somebody of their own class.
    """
    holds: dict[str, Hold] = {}
    for lease in ledger.making_way():
        waiting = None if lease.giving_way is None else ledger.waiting.get(lease.giving_way.key)
        if waiting is None or selection_of(waiting.request) not in scope.selections:
            continue
        if hindrance(ledger, waiting.caller, waiting.request, now):
            continue
        value = ledger.policy.queue.class_of(lease.request.priority).value
        for domain in {share.domain for share in lease.shares}:
            hold = Hold(waiting.key, waiting.order, None, value)
            holds[domain] = min(holds.get(domain, hold), hold, key=_first)
    return holds


def _first(hold: Hold) -> tuple[Order, int]:
    return hold.order, -(hold.over or 0)


def _keep(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: Sequence[Verdict],
    holds: dict[str, Hold],
    now: Instant,
) -> bool:
    """Keep the devices that a request is to get; False: they are all kept already."""
    found = wanted(ledger, waiting, verdicts, holds, now)
    until = latest(one.at for one in found)
    domains = [ledger.devices[one.device].memory_domain for one in found]
    value = ledger.policy.queue.class_of(waiting.priority).value
    its = [one for one in domains if not kept_from(holds, one, waiting.order, value)]
    for domain in its:
        before = holds.get(domain)
        # Who leases end for may get others, but for nobody of their own class they have ended.
        over = None if before is None else before.over
        holds[domain] = Hold(waiting.key, waiting.order, until, over)
    return bool(its)


def wanted(
    ledger: Ledger,
    waiting: Waiting,
    verdicts: Sequence[Verdict],
    holds: Holds,
    now: Instant,
) -> list[Horizon]:
    """Choose the devices that a request is to get: those that will serve it first.

    None, where this host cannot serve it any more: nobody is kept from what it cannot use.
    The choice is stable: what is kept gets nearer only, because nobody else is let in.
    """
    request = waiting.request
    value = ledger.policy.queue.class_of(waiting.priority).value
    found = [horizon(ledger, one, request, now) for one in could_serve(verdicts)]
    devices = {one.device for one in found}
    if len(found) < request.least or not devices >= {*request.devices, *request.must_include}:
        return []

    def place(one: Horizon) -> tuple[bool, bool, tuple[int, int], tuple[str, int]]:
        device = ledger.devices[one.device]
        asked_for = one.device in request.must_include
        kept = kept_from(holds, device.memory_domain, waiting.order, value)
        return not asked_for, kept, one.distance, device.order

    nearest = sorted(found, key=place)
    if not request.topology_required:
        return nearest[: request.least]
    lying = arranged(ledger, request, [one.device for one in nearest])
    return [one for one in nearest if one.device in lying]


def latest(instants: Iterable[Instant | None]) -> Instant | None:
    """Give the last of *instants*; None where one of them is not known."""
    last = Instant(0)
    for one in instants:
        if one is None:
            return None
        last = max(last, one)
    return last
