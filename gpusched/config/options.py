"""Every option of the configuration file: its key, default, form and sentence.

`docs/operations.md` is held to this table by a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpusched.core.durations import parse_duration
from gpusched.core.errors import InvalidRequest
from gpusched.core.marks import TaintEffect
from gpusched.core.placement import ORDERS
from gpusched.core.policy import INFRASTRUCTURE
from gpusched.core.sight import COMMON, Sight, sight_of
from gpusched.core.sizes import parse_size

T = TypeVar("T")

PRICES = "prices"
"""Table of free keys: a row of `gpusched types`, and what it costs in words."""


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One key of the file.

    Attributes:
        key: `table.name`.
        default: As the file would have it; None: unset.
        read: Turns the file's value into ours; raises ValueError with the reason.
        meaning: One sentence for the documentation.
    """

    key: str
    default: object
    read: Callable[[object], T]
    meaning: str


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a time in quotes, such as "90s" or "5m"')
    try:
        return parse_duration(value, "")
    except InvalidRequest as error:
        raise ValueError(error.why) from None


def _no_duration(value: object) -> int | None:
    return None if value is None else _duration(value)


def _size(value: object) -> int:
    if value == "0":
        return 0
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a size in quotes, such as "512MiB"')
    try:
        return parse_size(value, "")
    except InvalidRequest as error:
        raise ValueError(error.why) from None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of 1 or more")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a word in quotes")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{value!r} is not a list of words in quotes")
    return tuple(value)


def _numbers(value: object) -> tuple[int, ...]:
    wrong = TypeError(f"{value!r} is not a list of whole numbers")
    if not isinstance(value, list | tuple):
        raise wrong
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        raise wrong
    return tuple(value)


def _effect(value: object) -> TaintEffect:
    return TaintEffect(_one_of(*(one.value for one in TaintEffect))(value))


def _sight(value: object) -> Sight:
    return sight_of(_words(value))


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return read


INTERVAL = Option("sampling.interval", "1s", _duration, "Time between two samples.")
DEADLINE = Option("sampling.deadline", "5s", _duration, "Then NVML is late: its process is ended.")
MAX_AGE = Option(
    "sampling.max_age", "15s", _duration, "An older reading is unknown: nothing is granted on it."
)
MAX_GAP = Option(
    "sampling.max_gap",
    "30s",
    _duration,
    "Samples further apart mean that the host slept: every lease gets that time back.",
)
BOOT_PATIENCE = Option(
    "sampling.boot_patience",
    "30s",
    _duration,
    "How long a start within five minutes of a boot waits for the driver.",
)
ATTACH_DEADLINE = Option(
    "leases.attach_deadline",
    "5m",
    _duration,
    "How long a lease waits for its first process when the request does not say.",
)
KEEPALIVE = Option(
    "leases.keepalive",
    None,
    _no_duration,
    "How often a holder must renew when the request does not say; unset: never.",
)
HISTORY = Option("leases.history", 10_000, _count, "How many ended leases are kept.")
WITHHELD = Option(
    "devices.withheld",
    "0",
    _size,
    "Memory kept back on every device, beside what the driver reserves.",
)
PLACEMENT = Option(
    "devices.placement",
    "pack",
    _one_of(*ORDERS),
    "Where a memory share goes: `pack` fills one device before the next, `spread` evens out.",
)
DRAIN_DEADLINE = Option(
    "devices.drain_deadline",
    "10m",
    _duration,
    "How long the leases of a drained device may go on when the operator does not say.",
)
INFRA = Option(
    "devices.infrastructure",
    INFRASTRUCTURE,
    _words,
    "Programs that may use devices without a lease and hinder nobody.",
)
ADMIN_GROUP = Option("access.admin_group", "gpusched", _word, "Administers, beside root.")
CONNECTIONS = Option(
    "access.connections_per_user", 256, _count, "Open connections of one user; root has no limit."
)
OTHERS = Option(
    "access.others",
    COMMON.words(),
    _sight,
    "What a user may see of others' leases and processes: `uid`, `device`, `memory`, `command`.",
)
GRACE = Option(
    "leases.grace",
    "10s",
    _duration,
    "Between SIGTERM and SIGKILL when the processes of a lease are ended.",
)
SETTLE = Option(
    "leases.settle",
    "10s",
    _duration,
    "How long the memory of an ended lease may take to come back; then it is ghost memory.",
)
TOLERANCE = Option(
    "leases.tolerance",
    "64MiB",
    _size,
    "Memory above what was normal before a lease that does not count as left by it.",
)
RECHECK = Option(
    "enforcement.recheck",
    "30s",
    _duration,
    "Between two looks at the cgroups and programs of all leases.",
)
GUARD = Option(
    "enforcement.guard",
    "off",
    _one_of("on", "off"),
    "Whether the daemon turns the host-wide guard on when it starts.",
)
GUARD_TOP = Option(
    "enforcement.guard_top",
    "/",
    _word,
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
    _words,
    "Units, or paths of cgroups, that the guard lets through without a lease.",
)
OVERUSE = Option(
    "overuse.policy",
    "warn",
    _one_of("warn", "terminate"),
    "What happens to a lease above its memory limit: `warn`, or its processes are ended.",
)
OVERUSE_GRACE = Option(
    "overuse.grace",
    "30s",
    _duration,
    "Between the warning and SIGTERM; `leases.grace` later SIGKILL.",
)
OVERUSE_COOL_DOWN = Option(
    "overuse.cool_down",
    "60s",
    _duration,
    "Between two ends for one device; a breach is forgotten after so long within the limit.",
)
OVERUSE_TOLERANCE = Option(
    "overuse.tolerance", "0", _size, "Memory above the limit that does not count as over-use."
)
OVERUSE_IN_PLACE = Option(
    "overuse.in_place",
    "off",
    _one_of("on", "off"),
    "Whether a lease attached in place is ended, too: SIGTERM to its processes, never SIGKILL.",
)
OVERUSE_DRY_RUN = Option(
    "overuse.dry_run", "off", _one_of("on", "off"), "Whether what would be done is only told."
)
SOFT = Option(
    "health.soft",
    TaintEffect.NO_SCHEDULE.value,
    _effect,
    "What a fault does that need not last: `none`, `no-schedule`, or `evict`: leases end as well.",
)
SOFT_TIME = Option(
    "health.soft_time", "10m", _duration, "How long that stays after the last such fault."
)
HARD = Option(
    "health.hard",
    TaintEffect.NO_SCHEDULE.value,
    _effect,
    "What a fault does that stays until the GPU has recovered, or `gpusched uncordon`.",
)
LOST = Option(
    "health.lost",
    TaintEffect.NO_SCHEDULE.value,
    _effect,
    "What it does to the leases of a GPU that NVML says is lost; `evict` ends them.",
)
IGNORE_XIDS = Option("health.ignore_xids", (), _numbers, "XIDs that mark no device.")
FATAL_XIDS = Option("health.fatal_xids", (), _numbers, "XIDs that are hard, too.")
LOG_LEVEL = Option(
    "log.level",
    "info",
    _one_of("debug", "info", "warning", "error"),
    "Least severe lines that are written.",
)
OPTIONS: tuple[
    Option[int]
    | Option[int | None]
    | Option[str]
    | Option[tuple[str, ...]]
    | Option[tuple[int, ...]]
    | Option[TaintEffect]
    | Option[Sight],
    ...,
] = (
    *(INTERVAL, DEADLINE, MAX_AGE, MAX_GAP, BOOT_PATIENCE),
    *(ATTACH_DEADLINE, KEEPALIVE, HISTORY, GRACE, SETTLE, TOLERANCE),
    *(RECHECK, GUARD, GUARD_TOP, GUARD_ADMITS),
    *(WITHHELD, PLACEMENT, DRAIN_DEADLINE, INFRA),
    *(OVERUSE, OVERUSE_GRACE, OVERUSE_COOL_DOWN, OVERUSE_TOLERANCE),
    *(OVERUSE_IN_PLACE, OVERUSE_DRY_RUN),
    *(SOFT, SOFT_TIME, HARD, LOST, IGNORE_XIDS, FATAL_XIDS),
    *(ADMIN_GROUP, CONNECTIONS, OTHERS, LOG_LEVEL),
)
