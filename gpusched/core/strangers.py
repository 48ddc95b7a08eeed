"""Who is on a device without a lease, as placement and its sentences see it."""

from collections.abc import Iterable

from gpusched.core.attribution import Attributed, DeviceUse, ProcessKind, beside, of_memory
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.sample import Unavailable
from gpusched.core.sizes import in_words
from gpusched.core.stray import StrayPolicy
from gpusched.core.stray_story import seen_for, user_of


def in_the_way(ledger: Ledger, use: DeviceUse) -> tuple[Attributed, ...]:
    """Give those that keep the whole device from being granted.

    Strays are not, where they are only to be reported; one that could not be identified is.
    """
    if ledger.policy.strays.of(use.reading.device) is not StrayPolicy.REPORT:
        return use.strangers
    return tuple(one for one in use.strangers if one.kind is ProcessKind.UNKNOWN)


def ghost_on(ledger: Ledger, use: DeviceUse) -> tuple[DeviceUuid, Ghost] | None:
    """Give the ghost memory that keeps the whole device from being granted, and where it is."""
    for one in beside(use, ledger.uses):
        ghost = ledger.ghosts.get(one.reading.device.uuid)
        if ghost is not None:
            return one.reading.device.uuid, ghost
    return None


def stays_taken(ledger: Ledger, device: DeviceUuid) -> bool:
    """Say whether something keeps the whole device even once all leases on it have ended."""
    use = of_memory(ledger.uses[device], ledger.uses)
    return bool(in_the_way(ledger, use)) or ghost_on(ledger, use) is not None


def named(ledger: Ledger, strangers: Iterable[Attributed], now: Instant) -> str:
    """Say who they are, as far as everybody may know."""
    if not ledger.policy.others.device:
        return "used without a lease"
    words = (_named(ledger, one, now) for one in strangers)
    return f"used without a lease by {', '.join(words)}"


def first_seen(ledger: Ledger, strangers: Iterable[Attributed]) -> Moment | None:
    """Say since when the first of them is there; None where that is not known of any.

    What was there when the daemon started is there since earlier than that.
    """
    known = (ledger.strays.get(one.facts.identity) for one in strangers if one.facts is not None)
    seen = (stray.since for stray in known if stray is not None and not stray.at_start)
    return min(seen, key=lambda moment: moment.instant, default=None)


def _named(ledger: Ledger, one: Attributed, now: Instant) -> str:
    others, memory = ledger.policy.others, one.context.memory
    known = ["not identified" if one.facts is None else one.facts.name]
    if others.memory and not isinstance(memory, Unavailable):
        known.append(in_words(memory))
    stray = None if one.facts is None else ledger.strays.get(one.facts.identity)
    if stray is not None:
        known.append(seen_for(stray, now))
    who = "" if one.facts is None or not others.uid else f" of {user_of(one.facts)}"
    return f"pid {one.context.pid}{who} ({', '.join(known)})"
