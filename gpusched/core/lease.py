"""The lease and its state machine: one table, and no other module assigns a state.

    RESERVED ──ATTACH──► PREPARING ──PREPARED──► ACTIVE ──END──► RELEASING ──CONFIRMED──► ENDED
        └──────ENTER (nothing to prepare)──────────▲
        └──────END (nobody entered)──────────────────────────────────────────────────────► ENDED

WARNING: a new state needs a row in `TRANSITIONS`, a column in `LIVE`, a value in the public enum
`LeaseState` of protos/gpusched/v1/lease.proto and a line in docs/architecture.md, section 5.
"""

from dataclasses import dataclass, replace
from enum import Enum

from gpusched.core.clocks import NOTHING_RUNS, Clocks
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.errors import InvalidTransition
from gpusched.core.giving_way import GivingWay
from gpusched.core.idleness import Idle
from gpusched.core.ids import LeaseId, Moment, ProcessId
from gpusched.core.request import Request
from gpusched.core.share import Share
from gpusched.core.violation import Violation


class LeaseState(Enum):
    """Where a lease is in its life."""

    RESERVED = "reserved"
    PREPARING = "preparing"
    ACTIVE = "active"
    RELEASING = "releasing"
    ENDED = "ended"


class Signal(Enum):
    """What can happen to a lease."""

    ATTACH = "attach"
    PREPARED = "prepared"
    ENTER = "enter"
    END = "end"
    CONFIRMED = "confirmed"
    VOID = "void"


class EndReason(Enum):
    """Why a lease ended: one terminal state, many reasons."""

    RELEASED = "released"
    EMPTY = "empty"
    ATTACH_DEADLINE = "attach_deadline"
    KEEPALIVE = "keepalive"
    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    PREPARE_FAILED = "prepare_failed"
    REBOOT = "reboot"
    OVER_LIMIT = "over_limit"
    DRAINED = "drained"
    DEVICE_FAILED = "device_failed"
    PREEMPTED = "preempted"
    IDLE = "idle"


TRANSITIONS: dict[tuple[LeaseState, Signal], LeaseState] = {
    (LeaseState.RESERVED, Signal.ATTACH): LeaseState.PREPARING,
    (LeaseState.RESERVED, Signal.ENTER): LeaseState.ACTIVE,
    (LeaseState.RESERVED, Signal.END): LeaseState.ENDED,
    (LeaseState.PREPARING, Signal.PREPARED): LeaseState.ACTIVE,
    (LeaseState.PREPARING, Signal.END): LeaseState.RELEASING,
    (LeaseState.ACTIVE, Signal.ENTER): LeaseState.ACTIVE,
    (LeaseState.ACTIVE, Signal.END): LeaseState.RELEASING,
    (LeaseState.RELEASING, Signal.CONFIRMED): LeaseState.ENDED,
    (LeaseState.RESERVED, Signal.VOID): LeaseState.ENDED,
    (LeaseState.PREPARING, Signal.VOID): LeaseState.ENDED,
    (LeaseState.ACTIVE, Signal.VOID): LeaseState.ENDED,
    (LeaseState.RELEASING, Signal.VOID): LeaseState.ENDED,
}

LIVE = tuple(one for one in LeaseState if one is not LeaseState.ENDED)
"""States in which a lease holds its shares."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The durable right of a holder to devices; every version of it is one row.

    Attributes:
        id: Identity.
        state: Where it is in its life.
        request: What was asked; also the answer to a repeated request.
        uid: The holder's user.
        gid: The holder's group.
        user: The holder's user name when it was granted; for display, never for a decision.
        shares: What it has, in the order granted.
        created: When it was granted.
        processes: Processes that were attached by name.
        cgroup: Whose processes are its own; None: those that descend from `processes` are.
        origin: Where its first process came from, for a preparation that is rolled back.
        clocks: Its deadlines.
        level: Enforcement reached.
        level_reason: Why not more of it; empty where it is what the host can do.
        entered: When a process was last attached; None while nobody came.
        ending: When it left ACTIVE; a sample begun later may confirm.
        ended: When it ended.
        reason: Why it ends or ended.
        detail: The same in the words of whoever ended it; empty where there are none.
        peak: Most bytes that one sample showed on all its devices together; None: none did yet.
        violations: Breaches of its terms that last.
        adopted: Whether it was made of processes that ran already, instead of asked for.
        groups: The holder's supplementary groups when it was granted, as the kernel told them: on
            the account of each of them it counts.
        idle: How long it has shown no use of its devices, once that has lasted; None: it has not.
        giving_way: For whom it was told that it ends; None: for nobody.
        priority: Name of its priority class since it was asked for, whatever the default is by
            now; None: the default one.
    """

    id: LeaseId
    state: LeaseState
    request: Request
    uid: int
    gid: int
    user: str
    shares: tuple[Share, ...]
    created: Moment
    processes: tuple[ProcessId, ...] = ()
    cgroup: LeaseCgroup | None = None
    origin: str = ""
    clocks: Clocks = NOTHING_RUNS
    level: Level = Level.ADVISORY
    level_reason: str = ""
    entered: Moment | None = None
    ending: Moment | None = None
    ended: Moment | None = None
    reason: EndReason | None = None
    detail: str = ""
    peak: int | None = None
    violations: tuple[Violation, ...] = ()
    adopted: bool = False
    groups: tuple[int, ...] = ()
    idle: Idle | None = None
    giving_way: GivingWay | None = None
    priority: str | None = None

    @property
    def limit(self) -> int | None:
        """The least of its limits on its devices in bytes; None: it has none."""
        sizes = [one.memory for one in self.shares if one.memory is not None]
        return min(sizes, default=None if self.shares else self.request.memory)

    @property
    def live(self) -> bool:
        """Whether it still holds its shares."""
        return self.state in LIVE

    @property
    def usable(self) -> bool:
        """Whether its holder may still use it: live, and not about to end."""
        return self.live and self.reason is None


def step(lease: Lease, signal: Signal) -> LeaseState:
    """Look up the state that *signal* leads to.

    Raises:
        InvalidTransition: The table has no such row.
    """
    try:
        return TRANSITIONS[lease.state, signal]
    except KeyError:
        raise InvalidTransition(lease.id, lease.state.value, signal.value) from None


def enter(lease: Lease, process: ProcessId, now: Moment) -> Lease:
    """Attach *process*: the lease is ACTIVE, its attach deadline has been met.

    Raises:
        InvalidTransition: The lease ends or has ended.
    """
    state = step(lease, Signal.ENTER)
    if process in lease.processes:
        return lease
    return replace(
        lease,
        state=state,
        processes=(*lease.processes, process),
        entered=now,
        clocks=replace(lease.clocks, attach=None),
    )


def prepare(
    lease: Lease, process: ProcessId | None, origin: str, cgroup: LeaseCgroup | None
) -> Lease:
    """Begin to make it true in the kernel for *process*, which is in the cgroup *origin*.

    *cgroup* is what is taken in place; None where one has to be made first.

    Raises:
        InvalidTransition: It is not RESERVED.
    """
    return replace(
        lease,
        state=step(lease, Signal.ATTACH),
        processes=() if process is None else (process,),
        origin=origin,
        cgroup=cgroup,
        clocks=replace(lease.clocks, attach=None),
    )


def prepared(
    lease: Lease, cgroup: LeaseCgroup | None, level: Level, level_reason: str, now: Moment
) -> Lease:
    """Take note that it is true in the kernel, as far as *level* says.

    Raises:
        InvalidTransition: It is not PREPARING.
    """
    return replace(
        lease,
        state=step(lease, Signal.PREPARED),
        cgroup=cgroup,
        level=level,
        level_reason=level_reason,
        entered=now,
    )


def end(
    lease: Lease, reason: EndReason, now: Moment, *, detail: str = "", clocks: Clocks | None = None
) -> Lease:
    """Begin the end: ENDED at once where nobody entered, else RELEASING until confirmed.

    Breaches of its terms and idle time are of no account any more.

    Args:
        lease: Which.
        reason: Why.
        now: When.
        detail: Why, in somebody's words.
        clocks: Those of the end; none run for a lease that is ENDED at once.

    Raises:
        InvalidTransition: It ends already, or has ended.
    """
    state = step(lease, Signal.END)
    over = state is LeaseState.ENDED
    return replace(
        lease,
        state=state,
        reason=reason,
        detail=detail,
        ending=now,
        ended=now if over else None,
        clocks=Clocks() if over or clocks is None else clocks,
        violations=(),
        idle=None,
    )


def confirm(lease: Lease, now: Moment) -> Lease:
    """Finish the end: a sample showed that nothing of the lease is left on its devices.

    Raises:
        InvalidTransition: The lease is not RELEASING.
    """
    return replace(lease, state=step(lease, Signal.CONFIRMED), ended=now, clocks=Clocks())


def void(lease: Lease, reason: EndReason, now: Moment) -> Lease:
    """End from any live state, because whatever it held cannot exist any more (a reboot).

    Raises:
        InvalidTransition: It has ended already.
    """
    state = step(lease, Signal.VOID)
    over = replace(lease, state=state, reason=reason, ending=lease.ending or now, ended=now)
    return replace(over, clocks=Clocks(), violations=(), idle=None, giving_way=None)
