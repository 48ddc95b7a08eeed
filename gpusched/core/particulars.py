"""All that can be said of one lease or one device, in one sentence, as far as it may be told."""

from collections.abc import Iterator

from gpusched.core.device import Device
from gpusched.core.durations import in_words
from gpusched.core.explain import describe
from gpusched.core.idle import idle_of
from gpusched.core.idle_story import idle_for
from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.keeping import kept_in_full
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.marked import barred
from gpusched.core.pool import DEFAULT_POOL
from gpusched.core.pooling import moving, pool_of
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.sight import Sight
from gpusched.core.sizes import in_words as size_in_words
from gpusched.core.story import REASONS
from gpusched.core.strangers import named
from gpusched.core.tenants import held, kept_for, kept_words, who_waits

_CLOCKS = (
    ("attach", "ends unless a process is attached in"),
    ("keepalive", "ends unless renewed in"),
    ("time_limit", "ends in"),
)


def lease_particulars(
    ledger: Ledger, lease: Lease, now: Instant, seen: Sight, *, own: bool
) -> str:
    """Say of a lease whose it is, since when, on what, whether it is used, and what ends it.

    Args:
        ledger: The record.
        lease: Which.
        now: When.
        seen: What may be told of it.
        own: Whether it is told to its holder or an administrator.
    """
    who = f" of {lease.user or f'uid {lease.uid}'}" if seen.uid else ""
    words = f"{lease.id}{who} is {lease.state.value}, granted"
    words += f" {in_words(now - lease.created.instant)} ago"
    if own:
        words += f", with {describe(lease.request)}"
    if seen.device and lease.live and lease.shares:
        words += f", on {_places(ledger, lease)}"
    if lease.reason is not None:
        words += f": {REASONS[lease.reason]}"
    return "; ".join([words, *_outlook(ledger, lease, now, seen, own=own)])


def device_particulars(
    ledger: Ledger, device: Device, whole: Verdict, share: Verdict, now: Instant
) -> str:
    """Say of a device all that is on it or in its way, what serves now first.

    Args:
        ledger: The record.
        device: Which.
        whole: The verdict for who wants all of it.
        share: The verdict for who wants the least part of it.
        now: When.
    """
    said: list[str] = []
    for words in _facts(ledger, device, whole, share, now):
        if not any(words in one for one in said):
            said.append(words)
    return "; ".join(said)


def _places(ledger: Ledger, lease: Lease) -> str:
    names = [_name(ledger, share.device) for share in lease.shares]
    return f"device {names[0]}" if len(names) == 1 else f"devices {', '.join(names)}"


def _name(ledger: Ledger, uuid: DeviceUuid) -> str:
    device = ledger.devices.get(uuid)
    named_by_index = device is not None and device.mig is None and uuid not in ledger.lost
    return str(device.index) if device is not None and named_by_index else uuid


def _outlook(
    ledger: Ledger, lease: Lease, now: Instant, seen: Sight, *, own: bool
) -> Iterator[str]:
    """Say what becomes of a lease that does not end yet."""
    if not lease.usable:
        return
    idle = idle_of(ledger, lease)
    if idle is not None and (own or seen.device):
        yield f"idle: {idle_for(idle, now)}"
    if own or seen.device:
        yield from _gives_way(ledger, lease, now)
    if own:
        yield from (one.sentence(lease.shares) for one in lease.violations if one.within is None)
        for name, words in _CLOCKS:
            deadline: Instant | None = getattr(lease.clocks, name)
            if deadline is not None:
                yield f"{words} {in_words(max(0, deadline - now))}"


def _gives_way(ledger: Ledger, lease: Lease, now: Instant) -> Iterator[str]:
    """Say for whom a lease gives way, and when it ends; nothing where it stays after all."""
    way = lease.giving_way
    waiting = None if way is None else ledger.waiting.get(way.key)
    if way is None or waiting is None:
        return
    who = who_waits(ledger, waiting)
    left = in_words(max(0, way.deadline - now))
    yield f"gives way to {who}, who waits in the class {waiting.priority}: ends in {left}"


def _facts(
    ledger: Ledger, device: Device, whole: Verdict, share: Verdict, now: Instant
) -> Iterator[str]:
    yield whole.sentence
    mark = barred(device, ledger, now)
    if mark is not None:
        yield mark.sentence
    move = moving(ledger, device)
    if move is not None:
        yield move.sentence
    elif (pool := pool_of(ledger, device)) != DEFAULT_POOL:
        yield f"in pool {pool}"
    shares = ledger.holding(device.memory_domain).shares
    leases = tuple(dict.fromkeys(lease for lease, _ in shares))
    if leases and whole.obstacle is not Obstacle.SETTLING:
        yield held(ledger, leases, now)
    if whole.obstacle is Obstacle.HELD and share.obstacle is None:
        yield f"{share.sentence} for shares"
    yield from _left_over(ledger, device, now)
    waiting = kept_for(ledger, kept_in_full(ledger, now), device.uuid)
    if waiting is not None:
        yield kept_words(ledger, waiting, now)


def _left_over(ledger: Ledger, device: Device, now: Instant) -> Iterator[str]:
    """Say who uses a device without a lease, and what did not come back."""
    use = ledger.uses.get(device.uuid)
    if use is not None and use.strangers:
        yield named(ledger, use.strangers, now)
    ghost = ledger.ghosts.get(device.uuid)
    if ghost is not None:
        yield f"{size_in_words(ghost.memory)} of ghost memory"
