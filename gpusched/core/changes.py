"""What a decision changes: whole new versions of ledger rows, and the story lines beside them.

A change is applied to the ledger in memory and, where it is durable, written in the same
transaction as its story.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from gpusched.core.attribution import DeviceUse
from gpusched.core.device import Device
from gpusched.core.enforcement import Ability
from gpusched.core.ghost import Ghost
from gpusched.core.growth import Growth
from gpusched.core.hold import Holds
from gpusched.core.idleness import Idle
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.marks import Marks
from gpusched.core.notice import Notice
from gpusched.core.peaks import NO_PEAKS, Peaks
from gpusched.core.policy import Policy
from gpusched.core.sample import NodeSample
from gpusched.core.stray import Stray
from gpusched.core.waiting import Key, Waiting

NO_DATA: Mapping[str, str] = MappingProxyType({})


class StoryKind(Enum):
    """What a story line tells."""

    GRANTED = "granted"
    ATTACHED = "attached"
    ENDING = "ending"
    ENDED = "ended"
    EXTENDED = "extended"
    DEVICE_APPEARED = "device_appeared"
    DEVICE_LOST = "device_lost"
    DAEMON = "daemon"
    ENFORCEMENT = "enforcement"
    DENIED_OPEN = "denied_open"
    SIGNALLED = "signalled"
    GHOST = "ghost"
    GUARD = "guard"
    VIOLATION = "violation"
    CORDONED = "cordoned"
    UNCORDONED = "uncordoned"
    TAINTED = "tainted"
    TAINT_CLEARED = "taint_cleared"
    FAULT = "fault"
    DRIVER = "driver"
    STRAY = "stray"
    ADOPTED = "adopted"
    QUEUED = "queued"
    UNQUEUED = "unqueued"
    GIVES_WAY = "gives_way"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One line of the append-only history.

    Attributes:
        wall: Unix time in nanoseconds.
        kind: What happened.
        entity: Lease id, device UUID or `daemon`.
        sentence: What happened, for a person.
        data: The same for a program.
        sequence: Position in the history, given by the ledger; 0 until then.
    """

    wall: int
    kind: StoryKind
    entity: str
    sentence: str
    data: Mapping[str, str] = field(default_factory=lambda: NO_DATA)
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class LeaseChanged:
    """A new version of a lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class LeaseForgotten:
    """An ended lease has outlived its retention."""

    lease: LeaseId


@dataclass(frozen=True, slots=True)
class WaitingChanged:
    """A request begins to wait, or there is a new version of one that waits."""

    waiting: Waiting


@dataclass(frozen=True, slots=True)
class WaitingGone:
    """A request waits no longer: it was granted, or has left."""

    key: Key


@dataclass(frozen=True, slots=True)
class HoldsFound:
    """Everybody who can be served is; not durable.

    Attributes:
        holds: What is kept for those who wait.
    """

    holds: Holds


@dataclass(frozen=True, slots=True)
class AttainableFound:
    """What is asked for can be had here once others have let go of it; not durable.

    Attributes:
        wish: What of the request says so: see `selection.wish_of`.
    """

    wish: Hashable


@dataclass(frozen=True, slots=True)
class InventoryChanged:
    """Devices appeared, vanished or changed; not durable: the next start reads them anew.

    Attributes:
        devices: Everything that is there now.
        lost: Devices that were seen since the daemon started and do not answer now, with reason.
    """

    devices: tuple[Device, ...]
    lost: Mapping[DeviceUuid, str]


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """A newer sample, what it shows of each device, and the peaks so far; not durable."""

    sample: NodeSample
    uses: Mapping[DeviceUuid, DeviceUse]
    at: Instant
    peaks: Peaks = NO_PEAKS


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The operator's settings were read anew; not durable."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class AbilityFound:
    """What this host can enforce; not durable: found out anew at each start."""

    ability: Ability


@dataclass(frozen=True, slots=True)
class ObservationTaken:
    """The kernel was looked at; not durable."""

    at: Instant
    guard_denied: int | None = None


@dataclass(frozen=True, slots=True)
class GhostChanged:
    """A device has ghost memory, or has none any more (None)."""

    device: DeviceUuid
    ghost: Ghost | None


@dataclass(frozen=True, slots=True)
class NoticeGiven:
    """A notice to whoever watches a lease; not durable: what it warns of is."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class StraysSeen:
    """What the samples so far show of strays; not durable.

    Attributes:
        strays: Those that are there, or may be.
        read: Devices whose processes were read since the daemon started.
        unidentified: Device and pid of those that could not be identified since the first reading
            of the device.
    """

    strays: Mapping[ProcessId, Stray]
    read: frozenset[DeviceUuid]
    unidentified: frozenset[tuple[DeviceUuid, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class GrowthSeen:
    """How far the memory of leases that start has grown; not durable."""

    growth: Mapping[tuple[LeaseId, DeviceUuid], Growth]


@dataclass(frozen=True, slots=True)
class IdleSeen:
    """How long leases have shown no use of their devices; not durable: what lasts is in rows."""

    idle: Mapping[LeaseId, Idle]


@dataclass(frozen=True, slots=True)
class MarksChanged:
    """A device has other marks; `UNMARKED`: none any more."""

    device: DeviceUuid
    marks: Marks


@dataclass(frozen=True, slots=True)
class DriverReleased:
    """An operator had the driver let go, or has it taken up again.

    Attributes:
        why: The operator's reason, which may be empty; None: it is taken up again.
    """

    why: str | None


@dataclass(frozen=True, slots=True)
class StoryTold:
    """A line of history."""

    line: StoryLine


Durable: TypeAlias = (
    LeaseChanged
    | LeaseForgotten
    | WaitingChanged
    | WaitingGone
    | GhostChanged
    | MarksChanged
    | DriverReleased
    | StoryTold
)
"""The changes that a store keeps."""

POWER_SAFE = (MarksChanged, DriverReleased)
"""Those that must survive a loss of power: an operator's word does not end with the boot."""

Found: TypeAlias = (
    InventoryChanged
    | SampleTaken
    | PolicyChanged
    | AbilityFound
    | ObservationTaken
    | NoticeGiven
    | StraysSeen
    | GrowthSeen
    | IdleSeen
)
"""The changes that are found out anew at each start."""

Change: TypeAlias = Durable | Found | HoldsFound | AttainableFound
"""Every change."""
