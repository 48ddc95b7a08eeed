"""Decides on requests that wait no longer, or whose client goes and comes back."""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from dataclasses import replace

from gpusched.core.actions import Answer
from gpusched.core.changes import Change, WaitingChanged, WaitingGone
from gpusched.core.clocks import later, missed_since
from gpusched.core.decision import Decision
from gpusched.core.durations import in_words
from gpusched.core.entitlement import hindrance
from gpusched.core.ids import Caller, Instant, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.lessening import with_nearest
from gpusched.core.queue_events import ClientLeft
from gpusched.core.queue_story import left
from gpusched.core.replies import Done, Queued, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.reserving import why_waits
from gpusched.core.waiting import Waiting, owned, same, shape_of

GONE = "its client is gone"


def come_back(ledger: Ledger, waiting: Waiting, request: Request, now: Moment) -> Decision:
    """Let a client wait on in the place that its request has.

    Who could never be granted it any more is told so, like who asks anew.
    """
    if not same(waiting.request, request):
        sentence = f"request_id: {request.request_id!r} was used for another request, which waits"
        return Decision(reply=Rejected(Refusal.BAD_REQUEST, sentence, "request_id"))
    never = _in_vain_now(ledger, waiting, now)
    if never is not None:
        changes = (WaitingGone(waiting.key), left(waiting, never.sentence, now))
        return Decision(changes, (Answer(waiting.key, waiting.lease_id, never),), never)
    if waiting.abandoned is None:
        return Decision(reply=Queued(waiting))
    there = replace(waiting, abandoned=None)
    return Decision((WaitingChanged(there),), reply=Queued(there))


def client_left(ledger: Ledger, event: ClientLeft, now: Moment) -> Decision:
    """Keep the place of a request whose client is gone for a while."""
    waiting = ledger.waiting.get(event.key)
    if waiting is None:
        return Decision()
    return Decision((WaitingChanged(_abandoned(ledger, waiting, now)),))


def kept_until(waiting: Waiting, lease: Lease) -> Lease:
    """Give the lease that comes of a request, to be entered before its place would have gone.

    Where the client is to enter it in the same call and is gone, nobody else will: nobody else
    should do without the devices for longer than for its place.
    """
    gone = waiting.abandoned
    if gone is None or not waiting.request.attach_caller:
        return lease
    attach = min(one for one in (gone, lease.clocks.attach) if one is not None)
    return replace(lease, clocks=replace(lease.clocks, attach=attach))


def cancelled(waiting: Waiting, by: Caller, now: Moment) -> Decision:
    """Take a request out on somebody's word."""
    why = f"{by.user or by.uid} cancelled it"
    sentence = f"{waiting.request.request_id} waits no longer: {why}"
    answer = Answer(waiting.key, waiting.lease_id, Rejected(Refusal.LATER, sentence))
    changes = (WaitingGone(waiting.key), left(waiting, why, now))
    return Decision(changes, (answer,), Done((), sentence))


def timed_out(ledger: Ledger, now: Moment) -> Decision:
    """Take out those that have waited long enough, or whose client did not come back."""
    changes: list[Change] = []
    answers: list[Answer] = []
    known = _Known(ledger, now.instant)
    for waiting in ledger.waiting.over(now.instant):
        over = waiting.deadline is not None and waiting.deadline <= now.instant
        why = "its time to wait is over" if over else GONE
        changes += [WaitingGone(waiting.key), left(waiting, why, now)]
        reply = _in_vain(known, waiting, now, heard=over)
        answers.append(Answer(waiting.key, waiting.lease_id, reply))
    return Decision(tuple(changes), tuple(answers))


def restarted(ledger: Ledger, by: int, now: Moment) -> Iterator[Change]:
    """Give every request *by* nanoseconds more; clients have to come back to this daemon."""
    for waiting in ledger.waiting:
        yield WaitingChanged(_abandoned(ledger, extended(waiting, by), now))


def more_time(ledger: Ledger, by: int, now: Moment) -> Iterator[Change]:
    """Give every request whose time is limited *by* nanoseconds more; who came since his age."""
    for waiting in ledger.waiting:
        if waiting.clock is not None:
            came = waiting.arrived.instant
            missed = missed_since(ledger.ticked_at, by, came, now.instant)
            yield WaitingChanged(extended(waiting, missed))


def rebooted(ledger: Ledger, now: Moment) -> Iterator[Change]:
    """Take out all: no client of another boot can be there."""
    for waiting in ledger.waiting:
        yield WaitingGone(waiting.key)
        yield left(waiting, "the host was started anew", now)


def extended(waiting: Waiting, by: int) -> Waiting:
    """Give a request with *by* nanoseconds more on each of its clocks."""
    deadline, abandoned = later(waiting.deadline, by), later(waiting.abandoned, by)
    return replace(waiting, deadline=deadline, abandoned=abandoned)


def _in_vain_now(ledger: Ledger, waiting: Waiting, now: Moment) -> Rejected | None:
    """Say why a request would wait for ever, devices apart; None: it may be granted one day.

    Before the first reading nothing is never: a driver may be on its way.
    """
    found = hindrance(ledger, waiting.caller, waiting.request, now.instant)
    if found is None or found.why is Refusal.LATER or ledger.read_at is None:
        return None
    return with_nearest(ledger, waiting.caller, waiting.request, found, now.instant)


class _Known:
    """What is in the way of requests, found out once for all of one shape.

    A thousand that came together leave together.
    """

    def __init__(self, ledger: Ledger, now: Instant) -> None:
        self._ledger, self._now = ledger, now
        self._orders = sorted({one.order for one in ledger.holds.values()})
        self._found: dict[Hashable, Rejected] = {}

    def why(self, waiting: Waiting) -> Rejected:
        """Say what is in the way of one that waits."""
        key = shape_of(waiting), bisect_left(self._orders, waiting.order)
        if key not in self._found:
            self._found[key] = why_waits(self._ledger, waiting, self._now)
        found = self._found[key]
        if found.nearest is None:
            return found
        return replace(found, nearest=owned(found.nearest, waiting.request))


def _in_vain(known: _Known, waiting: Waiting, now: Moment, *, heard: bool) -> Rejected:
    """Say what was still in the way when a request left, where somebody hears it.

    After a start all whose clients did not come back leave at once: that must not take long.
    """
    waited = f"waited {in_words(now.instant - waiting.arrived.instant)}"
    if not heard:
        return Rejected(Refusal.LATER, f"{waited}: {GONE}")
    found = known.why(waiting)
    return replace(found, sentence=f"{waited}: {found.sentence}")


def _abandoned(ledger: Ledger, waiting: Waiting, now: Moment) -> Waiting:
    return replace(waiting, abandoned=Instant(now.instant + ledger.policy.queue.grace))
