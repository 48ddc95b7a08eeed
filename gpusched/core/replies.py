"""What a decision answers: a grant, a done, or a rejection. A rejection is a reply, not an error.

Texts for people are made here and in `core.explain`, from data, so that every surface says the
same sentence.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gpusched.core.enforcement import Mode
from gpusched.core.ids import DeviceUuid, LeaseId, Moment, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.quota import QuotaExcess
from gpusched.core.request import Request
from gpusched.core.sample import OpenNode
from gpusched.core.waiting import Waiting


class Refusal(Enum):
    """Why something is refused; later, never here and a bad request are told apart."""

    BAD_REQUEST = "bad_request"
    LATER = "later"
    NEVER_HERE = "never_here"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    WRONG_STATE = "wrong_state"


class Obstacle(Enum):
    """Why one device does not serve a request."""

    NOT_NAMED = "not_named"
    WRONG_KIND = "wrong_kind"
    PARTITIONED = "partitioned"
    WRONG_TYPE = "wrong_type"
    TOO_SMALL = "too_small"
    LOST = "lost"
    UNREAD = "unread"
    HELD = "held"
    SETTLING = "settling"
    GHOST = "ghost"
    STRANGER = "stranger"
    TOO_LITTLE_FREE = "too_little_free"
    CORDONED = "cordoned"
    TAINTED = "tainted"
    RELEASED = "released"
    STARTING = "starting"
    KEPT = "kept"
    OTHER_POOL = "other_pool"
    MOVING = "moving"
    COMPUTE_MODE = "compute_mode"
    OTHER_HOLDER = "other_holder"


FOR_EVER = frozenset(
    {
        Obstacle.NOT_NAMED,
        Obstacle.WRONG_KIND,
        Obstacle.PARTITIONED,
        Obstacle.WRONG_TYPE,
        Obstacle.TOO_SMALL,
        Obstacle.OTHER_POOL,
    }
)
"""Obstacles that waiting does not remove."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one device serves a request now.

    Attributes:
        device: UUID.
        obstacle: What is in the way; None: it serves.
        sentence: The same for a person.
        room: Bytes that could be promised on it now; None where that is unknown.
        leases: The leases in the way.
        since: Since when, where that is known.
    """

    device: DeviceUuid
    obstacle: Obstacle | None
    sentence: str
    room: int | None = None
    leases: tuple[LeaseId, ...] = ()
    since: Moment | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has what is wanted."""

    lease: LeaseId
    uid: int
    user: str
    since: Moment


@dataclass(frozen=True, slots=True)
class Attachment:
    """What attaching did.

    Attributes:
        mode: How.
        processes: Those that are under the lease now, as far as attaching saw them.
        escaped: Descendants that could not be taken along.
        open_outside: Nodes outside the mask that were open before it and stay open.
    """

    mode: Mode
    processes: tuple[ProcessId, ...]
    escaped: tuple[ProcessId, ...] = ()
    open_outside: tuple[OpenNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Underway:
    """It is decided and being made true in the kernel: `Authority.outcome` has the answer.

    Attributes:
        lease: As it is now.
        process: Who is attached; None: a whole cgroup.
    """

    lease: Lease
    process: ProcessId | None


@dataclass(frozen=True, slots=True)
class Guarding:
    """The guard is being turned on or off: `Authority.guarded` has the answer."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Devices were granted.

    Attributes:
        lease: The lease, as it is now.
        repeated: The request had been granted before; nothing has changed.
        attachment: What attaching the caller did; None where it was not asked for.
    """

    lease: Lease
    repeated: bool = False
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits: `Authority.served` has the answer.

    Attributes:
        waiting: As it is now.
    """

    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Done:
    """A verb on leases succeeded.

    Attributes:
        leases: As they are now.
        sentence: Why nothing had to be done, where that is so.
        attachment: What attaching did, where that was the verb.
    """

    leases: tuple[Lease, ...]
    sentence: str = ""
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What a request would get.

    Attributes:
        verdicts: Per device of the inventory, in its order.
        devices: What would be granted now; None: nothing.
        rejection: What would be answered instead.
        arriving: How it would wait, where it would; None: it would not.
    """

    verdicts: tuple[Verdict, ...]
    devices: tuple[DeviceUuid, ...] | None
    rejection: "Rejected | None" = None
    arriving: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal that explains itself.

    Attributes:
        why: Its kind.
        sentence: One line: what is in the way.
        field: The offending field of a bad request.
        verdicts: Per device of the inventory.
        nearest: The nearest request that would be granted on this host.
        holders: Who has the devices, for LATER.
        excess: The quota in the way.
    """

    why: Refusal
    sentence: str
    field: str = ""
    verdicts: tuple[Verdict, ...] = ()
    nearest: Request | None = None
    holders: tuple[Holder, ...] = ()
    excess: QuotaExcess | None = None


NOT_ADMIN = Rejected(
    Refusal.NOT_ALLOWED, "only root and the administrators' group may do this; ask one of them"
)

Reply: TypeAlias = Underway | Guarding | Granted | Queued | Done | Explained | Rejected
