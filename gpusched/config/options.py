"""Every option of the configuration file: its key, default, form and sentence.

`docs/operations.md` is held to this table by a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpusched.core.durations import parse_duration
from gpusched.core.errors import InvalidRequest
from gpusched.core.placement import ORDERS
from gpusched.core.policy import INFRASTRUCTURE
from gpusched.core.sight import COMMON, Sight, sight_of
from gpusched.core.sizes import parse_size
from gpusched.core.stray import AVOIDED, StrayPolicy

T = TypeVar("T")

PRICES = "prices"
"""Table of free keys: a row of `gpusched types`, and what it costs in words."""

STRAY_DEVICES = ("strays", "devices")
"""Table of free keys within another: UUID of a device, and the policy there."""


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


def stray_policy(value: object) -> StrayPolicy:
    """Read what is done about strays.

    Raises:
        ValueError: It is no policy.
    """
    return StrayPolicy(_one_of(*(one.value for one in StrayPolicy))(value))


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
SETTLE_STARTS = Option(
    "devices.settle_starts",
    None,
    _no_duration,
    "How long a lease that starts on a shared device keeps the next share of it back, until its"
    " memory has settled; unset: not at all.",
)
STRAYS = Option(
    "strays.policy",
    AVOIDED.policy.value,
    stray_policy,
    "What a process without a lease leads to: `report`, `avoid` its device, or `evict` it.",
)
STRAY_GRACE = Option(
    "strays.grace",
    "30s",
    _duration,
    "Between the warning and SIGTERM, and between that and SIGKILL, when a stray is evicted.",
)
STRAY_SPARED = Option(
    "strays.spare_uids", AVOIDED.spare_uids, _numbers, "Users whose processes are not evicted."
)
STRAY_DRY_RUN = Option(
    "strays.dry_run",
    "off",
    _one_of("on", "off"),
    "With `on`, what an eviction would send is told and not sent.",
)
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
    | Option[StrayPolicy]
    | Option[Sight],
    ...,
] = (
    *(INTERVAL, DEADLINE, MAX_AGE, MAX_GAP, BOOT_PATIENCE),
    *(ATTACH_DEADLINE, KEEPALIVE, HISTORY, GRACE, SETTLE, TOLERANCE),
    *(RECHECK, GUARD, GUARD_TOP, GUARD_ADMITS),
    *(WITHHELD, PLACEMENT, INFRA, SETTLE_STARTS),
    *(STRAYS, STRAY_GRACE, STRAY_SPARED, STRAY_DRY_RUN),
    *(ADMIN_GROUP, CONNECTIONS, OTHERS, LOG_LEVEL),
)
