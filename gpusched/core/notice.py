"""A word to the processes of a lease before something is done to it. Values only.

It is sent to whoever watches the lease; nothing depends on its being read.
"""

from dataclasses import dataclass
from enum import Enum

from gpusched.core.ids import DeviceUuid, Instant, LeaseId, Moment


class NoticeKind(Enum):
    """Why a notice is given."""

    OVER_LIMIT = "over_limit"
    OUTSIDE_MASK = "outside_mask"
    DRAIN = "drain"
    DEVICE_FAILING = "device_failing"
    PREEMPTION = "preemption"
    IDLE = "idle"


class NoticeAction(Enum):
    """What will be done to the lease next."""

    NOTHING = "nothing"
    TERMINATE = "terminate"
    KILL = "kill"
    END = "end"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice.

    Attributes:
        lease: To whom.
        kind: Why.
        sentence: What, for a person.
        at: When it was given.
        action: What comes next.
        action_at: When it comes; None: nothing does.
        device: The device it is about; None: the whole lease.
        sequence: Position among all notices, given by the ledger; 0 until then.
    """

    lease: LeaseId
    kind: NoticeKind
    sentence: str
    at: Moment
    action: NoticeAction = NoticeAction.NOTHING
    action_at: Instant | None = None
    device: DeviceUuid | None = None
    sequence: int = 0
