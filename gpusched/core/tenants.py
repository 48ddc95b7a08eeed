"""Whose a device is, in the sentences of verdicts: as far as everybody may know."""

from collections.abc import Iterable, Sequence

from gpusched.core.durations import in_words
from gpusched.core.idle import idle_of
from gpusched.core.ids import SECOND, Instant, LeaseId, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger

NAMED = 3
"""Leases of one device that are named; of more only how many they are."""

LONG = 60 * SECOND
"""Idle time, in nanoseconds, from which on it is worth a word: every worker starts idle."""


def held(ledger: Ledger, leases: Iterable[LeaseId], now: Instant) -> str:
    """Say that *leases* have a device: whose they are, since when, and which of them are idle."""
    if not ledger.policy.others.device:
        return "held"
    found = [one for one in map(ledger.get, leases) if one is not None]
    words = [_named(ledger, one, now) for one in found[:NAMED]]
    if len(found) > NAMED:
        words.append(f"{len(found) - NAMED} more")
    return f"held by {', '.join(words)}"


def settling(ledger: Ledger, leases: Sequence[Lease], now: Instant) -> str:
    """Say that the memory of *leases*, which end, is not confirmed back."""
    whose = "a lease"
    if ledger.policy.others.device:
        whose = ", ".join(one.id for one in leases)
    first = min(
        (one.ending for one in leases if one.ending is not None),
        key=lambda moment: moment.instant,
        default=None,
    )
    return f"settling{lasting(first, now)}: the memory of {whose} is not confirmed back"


def lasting(since: Moment | None, now: Instant) -> str:
    """Say for how long, ` for 2h10m`; nothing where that is not a second, or not known."""
    passed = 0 if since is None else now - since.instant
    return f" for {in_words(passed)}" if passed >= SECOND else ""


def _named(ledger: Ledger, lease: Lease, now: Instant) -> str:
    who = f" of {lease.user or f'uid {lease.uid}'}" if ledger.policy.others.uid else ""
    words = f"{lease.id}{who}{lasting(lease.created, now)}"
    idle = idle_of(ledger, lease) if lease.usable else None
    if idle is None or idle.time(now) < LONG:
        return words
    return f"{words} (idle for {in_words(idle.time(now))})"
