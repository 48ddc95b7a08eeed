"""The history on the wire, and who may see which line of it."""

from collections.abc import Iterable, Iterator

from gpusched.api.v1 import event_pb2
from gpusched.core.changes import StoryKind, StoryLine
from gpusched.core.ids import LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.sight import Sight
from gpusched.rpc.call import Call
from gpusched.rpc.convert_reading import time_of

_DAEMON = "daemon"
_DEVICE = ("GPU-", "MIG-")


def entity_of(line: StoryLine) -> event_pb2.EventEntity.ValueType:
    """Say what kind of thing *line* is about."""
    if line.entity == _DAEMON:
        return event_pb2.EVENT_ENTITY_DAEMON
    if line.entity.startswith(_DEVICE):
        return event_pb2.EVENT_ENTITY_DEVICE
    return event_pb2.EVENT_ENTITY_LEASE


def event_of(line: StoryLine) -> event_pb2.Event:
    """Give one line of history."""
    entity = entity_of(line)
    return event_pb2.Event(
        sequence=line.sequence,
        at=time_of(line.wall),
        kind=line.kind.value,
        entity=entity,
        id="" if entity == event_pb2.EVENT_ENTITY_DAEMON else line.entity,
        sentence=line.sentence,
        data=line.data,
    )


def visible(line: StoryLine, ledger: Ledger, call: Call) -> bool:
    """Say whether the caller may see *line*: not what is about something of somebody else."""
    if entity_of(line) != event_pb2.EVENT_ENTITY_LEASE:
        own = line.kind is StoryKind.STRAY and line.data.get("uid") == str(call.caller.uid)
        return call.caller.admin or own or _common(line, ledger.policy.others)
    lease = ledger.get(LeaseId(line.entity))
    if lease is not None:
        return call.may_see(lease.uid)
    uid = line.data.get("uid")
    return call.caller.admin or uid == str(call.caller.uid)


def _common(line: StoryLine, others: Sight) -> bool:
    """Say whether a line about a device or the daemon tells no more of users than all may see."""
    if line.kind in (StoryKind.GHOST, StoryKind.STRAY):
        return others.uid and others.device and others.memory
    return line.kind is not StoryKind.DENIED_OPEN or others.device


def story_of(entity: str, ledger: Ledger, call: Call) -> Iterator[event_pb2.Event]:
    """Give what is remembered of one lease or device, and the caller may see, oldest first."""
    lines = _about(entity, ledger.stories)
    return (event_of(line) for line in lines if visible(line, ledger, call))


def _about(entity: str, lines: Iterable[StoryLine]) -> Iterator[StoryLine]:
    return (line for line in lines if line.entity == entity)
