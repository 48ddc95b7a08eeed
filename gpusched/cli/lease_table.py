"""Tables of leases: who has what, and what ends it. Pure: messages and the time in, lines out."""

from collections.abc import Sequence

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import (
    NONE,
    device_name,
    instant,
    mib,
    name_of,
    of_size,
    seconds_of,
    size_of,
    span,
    user_of,
)
from gpusched.client.document import Document
from gpusched.client.level import level_word

_COLUMNS = (
    Column("LEASE"),
    Column("STATE"),
    Column("USER"),
    Column("CLASS", optional=True),
    Column("DEVICES"),
    Column("USED (PEAK)", right=True),
    Column("LIMIT", right=True),
    Column("ENFORCED"),
    Column("AGE", right=True),
    Column("ENDS"),
)
_ENDED = (
    Column("LEASE"),
    Column("USER"),
    Column("DEVICES"),
    Column("RAN", right=True),
    Column("ENDED"),
    Column("MEMORY"),
)
_CLOCKS = (
    ("attach_deadline", "unless a process is attached in"),
    ("keepalive_deadline", "unless renewed in"),
    ("time_limit_deadline", "in"),
    ("idle_deadline", "unless used or renewed in"),
)

_EXCLUSIVE = "exclusive"
_IDLE = {
    "IDLE_KIND_NO_PROCESS": "no process",
    "IDLE_KIND_NO_UTILIZATION": "no utilization",
}
_SOON = 60.0
"""Seconds: idle for less is how every worker starts, and nothing to look at."""

_REASONS = {
    "END_REASON_EMPTY": "its last process ended",
    "END_REASON_ATTACH_DEADLINE": "no process was attached",
    "END_REASON_KEEPALIVE": "not renewed",
    "END_REASON_IDLE": "its devices were idle",
}
"""For reasons whose own name says too little."""


def lease_lines(
    leases: Sequence[Document], now: float, width: int | None, usual: str = ""
) -> list[str]:
    """Lay out living leases.

    Args:
        leases: Messages `Lease`.
        now: Unix seconds.
        width: Columns of the terminal; None: as wide as it needs.
        usual: The priority class that goes without saying.
    """
    return lines_of(_COLUMNS, [_row(one, now, usual) for one in leases], width)


def ended_lines(leases: Sequence[Document], now: float, width: int | None) -> list[str]:
    """Lay out ended leases: what each held at most, and what to ask for the next time."""
    return lines_of(_ENDED, [_ended_row(one, now) for one in leases], width)


def memory_of(lease: Document) -> str:
    """Say what an ended lease held at most, and what would have done."""
    devices = lease.parts("devices")
    peaks = [one.measured("peak_memory") for one in devices]
    known = [one for one in peaks if one is not None]
    if not known:
        return NONE
    limit = devices[0].optional("memory_limit_bytes")
    each = " each" if len(devices) > 1 else ""
    if not _alike(devices):
        said = f"peak {size_of(max(known))}"
    elif limit is not None:
        said = f"peak {of_size(max(known), limit)}{each}"
    else:
        said = f"peak {size_of(max(known))}{each or ', exclusive'}"
    suggestion = lease.text("suggestion")
    return f"{said}; ask {suggestion}" if suggestion else said


def state_of(lease: Document) -> str:
    """Give the state of a lease as a word, and for how long it has been idle."""
    state, idle = name_of(lease.text("state"), "LEASE_STATE"), idle_of(lease)
    return f"{state}, {idle}" if idle else state


def idle_of(lease: Document) -> str:
    """Say for how long a lease is idle, `idle 12m (no process)`; empty where it is not."""
    seconds = seconds_of(lease.text("idle_time"))
    if seconds is None or (seconds < _SOON and not lease.text("idle_deadline")):
        return ""
    return f"idle {span(seconds)} ({_IDLE.get(lease.text('idle_kind'), 'not used')})"


def class_of(lease: Document, usual: str) -> str:
    """Give the priority class of a lease; empty for the usual one, or where it is not told."""
    priority = lease.text("priority")
    return "" if priority == usual else priority


def devices_of(lease: Document) -> str:
    """Give the devices of a lease in short, in the order granted."""
    return ",".join(device_name(one) for one in lease.parts("devices")) or "none"


def limit_of(lease: Document) -> str:
    """Give what a lease may hold on each device; the whole device where it has no limit.

    One that was adopted may have another limit on each.
    """
    devices = lease.parts("devices")
    if not devices:
        return NONE
    if not _alike(devices):
        return ",".join(_limit(one) for one in devices)
    counted = len(devices) > 1 and "memory_limit_bytes" in devices[0]
    return (f"{len(devices)}x" if counted else "") + _limit(devices[0])


def _limit(device: Document) -> str:
    """Give the limit on one device; it may be somebody else's to know."""
    limit = device.optional("memory_limit_bytes")
    return _EXCLUSIVE if limit is None and device.flag("exclusive") else mib(limit)


def _alike(devices: Sequence[Document]) -> bool:
    return len({_limit(one) for one in devices}) == 1


def end_of(lease: Document, now: float) -> str:
    """Say what ends a lease next, or what ended it."""
    if lease.parts("violations"):
        return "; ".join(_violation(one) for one in lease.parts("violations"))
    reason = lease.text("end_reason")
    if lease.text("state") in ("LEASE_STATE_RELEASING", "LEASE_STATE_ENDED"):
        ended = instant(lease.text("ended_at"))
        ago = "" if ended is None else f", {span(now - ended)} ago"
        return (_REASONS.get(reason) or name_of(reason, "END_REASON")) + ago
    running = [
        (deadline, words)
        for name, words in _CLOCKS
        if (deadline := instant(lease.text(name))) is not None
    ]
    gives_way = instant(lease.part("giving_way").text("deadline"))
    if gives_way is not None:
        running.append((gives_way, "gives way in"))
    if not running:
        return "with its last process"
    deadline, words = min(running)
    return f"{words} {span(deadline - now)}"


def gives_way_of(lease: Document, now: float) -> str:
    """Say when a lease gives way to a request of a higher class; empty where it does not."""
    deadline = instant(lease.part("giving_way").text("deadline"))
    return "" if deadline is None else f"gives way in {span(deadline - now)}"


def _violation(violation: Document) -> str:
    action = violation.text("next_action")
    return violation.text("sentence") + (f": {action}" if action else "")


def _used(lease: Document) -> str:
    return f"{mib(lease.measured('used_memory'))} ({mib(lease.measured('peak_memory'))})"


def _ended_row(lease: Document, now: float) -> list[str]:
    created, ended = instant(lease.text("created_at")), instant(lease.text("ended_at"))
    return [
        lease.text("id"),
        user_of(lease.part("holder")),
        devices_of(lease),
        NONE if created is None or ended is None else span(ended - created),
        end_of(lease, now),
        memory_of(lease),
    ]


def _row(lease: Document, now: float, usual: str) -> list[str]:
    created = instant(lease.text("created_at"))
    devices = lease.parts("devices")
    return [
        lease.text("id"),
        state_of(lease) + (" (asker gone)" if lease.flag("asker_gone") else ""),
        user_of(lease.part("holder")),
        class_of(lease, usual),
        devices_of(lease),
        _used(lease) if devices else NONE,
        limit_of(lease),
        level_word(lease.part("enforcement").text("level")) or NONE,
        NONE if created is None else span(now - created),
        end_of(lease, now),
    ]
