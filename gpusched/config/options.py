"""Every option of the configuration file: its key, default, form and sentence.

`docs/operations.md` is held to this table by a test.
"""

from gpusched.config import rules
from gpusched.config.option import (
    Option,
    count,
    duration,
    exempt,
    no_duration,
    one_of,
    retention,
    sight,
    size,
    word,
    words,
)
from gpusched.core.arranging import ORDERS
from gpusched.core.marks import TaintEffect
from gpusched.core.policy import INFRASTRUCTURE
from gpusched.core.quota import Exempt
from gpusched.core.sight import COMMON, Sight
from gpusched.core.stray import StrayPolicy

PRICES = "prices"
"""Table of free keys: a row of `gpusched types`, and what it costs in words."""

QUOTAS = "quotas"
"""List of tables: whose quota, and its bounds."""

POOLS = "pools"
"""Table of tables by name: the devices of a pool, and who may use it."""

PRIORITIES = "priorities"
"""Table of tables by name: what a class of requests is worth, and who may use it."""

STRAY_DEVICES = ("strays", "devices")
"""Table of free keys within another: UUID of a device, and the policy there."""


INTERVAL = Option("sampling.interval", "1s", duration, "Time between two samples.")
DEADLINE = Option("sampling.deadline", "5s", duration, "Then NVML is late: its process is ended.")
MAX_AGE = Option(
    "sampling.max_age", "15s", duration, "An older reading is unknown: nothing is granted on it."
)
MAX_GAP = Option(
    "sampling.max_gap",
    "30s",
    duration,
    "Samples further apart mean that the host slept: every lease gets that time back. More than"
    " `sampling.interval`.",
)
BOOT_PATIENCE = Option(
    "sampling.boot_patience",
    "30s",
    duration,
    "How long a start within five minutes of a boot waits for the driver.",
)
ATTACH_DEADLINE = Option(
    "leases.attach_deadline",
    "5m",
    duration,
    "How long a lease waits for its first process when the request does not say.",
)
KEEPALIVE = Option(
    "leases.keepalive",
    None,
    no_duration,
    "How often a holder must renew when the request does not say; unset: never.",
)
HISTORY = Option("leases.history", 10_000, count, "How many ended leases are kept.")
HISTORY_TIME = Option(
    "leases.history_time", "30d", retention, 'After so long they go; `"never"`: not for their age.'
)
EVENTS = Option("events.history", 100_000, count, "How many events are kept on disk, at least.")
EVENTS_TIME = Option(
    "events.history_time", "30d", retention, 'After so long they go; `"never"`: not for their age.'
)
WITHHELD = Option(
    "devices.withheld",
    "0",
    size,
    "Memory kept back on every device, beside what the driver reserves.",
)
PLACEMENT = Option(
    "devices.placement",
    "pack",
    one_of(*ORDERS),
    "Where a memory share goes: `pack` fills one device before the next, `spread` evens out,"
    " `topology` goes where devices are joined best, as whole ones do.",
)
DRAIN_DEADLINE = Option(
    "devices.drain_deadline",
    "10m",
    duration,
    "How long the leases of a drained device may go on when the operator does not say.",
)
INFRA = Option(
    "devices.infrastructure",
    INFRASTRUCTURE,
    words,
    "Programs that may use devices without a lease and hinder nobody.",
)
ADMIN_GROUP = Option("access.admin_group", "gpusched", word, "Administers, beside root.")
CONNECTIONS = Option(
    "access.connections_per_user",
    1024,
    count,
    "Open connections of one user, and calls that he has under way by gRPC; root has no limit.",
)
OTHERS = Option(
    "access.others",
    COMMON.words(),
    sight,
    "What a user may see of others' leases and processes: `uid`, `device`, `memory`, `command`.",
)
GRACE = Option(
    "leases.grace",
    "10s",
    duration,
    "Between SIGTERM and SIGKILL when the processes of a lease are ended.",
)
SETTLE = Option(
    "leases.settle",
    "10s",
    duration,
    "How long the memory of an ended lease may take to come back; then it is ghost memory.",
)
TOLERANCE = Option(
    "leases.tolerance",
    "64MiB",
    size,
    "Memory above what was normal before a lease that does not count as left by it.",
)
RECHECK = Option(
    "enforcement.recheck",
    "30s",
    duration,
    "Between two looks at the cgroups and programs of all leases.",
)
GUARD = Option(
    "enforcement.guard",
    "off",
    one_of("on", "off"),
    "Whether the daemon turns the host-wide guard on when it starts.",
)
GUARD_TOP = Option(
    "enforcement.guard_top",
    "/",
    word,
    "Cgroup that the guard is attached to: what lies below it is guarded.",
)
GUARD_ADMITS = Option(
    "enforcement.guard_admits",
    (
        "nvidia-persistenced.service",
        "nvidia-fabricmanager.service",
        "nvidia-dcgm.service",
        "nvidia-powerd.service",
    ),
    words,
    "Units, or paths of cgroups, that the guard lets through without a lease.",
)
SETTLE_STARTS = Option(
    "devices.settle_starts",
    None,
    no_duration,
    "How long a lease that starts on a shared device keeps the next share of it back, until its"
    " memory has settled; unset: not at all.",
)
QUOTA_EXEMPT = Option(
    "access.quota_exempt",
    Exempt.NOBODY.value,
    exempt,
    "Who is free of quotas: `nobody`, `root`, or `admins` (root and the group that administers).",
)
CDI = Option(
    "containers.cdi",
    "auto",
    one_of("auto", "on", "off"),
    "Whether container engines are told of leases by CDI; `auto`: where /etc/cdi or /var/run/cdi"
    " exists, devices are real and the daemon runs as root.",
)
CDI_DIRECTORY = Option(
    "containers.cdi_directory", "/var/run/cdi", word, "Where a lease's CDI document is written."
)
LOG_LEVEL = Option(
    "log.level",
    "info",
    one_of("debug", "info", "warning", "error"),
    "Least severe lines that are written.",
)
OPTIONS: tuple[
    Option[int]
    | Option[int | None]
    | Option[str]
    | Option[tuple[str, ...]]
    | Option[tuple[int, ...]]
    | Option[Exempt]
    | Option[TaintEffect]
    | Option[StrayPolicy]
    | Option[Sight],
    ...,
] = (
    *(INTERVAL, DEADLINE, MAX_AGE, MAX_GAP, BOOT_PATIENCE),
    *(ATTACH_DEADLINE, KEEPALIVE, HISTORY, HISTORY_TIME, GRACE, SETTLE, TOLERANCE),
    *(rules.IDLE_AFTER, rules.IDLE_POLICY, rules.IDLE_GRACE),
    *(RECHECK, GUARD, GUARD_TOP, GUARD_ADMITS),
    *(EVENTS, EVENTS_TIME),
    *(WITHHELD, PLACEMENT, DRAIN_DEADLINE, INFRA, SETTLE_STARTS),
    *(rules.OVERUSE, rules.OVERUSE_GRACE, rules.OVERUSE_COOL_DOWN, rules.OVERUSE_TOLERANCE),
    *(rules.OVERUSE_IN_PLACE, rules.OVERUSE_DRY_RUN),
    *(rules.SOFT, rules.SOFT_TIME, rules.HARD, rules.LOST, rules.IGNORE_XIDS, rules.FATAL_XIDS),
    *(rules.STRAYS, rules.STRAY_GRACE, rules.STRAY_SPARED, rules.STRAY_DRY_RUN),
    *(rules.QUEUE_DEFAULT, rules.QUEUE_AGEING, rules.QUEUE_GRACE),
    *(rules.PREEMPTION, rules.PREEMPTION_NOTICE),
    *(CDI, CDI_DIRECTORY),
    *(ADMIN_GROUP, CONNECTIONS, OTHERS, QUOTA_EXEMPT, LOG_LEVEL),
)
AFTER_RESTART = frozenset(
    {
        *(DEADLINE.key, BOOT_PATIENCE.key),
        *(GUARD.key, GUARD_TOP.key, GUARD_ADMITS.key),
        *(CDI.key, CDI_DIRECTORY.key),
        *(EVENTS.key, EVENTS_TIME.key, ADMIN_GROUP.key, CONNECTIONS.key, LOG_LEVEL.key, PRICES),
    }
)
"""Keys that a reload does not change; the others hold at once."""
