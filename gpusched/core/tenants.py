"""Whose a device is and since when, in the sentences of verdicts: as far as all may know."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpusched.core.durations import in_words
from gpusched.core.health import LOST
from gpusched.core.hold import Holds
from gpusched.core.idle import idle_of
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Verdict
from gpusched.core.waiting import Waiting

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


def kept(ledger: Ledger, verdict: Verdict, now: Instant) -> Verdict:
    """Say in a verdict for whom its device is kept."""
    found = kept_for(ledger, ledger.holds, verdict.device)
    if found is None:
        return verdict
    since = found.arrived
    return replace(verdict, sentence=kept_words(ledger, found, now), since=since)


def kept_for(ledger: Ledger, holds: Holds, device: DeviceUuid) -> Waiting | None:
    """Give the request that a device is kept for; None: it is kept for nobody."""
    hold = holds.get(ledger.devices[device].memory_domain)
    return None if hold is None else ledger.waiting.get(hold.key)


def kept_words(ledger: Ledger, waiting: Waiting, now: Instant) -> str:
    """Say that a device is kept for a request: whose it is, and since when it waits."""
    who = f" of {waiting.user or f'uid {waiting.uid}'}" if ledger.policy.others.uid else ""
    plain = waiting.priority == ledger.policy.queue.default
    what = "" if plain else f" in the class {waiting.priority}"
    waited = lasting(waiting.arrived, now)
    return f"kept for a request{who}{what} that " + (f"has waited{waited}" if waited else "waits")


def who_waits(ledger: Ledger, waiting: Waiting) -> str:
    """Name whose request it is, as far as everybody may know."""
    if not ledger.policy.others.uid:
        return "a user"
    return waiting.user or f"uid {waiting.uid}"


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


def ago(since: Moment, now: Instant) -> str:
    """Say when that was, ` (2h10m ago)`; nothing of what was just now."""
    passed = now - since.instant
    return f" ({in_words(passed)} ago)" if passed >= SECOND else ""


def lost(ledger: Ledger, device: DeviceUuid, now: Instant) -> str:
    """Say that a device does not answer, why, and since when where a mark tells."""
    since = next((one.at for one in ledger.marks_of(device).taints if one.key == LOST), None)
    return f"lost{lasting(since, now)}: {ledger.lost[device]}"


def _named(ledger: Ledger, lease: Lease, now: Instant) -> str:
    who = f" of {lease.user or f'uid {lease.uid}'}" if ledger.policy.others.uid else ""
    words = f"{lease.id}{who}{lasting(lease.created, now)}"
    notes = []
    if lease.usable and lease.giving_way is not None:
        notes.append(f"gives way in {in_words(max(0, lease.giving_way.deadline - now))}")
    elif lease.usable and lease.clocks.time_limit is not None:
        notes.append(f"at most {in_words(max(0, lease.clocks.time_limit - now))} more")
    idle = idle_of(ledger, lease) if lease.usable else None
    if idle is not None and idle.time(now) >= LONG:
        notes.append(f"idle for {in_words(idle.time(now))}")
    return f"{words} ({', '.join(notes)})" if notes else words
