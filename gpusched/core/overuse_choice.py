"""Says which leases above their limit may be ended for it, which of them is, and why that one.

Only leases above their limit are ever in the choice: a neighbour within its own is not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpusched.core.attribution import DeviceUse, held_by
from gpusched.core.ending import kills
from gpusched.core.enforcing import sharers
from gpusched.core.ids import SECOND, DeviceUuid, Moment
from gpusched.core.lease import EndReason, Lease
from gpusched.core.ledger import Ledger
from gpusched.core.request import OverUse
from gpusched.core.sample import NodeSample
from gpusched.core.sizes import in_words
from gpusched.core.violation import Violation

_SHARED = "its cgroup is another lease's, too"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lease that may be ended now, for what it holds of one device.

    Attributes:
        lease: Which.
        violation: For what.
        excess: Bytes above the limit.
        limit: Bytes.
    """

    lease: Lease
    violation: Violation
    excess: int
    limit: int

    @property
    def rank(self) -> tuple[int, float, int]:
        """The greater, the sooner: by bytes above the limit, by proportion, the youngest."""
        return self.excess, self.excess / self.limit, self.lease.created.wall


def ended_for(ledger: Ledger, lease: Lease) -> str:
    """Say why a lease is not ended for what it holds; empty where it is."""
    if lease.adopted:
        return "it was adopted, and its limit is what it had then"
    if lease.cgroup is None:
        return "its processes are known by name only"
    if lease.cgroup.made:
        return "" if kills(ledger, lease) else _SHARED
    if not ledger.policy.overuse.in_place:
        return "its processes are in a cgroup of others"
    # A signal in place goes to every process there, a neighbour's included.
    return _SHARED if sharers(ledger, lease) else ""


def terminates(ledger: Ledger, lease: Lease) -> bool:
    """Say whether it is ended for over-use: the stricter of configuration and request decides."""
    asked = lease.request.over_use is OverUse.TERMINATE
    return (asked or ledger.policy.overuse.terminate) and not ended_for(ledger, lease)


def due(
    ledger: Ledger,
    lease: Lease,
    sample: NodeSample,
    uses: Mapping[DeviceUuid, DeviceUse],
    now: Moment,
) -> Iterator[Candidate]:
    """Give the breaches whose time is up, by a sample that was begun after they were found.

    Args:
        ledger: Before the sample.
        lease: As this sample has it: a breach for which it may not be ended now has no deadline.
        sample: What was read.
        uses: What it shows of each device.
        now: When.
    """
    for one in lease.violations:
        share = next((each for each in lease.shares if each.device == one.device), None)
        if one.deadline is None or one.deadline > now.instant or share is None:
            continue
        used, limit = held_by(lease.id, share.device, uses), share.memory
        later = sample.begun_at > one.since.instant
        if used is None or limit is None or not later:
            continue
        # What may be above it, because somebody was not identified, is not known to be.
        if used > limit + ledger.policy.overuse.tolerance:
            yield Candidate(lease, one, used - limit, limit)


def chosen(
    ledger: Ledger, candidates: Iterable[Candidate], now: Moment
) -> Iterator[tuple[Candidate, str]]:
    """Give those to be ended now, at most one for each device, with why it and not the others."""
    ranked = sorted(candidates, key=lambda one: one.rank, reverse=True)
    taken = _cooling(ledger, now) if ranked else set()
    for one in ranked:
        device = one.violation.device
        if device in taken:
            continue
        taken.update(share.device for share in one.lease.shares)
        others = [each for each in ranked if each.violation.device == device and each is not one]
        yield one, _why(one, others, ledger.policy.overuse.cool_down)


def _why(first: Candidate, others: Iterable[Candidate], cool_down: int) -> str:
    what = f"{in_words(first.excess)} above {in_words(first.limit)} on {first.violation.device}"
    waiting = ", ".join(f"{one.lease.id} ({in_words(one.excess)} above)" for one in others)
    if not waiting:
        return what
    after = f"after it in {cool_down // SECOND} s: {waiting}"
    return f"{what}; the most of those above their limit, {after}"


def _cooling(ledger: Ledger, now: Moment) -> set[DeviceUuid]:
    """Give the devices for which a lease was ended so lately that the next has to wait."""
    return {
        share.device
        for several in (ledger.live(), ledger.ended())
        for one in several
        if one.reason is EndReason.OVER_LIMIT
        and one.ending is not None
        # Instants count from the boot: one of an earlier boot may lie ahead.
        and 0 <= now.instant - one.ending.instant < ledger.policy.overuse.cool_down
        for share in one.shares
    }
