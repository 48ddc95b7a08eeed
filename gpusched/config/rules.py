"""Options of the rules by which leases, requests, strays and devices are acted on.

`options` has the table of all.
"""

from gpusched.config.option import (
    Option,
    duration,
    effect,
    numbers,
    one_of,
    retention,
    size,
    stray_policy,
    word,
)
from gpusched.core.marks import TaintEffect
from gpusched.core.priority import FIRST_COME
from gpusched.core.stray import AVOIDED

OVERUSE = Option(
    "overuse.policy",
    "warn",
    one_of("warn", "terminate"),
    "What happens to a lease above its memory limit: `warn`, or its processes are ended.",
)
OVERUSE_GRACE = Option(
    "overuse.grace",
    "30s",
    duration,
    "Between the warning and SIGTERM; `leases.grace` later SIGKILL.",
)
OVERUSE_COOL_DOWN = Option(
    "overuse.cool_down",
    "60s",
    duration,
    "Between two ends for one device; a breach is forgotten after so long within the limit.",
)
OVERUSE_TOLERANCE = Option(
    "overuse.tolerance", "0", size, "Memory above the limit that does not count as over-use."
)
OVERUSE_IN_PLACE = Option(
    "overuse.in_place",
    "off",
    one_of("on", "off"),
    "Whether a lease attached in place is ended, too: SIGTERM to its processes, never SIGKILL.",
)
OVERUSE_DRY_RUN = Option(
    "overuse.dry_run", "off", one_of("on", "off"), "Whether what would be done is only told."
)
SOFT = Option(
    "health.soft",
    TaintEffect.NO_SCHEDULE.value,
    effect,
    "What a fault does that need not last: `none`, `no-schedule`, or `evict`: leases end as well.",
)
SOFT_TIME = Option(
    "health.soft_time", "10m", duration, "How long that stays after the last such fault."
)
HARD = Option(
    "health.hard",
    TaintEffect.NO_SCHEDULE.value,
    effect,
    "What a fault does that stays until the GPU has recovered, or `gpusched uncordon`.",
)
LOST = Option(
    "health.lost",
    TaintEffect.NO_SCHEDULE.value,
    effect,
    "What it does to the leases of a GPU that NVML says is lost; `evict` ends them.",
)
IGNORE_XIDS = Option("health.ignore_xids", (), numbers, "XIDs that mark no device.")
FATAL_XIDS = Option("health.fatal_xids", (), numbers, "XIDs that are hard, too.")
STRAYS = Option(
    "strays.policy",
    AVOIDED.policy.value,
    stray_policy,
    "What a process without a lease leads to: `report`, `avoid` its device, or `evict` it.",
)
STRAY_GRACE = Option(
    "strays.grace",
    "30s",
    duration,
    "Between the warning and SIGTERM, and between that and SIGKILL, when a stray is evicted.",
)
STRAY_SPARED = Option(
    "strays.spare_uids", AVOIDED.spare_uids, numbers, "Users whose processes are not evicted."
)
STRAY_DRY_RUN = Option(
    "strays.dry_run",
    "off",
    one_of("on", "off"),
    "With `on`, what an eviction would send is told and not sent.",
)
QUEUE_DEFAULT = Option(
    "queue.default_priority",
    FIRST_COME.default,
    word,
    "Priority class of a request that names none.",
)
QUEUE_AGEING = Option(
    "queue.ageing",
    "6m",
    duration,
    "How much earlier a request counts as having come, for each step of its class's value.",
)
QUEUE_GRACE = Option(
    "queue.grace", "2m", duration, "How long a request keeps its place though its client is gone."
)
PREEMPTION = Option(
    "queue.preemption",
    "on",
    one_of("on", "off"),
    "Whether leases of preemptible classes are ended for requests of higher classes.",
)
PREEMPTION_NOTICE = Option(
    "queue.preemption_notice",
    "30s",
    duration,
    "Between the notice to such a lease and SIGTERM; `leases.grace` later SIGKILL.",
)
IDLE_AFTER = Option(
    "leases.idle_after",
    "1h",
    retention,
    'After so long without a process or utilization on its devices a lease is told; or `"never"`.',
)
IDLE_POLICY = Option(
    "leases.idle_policy",
    "report",
    one_of("report", "end"),
    "What then happens to it: `report`, or it has to be renewed or used, or else it is ended.",
)
IDLE_GRACE = Option(
    "leases.idle_grace", "10m", duration, "How long its holder has for that before it is ended."
)
