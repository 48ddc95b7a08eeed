"""Tables of leases: who has what, and what ends it. Pure: messages and the time in, lines out."""

from collections.abc import Sequence

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import NONE, device_name, instant, mib, name_of, span, user_of
from gpusched.client.document import Document
from gpusched.client.level import level_word

_GIB = 1 << 30
_COLUMNS = (
    Column("LEASE"),
    Column("STATE"),
    Column("USER"),
    Column("DEVICES"),
    Column("USED (PEAK)", right=True),
    Column("LIMIT", right=True),
    Column("ENFORCED"),
    Column("AGE", right=True),
    Column("ENDS"),
)
_CLOCKS = (
    ("attach_deadline", "unless a process is attached in"),
    ("keepalive_deadline", "unless renewed in"),
    ("time_limit_deadline", "in"),
)

_REASONS = {
    "END_REASON_EMPTY": "its last process ended",
    "END_REASON_ATTACH_DEADLINE": "no process was attached",
    "END_REASON_KEEPALIVE": "not renewed",
}
"""For reasons whose own name says too little."""


def lease_lines(leases: Sequence[Document], now: float, width: int | None) -> list[str]:
    """Lay out leases, living or ended.

    Args:
        leases: Messages `Lease`.
        now: Unix seconds.
        width: Columns of the terminal; None: as wide as it needs.
    """
    return lines_of(_COLUMNS, [_row(one, now) for one in leases], width)


def state_of(lease: Document) -> str:
    """Give the state of a lease as a word."""
    return name_of(lease.text("state"), "LEASE_STATE")


def devices_of(lease: Document) -> str:
    """Give the devices of a lease in short, in the order granted."""
    return ",".join(device_name(one) for one in lease.parts("devices")) or "none"


def limit_of(lease: Document) -> str:
    """Give what a lease may hold on each device; the whole device where it has no limit."""
    limits = [one.optional("memory_limit_bytes") for one in lease.parts("devices")]
    if not limits:
        return NONE
    several = f"{len(limits)}x" if len(limits) > 1 else ""
    return "exclusive" if limits[0] is None else several + mib(limits[0])


def end_of(lease: Document, now: float) -> str:
    """Say what ends a lease next, or what ended it."""
    if lease.parts("violations"):
        return "; ".join(_violation(one) for one in lease.parts("violations"))
    reason = lease.text("end_reason")
    if lease.text("state") in ("LEASE_STATE_RELEASING", "LEASE_STATE_ENDED"):
        ended = instant(lease.text("ended_at"))
        ago = "" if ended is None else f", {span(now - ended)} ago"
        return (_REASONS.get(reason) or name_of(reason, "END_REASON")) + ago + _advice(lease)
    running = [
        (deadline, words)
        for name, words in _CLOCKS
        if (deadline := instant(lease.text(name))) is not None
    ]
    if not running:
        return "with its last process"
    deadline, words = min(running)
    return f"{words} {span(deadline - now)}"


def _advice(lease: Document) -> str:
    """Say what the lease needed of what it had, and what to ask for the next time."""
    suggestion = lease.text("suggestion")
    devices = lease.parts("devices")
    peaks = [one.measured("peak_memory") for one in devices]
    if not suggestion or None in peaks:
        return ""
    peak = max(one or 0 for one in peaks)
    limit = devices[0].optional("memory_limit_bytes")
    of = "" if limit is None else f" of {limit / _GIB:.3g}"
    return f"; peak {peak / _GIB:.2g}{of} GiB; ask {suggestion}"


def _violation(violation: Document) -> str:
    action = violation.text("next_action")
    return violation.text("sentence") + (f": {action}" if action else "")


def _used(lease: Document) -> str:
    return f"{mib(lease.measured('used_memory'))} ({mib(lease.measured('peak_memory'))})"


def _row(lease: Document, now: float) -> list[str]:
    created = instant(lease.text("created_at"))
    devices = lease.parts("devices")
    return [
        lease.text("id"),
        state_of(lease) + (" (asker gone)" if lease.flag("asker_gone") else ""),
        user_of(lease.part("holder")),
        devices_of(lease),
        _used(lease) if devices else NONE,
        limit_of(lease),
        level_word(lease.part("enforcement").text("level")) or NONE,
        NONE if created is None else span(now - created),
        end_of(lease, now),
    ]
