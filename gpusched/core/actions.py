"""What the world is asked to do once a decision is durable. Outcomes come back as events."""

from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.enforcement import LeaseCgroup, Mode
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.mask import Governed, Mask
from gpusched.core.replies import Granted, Rejected
from gpusched.core.waiting import Key


@dataclass(frozen=True, slots=True)
class WatchExit:
    """Take a sample at once when *process* ends."""

    process: ProcessId


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the clients that wait for a request; that there is none is no failure.

    Attributes:
        key: Which request.
        lease: The one that was to come of it: its key may be another request's by now.
        reply: What has become of it.
    """

    key: Key
    lease: LeaseId
    reply: Granted | Rejected


@dataclass(frozen=True, slots=True)
class TakeSample:
    """Take a sample now, not only at the next tick."""


@dataclass(frozen=True, slots=True)
class Observe:
    """Look at the cgroups and programs of all leases; answered by `Observed`."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make a lease true in the kernel, and let its first process in.

    In this order: the cgroup, the program on it, then the process: there is never a process in
    a cgroup of ours without the program. Answered by `LeasePrepared` or `PrepareFailed`.

    Attributes:
        lease: Which.
        uid: Its holder, under whose slice its cgroup belongs.
        mode: MOVE: make a cgroup and move *process* with its descendants; IN_PLACE: take
            *cgroup* as it is.
        process: Who is attached; None where a whole cgroup is.
        cgroup: Where the process is now, or what is taken in place; relative to the root.
        mask: What may be opened; None: an advisory lease, a cgroup without a program.
        required: Whether failing to hold the mask fails the lease.
        only_uid: Every process concerned must have this real, effective and saved uid; None:
            whose they are does not matter.
    """

    lease: LeaseId
    uid: int
    mode: Mode
    process: ProcessId | None
    cgroup: str
    mask: Mask | None
    required: bool
    only_uid: int | None


@dataclass(frozen=True, slots=True)
class Join:
    """Move another process with its descendants into a lease's cgroup.

    Answered by `LeaseJoined` or `JoinFailed`.
    """

    lease: LeaseId
    cgroup: LeaseCgroup
    process: ProcessId
    mask: Mask | None
    only_uid: int | None


@dataclass(frozen=True, slots=True)
class Remask:
    """Give a cgroup another mask, without a gap. Answered by `MaskFailed` where it fails."""

    cgroup: LeaseCgroup
    mask: Mask


@dataclass(frozen=True, slots=True)
class Follow:
    """Tell by `CgroupEmptied` when the last process of a cgroup ends, also if it has already."""

    cgroup: LeaseCgroup


@dataclass(frozen=True, slots=True)
class Terminate:
    """Send SIGTERM to every process of a cgroup that gpusched made."""

    cgroup: LeaseCgroup


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill every process of a cgroup that gpusched made, those it forks meanwhile included."""

    cgroup: LeaseCgroup


@dataclass(frozen=True, slots=True)
class SignalProcess:
    """Send one process SIGTERM, or SIGKILL; answered by `SignalFailed` where it fails.

    One that is gone is no failure, and its pid's next owner is left alone.
    """

    process: ProcessId
    kill: bool


@dataclass(frozen=True, slots=True)
class SetGuard:
    """Turn the host-wide guard on, or off; answered by `GuardSet`.

    Attributes:
        on: Which.
        governed: What processes without a lease may not open.
        admitted: The cgroups of all leases.
    """

    on: bool
    governed: Governed
    admitted: tuple[LeaseCgroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Unprepare:
    """Undo what was prepared: remove a cgroup that gpusched made, take the program off another.

    Answered by `Unprepared` once nothing of it is left.

    A made cgroup that is still in use stays, with its mask, and `CgroupEmptied` tells when not.

    Attributes:
        cgroup: Which.
        back_to: Move processes that are in it there first: a preparation is rolled back.
    """

    cgroup: LeaseCgroup
    back_to: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseDriver:
    """Let go of the driver: nothing of the library may stay open."""


@dataclass(frozen=True, slots=True)
class ResumeDriver:
    """Take the driver up again."""


Action: TypeAlias = (
    WatchExit
    | Answer
    | TakeSample
    | Observe
    | Prepare
    | Join
    | Remask
    | Follow
    | Terminate
    | Kill
    | SignalProcess
    | SetGuard
    | ReleaseDriver
    | ResumeDriver
    | Unprepare
)
