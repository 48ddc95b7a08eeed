"""The looking half of the lease service: get, list, watch, environment.

A reply is built from the ledger without an `await` in between, and told once it is durable.
"""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice

from gpusched.api.v1 import lease_pb2, leases_pb2
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice
from gpusched.core.replies import Refusal
from gpusched.core.request import MaskFormat
from gpusched.rpc.call import Call
from gpusched.rpc.containers import named
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_node import sampled_at
from gpusched.rpc.convert_request import mask_format_of
from gpusched.rpc.convert_violation import notices_of
from gpusched.rpc.convert_waiting import WaitingWriter
from gpusched.rpc.explaining import explained
from gpusched.rpc.resolve import find_device, find_lease, held, named_lease
from gpusched.rpc.status import refuse
from gpusched.rpc.world import World

_ENDED_LISTED = 100


class LeaseViews:
    """What may be asked of leases without changing one."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def Get(self, request: leases_pb2.GetLeaseRequest, call: Call) -> lease_pb2.Lease:
        """Show one lease."""
        ledger = self._world.authority.ledger
        lease = named_lease(ledger, request, call)
        now = self._world.clock.now()
        return lease_of(lease, ledger, now, call, with_story=request.include_story)

    async def List(
        self, request: leases_pb2.ListLeasesRequest, call: Call
    ) -> leases_pb2.LeaseList:
        """Show the leases that the filters keep."""
        ledger = self._world.authority.ledger
        kept = _kept(ledger, request, call)
        limit = request.limit or (_ENDED_LISTED if request.ended else None)
        reply = self._list(islice(kept, limit), call)
        if not request.ended:
            reply.waiting.extend(self._waiting(call, mine=request.mine))
        return reply

    async def Watch(
        self, request: leases_pb2.WatchLeasesRequest, call: Call
    ) -> AsyncIterator[leases_pb2.LeaseList]:
        """Show the leases now and after each change."""
        authority = self._world.authority
        name = request.lease_id
        only = find_lease(authority.ledger, name).id if name else None
        told = -1
        before: Lease | None = None
        heard = 0 if request.past_notices else _latest_notice(authority.ledger)
        while True:
            ledger = authority.ledger
            lease = None if only is None else ledger.get(only)
            notices = tuple(_notices(ledger, heard, only, call, mine=request.mine))
            same = only is not None and told >= 0 and lease is before and not notices
            if ledger.generation == told or same:
                await authority.news()
                await self._world.turns.of(call.caller.uid)
                continue
            told, before, heard = ledger.generation, lease, _latest_notice(ledger)
            reply = self._list(_watched(ledger, lease, request, call), call)
            if only is None:
                reply.waiting.extend(self._waiting(call, mine=request.mine))
            reply.notices.extend(notices_of(notices, self._world.clock.now()))
            yield reply
            if only is not None and (lease is None or not lease.live):
                return

    async def Explain(
        self, request: leases_pb2.ExplainRequest, call: Call
    ) -> leases_pb2.ExplainReply:
        """Say why, why not, and what would do."""
        return await explained(self._world, request, call)

    async def Environment(
        self, request: leases_pb2.EnvironmentRequest, call: Call
    ) -> lease_pb2.Grant:
        """Give the grant of a living lease again."""
        world = self._world
        ledger = world.authority.ledger
        lease = held(ledger, named_lease(ledger, request, call), call)
        if not lease.usable:
            sentence = f"{lease.id} ends or has ended; ask for another with `gpusched allocate`"
            raise refuse(Refusal.WRONG_STATE, sentence)
        wanted: MaskFormat | None = None
        if request.mask_format:
            wanted = mask_format_of(request.mask_format)
        grant = world.grants.grant_of(lease, ledger, world.clock.now(), call, wanted)
        return await named(world, grant)

    def _list(self, leases: Iterable[Lease], call: Call) -> leases_pb2.LeaseList:
        ledger = self._world.authority.ledger
        now = self._world.clock.now()
        return leases_pb2.LeaseList(
            generation=ledger.generation,
            leases=[lease_of(one, ledger, now, call) for one in leases],
            node=self._world.host.node,
            sampled_at=sampled_at(ledger, now),
            default_priority=ledger.policy.queue.default,
        )

    def _waiting(self, call: Call, *, mine: bool) -> Iterator[lease_pb2.WaitingRequest]:
        world = self._world
        found = WaitingWriter(world.authority.ledger, world.clock.now(), call, world.reasons).all()
        return (one for one in found if not mine or one.uid == call.caller.uid)


def _latest_notice(ledger: Ledger) -> int:
    return ledger.notices[-1].sequence if ledger.notices else 0


def _notices(
    ledger: Ledger, heard: int, only: LeaseId | None, call: Call, *, mine: bool
) -> Iterator[Notice]:
    """Give the notices after *heard* that are the caller's to know, of the leases it watches."""
    for one in ledger.notices:
        lease = ledger.get(one.lease)
        if one.sequence <= heard or lease is None or only not in (None, one.lease):
            continue
        if lease.uid == call.caller.uid if mine else call.may_see(lease.uid):
            yield one


def _kept(ledger: Ledger, request: leases_pb2.ListLeasesRequest, call: Call) -> Iterator[Lease]:
    """Give the leases that all filters keep; what the caller may not see matches no filter."""
    device = find_device(ledger, request.device) if request.device else None
    leases = reversed(list(ledger.ended())) if request.ended else ledger.live()
    for lease in leases:
        if request.mine and lease.uid != call.caller.uid:
            continue
        seen = call.sight_of(lease.uid, ledger.policy.others)
        if request.HasField("uid") and not (seen.uid and lease.uid == request.uid):
            continue
        if device is not None and not (seen.device and _has(lease, device)):
            continue
        if _said(lease, request, call):
            yield lease


def _said(lease: Lease, request: leases_pb2.ListLeasesRequest, call: Call) -> bool:
    """Say whether the lease has the owner and the labels that are asked for."""
    if not request.owner_reference and not request.labels:
        return True
    if not call.may_see(lease.uid):
        return False
    owner = lease.request.owner
    if request.owner_reference and (owner is None or owner.reference != request.owner_reference):
        return False
    return request.labels.items() <= lease.request.labels.items()


def _has(lease: Lease, device: DeviceUuid) -> bool:
    return any(share.device == device for share in lease.shares)


def _watched(
    ledger: Ledger, lease: Lease | None, request: leases_pb2.WatchLeasesRequest, call: Call
) -> Iterator[Lease]:
    one_only = () if lease is None else (lease,)
    leases = iter(one_only) if request.lease_id else ledger.live()
    return (one for one in leases if not request.mine or one.uid == call.caller.uid)
