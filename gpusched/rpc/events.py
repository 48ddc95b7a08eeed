"""The service that tells the history, as far as it is remembered."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncIterator, Iterator
from itertools import islice

from gpusched.api.v1 import event_pb2, events_pb2
from gpusched.core.changes import StoryLine
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND
from gpusched.core.ledger import Ledger
from gpusched.rpc.call import Call
from gpusched.rpc.convert_event import entity_of, event_of, visible
from gpusched.rpc.world import World

_LISTED = 100
_MOST = 10_000


class Events:
    """The history."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def List(
        self, request: events_pb2.ListEventsRequest, call: Call
    ) -> events_pb2.EventList:
        """Show the latest events, or the earliest after one that was seen."""
        if request.limit > _MOST:
            raise InvalidRequest("limit", f"{request.limit} is more than {_MOST}")
        _check(request.filter)
        ledger = self._world.authority.ledger
        limit = request.limit or _LISTED
        since = 0
        if request.HasField("since"):
            since = request.since.seconds * SECOND + request.since.nanos
        if request.HasField("after_sequence"):
            lines = _after(ledger, request.after_sequence)
        else:
            lines = reversed(ledger.stories)
        kept = (
            one
            for one in lines
            if one.wall >= since and _keeps(request.filter, one) and visible(one, ledger, call)
        )
        found = sorted(islice(kept, limit), key=lambda one: one.sequence)
        stories = ledger.stories
        return events_pb2.EventList(
            events=[event_of(one) for one in found],
            last_sequence=stories[-1].sequence if stories else 0,
            first_sequence=stories[0].sequence if stories else 0,
            node=self._world.host.node,
        )

    async def Watch(
        self, request: events_pb2.WatchEventsRequest, call: Call
    ) -> AsyncIterator[event_pb2.Event]:
        """Tell events as they happen."""
        _check(request.filter)
        authority = self._world.authority
        last = request.after_sequence
        if not request.HasField("after_sequence"):
            last = _last(authority.ledger)
        while True:
            ledger = authority.ledger
            lines = list(_after(ledger, last))
            if not lines:
                await authority.news()
                await self._world.turns.of(call.caller.uid)
                continue
            last = lines[-1].sequence
            replies = [
                event_of(one)
                for one in lines
                if _keeps(request.filter, one) and visible(one, ledger, call)
            ]
            for reply in replies:
                yield reply


def _last(ledger: Ledger) -> int:
    return ledger.stories[-1].sequence if ledger.stories else 0


def _after(ledger: Ledger, sequence: int) -> Iterator[StoryLine]:
    """Give the lines after *sequence*, oldest first; the newest are looked at first."""
    newer: list[StoryLine] = []
    for line in reversed(ledger.stories):
        if line.sequence <= sequence:
            break
        newer.append(line)
    return reversed(newer)


def _check(wanted: events_pb2.EventFilter) -> None:
    if wanted.entity not in event_pb2.EventEntity.values():
        raise InvalidRequest("filter.entity", f"there is no value {wanted.entity}")


def _keeps(wanted: events_pb2.EventFilter, line: StoryLine) -> bool:
    return (
        (not wanted.entity or wanted.entity == entity_of(line))
        and (not wanted.id or wanted.id == line.entity)
        and (not wanted.kinds or line.kind.value in wanted.kinds)
    )
