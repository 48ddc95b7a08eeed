"""A rejection on the wire: the core's verdicts and sentences, and the command that would do.

No reason is invented here; only names and commands are added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpusched.api.v1 import rejection_pb2
from gpusched.core.explain import types_here
from gpusched.core.ids import Moment
from gpusched.core.ledger import Ledger
from gpusched.core.quota import QuotaExcess, Resource, as_told
from gpusched.core.replies import FOR_EVER, Holder, Obstacle, Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.waits import waits_for
from gpusched.rpc.call import Refused
from gpusched.rpc.commands import command_of
from gpusched.rpc.convert_reading import deadline_of, moment_of, time_of
from gpusched.rpc.convert_request import message_of
from gpusched.rpc.status import CODES, KINDS

OBSTACLES: dict[Obstacle, rejection_pb2.VerdictReason.ValueType] = {
    Obstacle.NOT_NAMED: rejection_pb2.VERDICT_REASON_NOT_NAMED,
    Obstacle.WRONG_KIND: rejection_pb2.VERDICT_REASON_MIG_PROFILE,
    Obstacle.PARTITIONED: rejection_pb2.VERDICT_REASON_PARTITIONED,
    Obstacle.WRONG_TYPE: rejection_pb2.VERDICT_REASON_TYPE,
    Obstacle.TOO_SMALL: rejection_pb2.VERDICT_REASON_TOO_SMALL,
    Obstacle.LOST: rejection_pb2.VERDICT_REASON_LOST,
    Obstacle.UNREAD: rejection_pb2.VERDICT_REASON_UNREAD,
    Obstacle.HELD: rejection_pb2.VERDICT_REASON_HELD,
    Obstacle.SETTLING: rejection_pb2.VERDICT_REASON_SETTLING,
    Obstacle.GHOST: rejection_pb2.VERDICT_REASON_GHOST,
    Obstacle.STRANGER: rejection_pb2.VERDICT_REASON_STRAY,
    Obstacle.TOO_LITTLE_FREE: rejection_pb2.VERDICT_REASON_MEMORY,
    Obstacle.CORDONED: rejection_pb2.VERDICT_REASON_CORDONED,
    Obstacle.TAINTED: rejection_pb2.VERDICT_REASON_TAINTED,
    Obstacle.RELEASED: rejection_pb2.VERDICT_REASON_DRIVER_RELEASED,
    Obstacle.STARTING: rejection_pb2.VERDICT_REASON_STARTING,
    Obstacle.KEPT: rejection_pb2.VERDICT_REASON_QUEUE,
    Obstacle.OTHER_POOL: rejection_pb2.VERDICT_REASON_POOL,
    Obstacle.MOVING: rejection_pb2.VERDICT_REASON_POOL,
    Obstacle.COMPUTE_MODE: rejection_pb2.VERDICT_REASON_COMPUTE_MODE,
    Obstacle.OTHER_HOLDER: rejection_pb2.VERDICT_REASON_OTHER_HOLDER,
}


def refusal_of(
    rejected: Rejected, ledger: Ledger, now: Moment, request: Request | None = None
) -> Refused:
    """Give a rejection as what a service raises; *request* is what was asked for."""
    message = rejection_of(rejected, ledger, now, request)
    return Refused(CODES[rejected.why], rejected.sentence, message)


def rejection_of(
    rejected: Rejected, ledger: Ledger, now: Moment, request: Request | None = None
) -> rejection_pb2.Rejection:
    """Give a rejection as a message."""
    later = rejected.why is Refusal.LATER
    nearest = _at_once(rejected.nearest) if later else rejected.nearest
    return rejection_pb2.Rejection(
        kind=KINDS[rejected.why],
        sentence=rejected.sentence,
        field=rejected.field,
        allowed_values=_allowed(rejected, ledger),
        verdicts=[verdict_of(one, ledger, request) for one in rejected.verdicts],
        nearest=None if nearest is None else message_of(nearest),
        nearest_command=command_of("run", nearest, " -- CMD"),
        holders=list(_holders_of(rejected, ledger, now)),
        hint_command=_hint(rejected, request),
        waits_for=waits_for(rejected, ledger.policy.others) if later else "",
        wait_command=_waiting(rejected, request) if later else "",
        quota=None if rejected.excess is None else excess_of(rejected.excess),
    )


def _at_once(request: Request | None) -> Request | None:
    """Give a request that can be granted now without the wait of what was asked for."""
    return None if request is None else replace(request, wait=None, wait_without_limit=False)


def _waiting(rejected: Rejected, request: Request | None) -> str:
    """Give the command that waits; nothing where the request does already, or could not."""
    full = rejected.excess is not None and rejected.excess.resource is Resource.WAITING
    if request is None or request.waits or full:
        return ""
    return command_of("run", replace(request, wait_without_limit=True), " -- CMD")


def excess_of(excess: QuotaExcess) -> rejection_pb2.QuotaExcess:
    """Give what is too much of a quota as a message."""
    used, wanted, allowed = (
        as_told(excess.resource, many) for many in (excess.used, excess.wanted, excess.allowed)
    )
    return rejection_pb2.QuotaExcess(
        subject=excess.subject,
        resource=excess.resource.value,
        used=used,
        wanted=wanted,
        allowed=allowed,
    )


def _hint(rejected: Rejected, request: Request | None) -> str:
    """Give the command that tells more: of devices why, of a quota what bounds whoever asks."""
    if rejected.verdicts:
        return command_of("explain", request)
    return "gpusched status" if rejected.excess is not None else ""


def _allowed(rejected: Rejected, ledger: Ledger) -> Sequence[str]:
    """Give the values that the field could have, where they can be listed."""
    if rejected.field == "gpu_types":
        return types_here(ledger)
    if rejected.field == "priority":
        return list(ledger.policy.queue.classes)
    return list(ledger.policy.pools.named) if rejected.field == "pool" else ()


def verdict_of(
    verdict: Verdict, ledger: Ledger, request: Request | None = None
) -> rejection_pb2.DeviceVerdict:
    """Give the verdict on one device, beside what *request* wants of it."""
    device = ledger.devices.get(verdict.device)
    index = None if device is None or verdict.device in ledger.lost else device.index
    named = verdict.leases and ledger.policy.others.device
    lease = ledger.get(verdict.leases[0]) if named else None
    obstacle = verdict.obstacle
    return rejection_pb2.DeviceVerdict(
        uuid=verdict.device,
        index=index,
        fits=obstacle is None,
        reason=_reason_of(verdict, ledger),
        sentence=verdict.sentence,
        never=obstacle in FOR_EVER,
        lease_id="" if lease is None else lease.id,
        since=moment_of(verdict.since if lease is None else lease.created),
        wanted_bytes=None if request is None else request.memory,
        available_bytes=verdict.room,
    )


def _reason_of(verdict: Verdict, ledger: Ledger) -> rejection_pb2.VerdictReason.ValueType:
    if verdict.obstacle is None:
        return rejection_pb2.VERDICT_REASON_UNSPECIFIED
    if verdict.obstacle is Obstacle.HELD and not _exclusive(verdict, ledger):
        return rejection_pb2.VERDICT_REASON_SHARED
    return OBSTACLES[verdict.obstacle]


def _exclusive(verdict: Verdict, ledger: Ledger) -> bool:
    device = ledger.devices.get(verdict.device)
    return device is None or ledger.holding(device.memory_domain).exclusive is not None


def _holders_of(
    rejected: Rejected, ledger: Ledger, now: Moment
) -> Iterator[rejection_pb2.BlockingLease]:
    """Give who is in the way; nobody where users may not know of each other."""
    others = ledger.policy.others
    if others.uid and others.device:
        yield from (_holder_of(one, ledger, now) for one in rejected.holders)


def _holder_of(holder: Holder, ledger: Ledger, now: Moment) -> rejection_pb2.BlockingLease:
    lease = ledger.get(holder.lease)
    return rejection_pb2.BlockingLease(
        lease_id=holder.lease,
        uid=holder.uid,
        user=holder.user,
        since=time_of(holder.since.wall),
        until=None if lease is None else deadline_of(lease.clocks.time_limit, now),
        device_uuids=() if lease is None else [one.device for one in lease.shares],
    )
