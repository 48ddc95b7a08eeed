"""The operator's settings that decisions depend on, as one value.

Config turns its file into a `Policy`; the core never sees the file.
"""

from dataclasses import dataclass

from gpusched.core.health_rules import CAREFUL, HealthRules
from gpusched.core.ids import SECOND
from gpusched.core.pool import ONE_POOL, Pools
from gpusched.core.priority import FIRST_COME, QueueRules
from gpusched.core.quota import UNBOUNDED, Quotas
from gpusched.core.sight import COMMON, Sight
from gpusched.core.stray import AVOIDED, StrayRules

INFRASTRUCTURE = (
    "nvidia-cuda-mps-server",
    "nvidia-persistenced",
    "nv-hostengine",
    "dcgm-exporter",
)
"""Programs that serve every lease: the MPS server, the persistence daemon, DCGM."""


@dataclass(frozen=True, slots=True)
class OverUseRules:
    """What happens to a lease that holds more memory than its limit. Durations in nanoseconds.

    Attributes:
        terminate: Whether its processes are ended; else it is only warned.
        grace: Between the warning and SIGTERM.
        cool_down: Between two leases that are ended for one device, and how long one has to stay
            within its limit until an earlier breach is forgotten.
        tolerance: Bytes above the limit that do not count.
        in_place: Whether processes in a cgroup that is not gpusched's get SIGTERM, too.
        dry_run: Whether what would be done is only told.
    """

    terminate: bool = False
    grace: int = 30 * SECOND
    cool_down: int = 60 * SECOND
    tolerance: int = 0
    in_place: bool = False
    dry_run: bool = False


WARN_ONLY = OverUseRules()


@dataclass(frozen=True, slots=True)
class IdleRules:
    """What happens to a lease that does not use its devices. Durations in nanoseconds.

    Attributes:
        after: For how long until its holder is told; None: he never is.
        end: Whether it is ended then, unless it is renewed or used; else it is only told.
        grace: Between the telling and the end.
    """

    after: int | None = 3600 * SECOND
    end: bool = False
    grace: int = 600 * SECOND


REPORTED = IdleRules()


@dataclass(frozen=True, slots=True)
class Policy:
    """How to decide. Durations are nanoseconds, sizes bytes.

    Attributes:
        placement: Name of the rule that orders devices for a memory share (`pack`, `spread`).
        withheld: Kept back on every device, beside what the driver reserves.
        attach_deadline: Default of a request that names none.
        keepalive: Default of a request that names none; None: not needed.
        max_sample_age: An older reading counts as unknown.
        max_tick_gap: Ticks further apart mean that the host slept; the gap expires nothing.
        history: How many ended leases are kept.
        history_time: How long they are kept; None: for ever.
        infrastructure: Program names that are never strays.
        grace: Between SIGTERM and SIGKILL when a lease's processes are ended.
        settle: How long the memory of an ended lease may take to come back.
        tolerance: Bytes above what was normal that do not count as memory of an ended lease.
        guard: Whether the host-wide guard is turned on when the daemon starts.
        recheck: Between two looks at the cgroups and programs of all leases.
        drain_deadline: Until the leases of a drained device end, where the operator does not say.
        health: What faults of devices do.
        others: What a user may see of the leases and processes of others.
        overuse: What happens to a lease that holds more memory than its limit.
        strays: What is done about processes without a lease.
        settle_starts: How long a lease that starts on a shared device may keep the next one from
            it, until its memory has settled; None: not at all.
        queue: How requests wait.
        quotas: What users, groups and labels may have.
        pools: The sets of devices, and who may use them.
        idle: What happens to a lease that does not use its devices.
    """

    placement: str = "pack"
    withheld: int = 0
    attach_deadline: int = 300 * SECOND
    keepalive: int | None = None
    max_sample_age: int = 15 * SECOND
    max_tick_gap: int = 30 * SECOND
    history: int = 10_000
    history_time: int | None = 30 * 86400 * SECOND
    infrastructure: tuple[str, ...] = INFRASTRUCTURE
    grace: int = 10 * SECOND
    settle: int = 10 * SECOND
    tolerance: int = 64 * 2**20
    recheck: int = 30 * SECOND
    guard: bool = False
    drain_deadline: int = 600 * SECOND
    health: HealthRules = CAREFUL
    others: Sight = COMMON
    overuse: OverUseRules = WARN_ONLY
    strays: StrayRules = AVOIDED
    settle_starts: int | None = None
    queue: QueueRules = FIRST_COME
    quotas: Quotas = UNBOUNDED
    pools: Pools = ONE_POOL
    idle: IdleRules = REPORTED
