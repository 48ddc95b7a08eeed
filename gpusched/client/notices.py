"""A word to whoever holds a lease before something is done to it, as a program reads it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gpusched.api.v1 import lease_pb2


class NoticeKind(StrEnum):
    """Why a notice is given. What a newer daemon says and this does not know is `OTHER`."""

    OVER_LIMIT = "over-limit"
    """The lease holds more memory than its limit."""
    OUTSIDE_MASK = "outside-mask"
    """A process of the lease is on a device outside its mask."""
    PREEMPTION = "preemption"
    """A request of a higher priority class takes its place."""
    DRAIN = "drain"
    """Its device is drained."""
    REVOKE = "revoke"
    """An operator revokes it. Not given in this version."""
    TIME_LIMIT = "time-limit"
    """Its time limit is near. Not given in this version."""
    KEEPALIVE = "keepalive"
    """It has to be renewed. Not given in this version."""
    IDLE = "idle"
    """Its devices are idle; renewing keeps it."""
    DEVICE_FAILING = "device-failing"
    """Its device is failing."""
    OTHER = "other"
    """Something else; the sentence says what."""


class NoticeAction(StrEnum):
    """What will be done to a lease next."""

    NOTHING = "nothing"
    """Nothing: the notice only informs."""
    TERMINATE = "terminate"
    """SIGTERM to its processes."""
    KILL = "kill"
    """SIGKILL to its processes."""
    END = "end"
    """Its end, processes left alone."""
    OTHER = "other"
    """Something else; the sentence says what."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a lease is told before something is done to it.

    Attributes:
        lease: Its id.
        kind: Why.
        sentence: What, in one sentence for a person.
        at: When it was given, in UTC.
        action: What comes next.
        action_at: When that comes, in UTC; None: nothing does.
        device: UUID of the device it is about; None: the whole lease.
    """

    lease: str
    kind: NoticeKind
    sentence: str
    at: datetime
    action: NoticeAction = NoticeAction.NOTHING
    action_at: datetime | None = None
    device: str | None = None


_KINDS = {
    lease_pb2.NOTICE_KIND_OVER_LIMIT: NoticeKind.OVER_LIMIT,
    lease_pb2.NOTICE_KIND_OUTSIDE_MASK: NoticeKind.OUTSIDE_MASK,
    lease_pb2.NOTICE_KIND_PREEMPTION: NoticeKind.PREEMPTION,
    lease_pb2.NOTICE_KIND_DRAIN: NoticeKind.DRAIN,
    lease_pb2.NOTICE_KIND_REVOKE: NoticeKind.REVOKE,
    lease_pb2.NOTICE_KIND_TIME_LIMIT: NoticeKind.TIME_LIMIT,
    lease_pb2.NOTICE_KIND_KEEPALIVE: NoticeKind.KEEPALIVE,
    lease_pb2.NOTICE_KIND_IDLE: NoticeKind.IDLE,
    lease_pb2.NOTICE_KIND_DEVICE_FAILING: NoticeKind.DEVICE_FAILING,
}
_ACTIONS = {
    lease_pb2.NOTICE_ACTION_UNSPECIFIED: NoticeAction.NOTHING,
    lease_pb2.NOTICE_ACTION_TERMINATE: NoticeAction.TERMINATE,
    lease_pb2.NOTICE_ACTION_KILL: NoticeAction.KILL,
    lease_pb2.NOTICE_ACTION_END: NoticeAction.END,
}


def notice_of(message: lease_pb2.Notice) -> Notice:
    """Give the notice that a message means."""
    return Notice(
        lease=message.lease_id,
        kind=_KINDS.get(message.kind, NoticeKind.OTHER),
        sentence=message.sentence,
        at=message.at.ToDatetime(tzinfo=UTC),
        action=_ACTIONS.get(message.action, NoticeAction.OTHER),
        action_at=(
            message.action_at.ToDatetime(tzinfo=UTC) if message.HasField("action_at") else None
        ),
        device=message.device_uuid or None,
    )
