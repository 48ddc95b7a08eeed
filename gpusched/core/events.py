"""What can happen to the ledger: requests of clients, ticks of the poller, the daemon's own start.

An event carries everything its decision needs, identities and times included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.denial import DeniedOpen
from gpusched.core.enforcement import NOT_PROBED, Ability, LeaseCgroup, Level
from gpusched.core.ids import BootId, Caller, DeviceUuid, Instant, LeaseId, ProcessId, RequestId
from gpusched.core.observation import NOTHING_SEEN, Observation
from gpusched.core.operator_events import OperatorEvent
from gpusched.core.policy import Policy
from gpusched.core.queue_events import QueueEvent
from gpusched.core.replies import Attachment
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from gpusched.core.standing import Standing
from gpusched.core.stray_events import StrayEvent


@dataclass(frozen=True, slots=True)
class AllocateRequested:
    """A client wants devices.

    Attributes:
        caller: Who asks.
        request: What for.
        lease_id: Fresh; used if a lease comes of it.
        standing: Of the calling process, where it is to be attached and could be looked at.
    """

    caller: Caller
    request: Request
    lease_id: LeaseId
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class ExplainRequested:
    """A client wants to know what `AllocateRequested` would give; nothing changes."""

    caller: Caller
    request: Request


@dataclass(frozen=True, slots=True)
class AttachRequested:
    """A process, or everything in a cgroup, is to join a lease.

    Attributes:
        caller: Who asks.
        lease_id: Which lease.
        process: Who joins; None: the whole of `standing.cgroup`, in place.
        standing: Where that is, and whose it is.
    """

    caller: Caller
    lease_id: LeaseId
    process: ProcessId | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class RenewRequested:
    """The holder says that it still needs the lease; *automatic*: a program does, by the clock.

    The latter says nothing of the need.
    """

    caller: Caller
    lease_id: LeaseId
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The holder gives a lease back, or all leases of one owner in another system.

    Attributes:
        caller: Who asks.
        lease_id: Which lease.
        owner: Whose leases, where none is named.
        kill: Whether its processes are to be ended, where gpusched made their cgroup.
        grace: Nanoseconds between SIGTERM and SIGKILL; None: as configured.
    """

    caller: Caller
    lease_id: LeaseId | None = None
    owner: str | None = None
    kill: bool = False
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class RevokeRequested:
    """An operator ends a lease.

    Attributes:
        caller: Who asks.
        lease_id: Which lease.
        reason: Why, in the operator's words.
        grace: Nanoseconds between SIGTERM and SIGKILL; None: as configured.
        signal_in_place: Whether processes in a cgroup that is not gpusched's get SIGTERM too.
    """

    caller: Caller
    lease_id: LeaseId
    reason: str
    grace: int | None = None
    signal_in_place: bool = False


@dataclass(frozen=True, slots=True)
class ForgetRequested:
    """An operator does not wait for the ghost memory of a device any more."""

    caller: Caller
    device: DeviceUuid


@dataclass(frozen=True, slots=True)
class GuardRequested:
    """An operator turns the host-wide guard on or off."""

    caller: Caller
    on: bool


@dataclass(frozen=True, slots=True)
class GuardSet:
    """The guard is *on* now, or off; where that is not what was asked for *failure* says why."""

    on: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A client does not want the answer to a request any more."""

    caller: Caller
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class Ticked:
    """A sample was taken: the one timer of the daemon.

    Attributes:
        sample: What was read.
        denied: Opens that the kernel denied since the tick before.
    """

    sample: NodeSample
    denied: tuple[DeniedOpen, ...] = ()


@dataclass(frozen=True, slots=True)
class LeasePrepared:
    """A lease is true in the kernel, as far as *level* says.

    Attributes:
        lease_id: Which.
        cgroup: Its cgroup.
        level: Reached.
        sentence: Why not more; empty where it is what was asked for.
        attachment: What was done.
    """

    lease_id: LeaseId
    cgroup: LeaseCgroup
    level: Level
    sentence: str
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """A lease could not be made true; nothing is left of the attempt.

    Attributes:
        lease_id: Which.
        sentence: Why, in one line.
        refused: Whether the process is at fault and not the host.
    """

    lease_id: LeaseId
    sentence: str
    refused: bool


@dataclass(frozen=True, slots=True)
class LeaseJoined:
    """Another process was moved into a lease's cgroup."""

    lease_id: LeaseId
    process: ProcessId
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """A process could not be moved into a lease's cgroup, and was not."""

    lease_id: LeaseId
    sentence: str


@dataclass(frozen=True, slots=True)
class Masked:
    """A cgroup was given its mask, or not: then *failure* says why."""

    cgroup: LeaseCgroup
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Unprepared:
    """What was prepared in a cgroup is undone: it is removed, or its program is off it."""

    cgroup: LeaseCgroup


@dataclass(frozen=True, slots=True)
class CgroupEmptied:
    """The last process of a cgroup has ended, or the cgroup is gone."""

    cgroup: LeaseCgroup


@dataclass(frozen=True, slots=True)
class Observed:
    """The kernel was looked at: what is there of leases."""

    observation: Observation


@dataclass(frozen=True, slots=True)
class Recovered:
    """The daemon has loaded its ledger and looks at the world again.

    Attributes:
        stored_boot: Boot in which the ledger was last written; None for a new ledger.
        boot: The running boot.
        alive_at: Last instant at which the previous daemon is known to have run.
        version: Of gpusched, for the story.
        ability, observation: What this host can enforce, and what is there of leases.
    """

    stored_boot: BootId | None
    boot: BootId
    alive_at: Instant | None
    version: str
    ability: Ability = NOT_PROBED
    observation: Observation = NOTHING_SEEN


@dataclass(frozen=True, slots=True)
class PolicyRead:
    """The operator's settings were read anew."""

    policy: Policy
    changed: Mapping[str, str]


KernelEvent: TypeAlias = (
    LeasePrepared
    | PrepareFailed
    | LeaseJoined
    | JoinFailed
    | Masked
    | Unprepared
    | CgroupEmptied
    | GuardSet
    | Observed
)
"""What was done in the kernel, or found there."""

Event: TypeAlias = (
    AllocateRequested
    | ExplainRequested
    | AttachRequested
    | RenewRequested
    | ReleaseRequested
    | RevokeRequested
    | CancelRequested
    | ForgetRequested
    | GuardRequested
    | Ticked
    | Recovered
    | PolicyRead
    | OperatorEvent
    | StrayEvent
    | QueueEvent
    | KernelEvent
)
