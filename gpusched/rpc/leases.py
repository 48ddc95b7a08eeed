"""The service that hands out devices: what it is asked becomes an event, and the reply a message.

Decides nothing. The methods have the names of the protocol.
"""
# ruff: noqa: N802 - the methods are named by the protocol

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from gpusched.api.v1 import lease_pb2, leases_pb2, request_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    CancelRequested,
    ReleaseRequested,
    RenewRequested,
)
from gpusched.core.ids import ProcessId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.replies import Done, Granted, Refusal
from gpusched.rpc.asking import checked
from gpusched.rpc.call import Call
from gpusched.rpc.convert_grant import recorded
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.lease_views import LeaseViews
from gpusched.rpc.resolve import find_lease, find_process, named_lease, owned
from gpusched.rpc.status import not_yet, refuse
from gpusched.rpc.world import decided

_NO_TARGET = "name what to attach: the caller, or a process by its pid"
_NOT_YET = "arrives with enforcement; until then attach a process by its pid"


class Leases(LeaseViews):
    """Allocating devices, and the life of a lease."""

    async def Allocate(self, request: request_pb2.AllocateRequest, call: Call) -> lease_pb2.Grant:
        """Grant devices."""
        world = self._world
        lease_id = world.ids.lease_id()
        wish = await checked(world, request, call, lease_id)
        event = AllocateRequested(call.caller, wish, lease_id)
        granted = decided(world, event, Granted, wish)
        return world.grants.grant_of(
            granted.lease,
            world.authority.ledger,
            world.clock.now(),
            call,
            attached=wish.attach_caller,
        )

    async def AllocateStream(
        self, request: request_pb2.AllocateRequest, call: Call
    ) -> AsyncIterator[leases_pb2.AllocateUpdate]:
        """Grant devices; there is no queue to tell about."""
        yield leases_pb2.AllocateUpdate(grant=await self.Allocate(request, call))

    async def Attach(
        self, request: leases_pb2.AttachRequest, call: Call
    ) -> leases_pb2.AttachReply:
        """Put a process into a lease."""
        world = self._world
        lease = find_lease(world.authority.ledger, request.lease_id)
        process = await self._target(request, call)
        uids = await asyncio.to_thread(world.processes.uids, process)
        if uids is None:
            raise refuse(Refusal.NOT_FOUND, f"process {process.pid} has ended")
        event = AttachRequested(call.caller, lease.id, process, uids)
        done = decided(world, event, Done)
        after = done.leases[0]
        return leases_pb2.AttachReply(
            lease=self._message(after, call),
            attachment=recorded(after, world.authority.ledger),
            warnings=[done.sentence] if done.sentence else (),
        )

    async def Renew(self, request: leases_pb2.RenewRequest, call: Call) -> lease_pb2.Lease:
        """Set the keepalive clock back."""
        lease = named_lease(self._world.authority.ledger, request, call)
        done = decided(self._world, RenewRequested(call.caller, lease.id), Done)
        return self._message(done.leases[0], call)

    async def Release(
        self, request: leases_pb2.ReleaseRequest, call: Call
    ) -> leases_pb2.ReleaseReply:
        """End leases as their holder."""
        if request.kill or request.HasField("grace"):
            raise not_yet(
                "kill: arrives with enforcement; until then end the processes yourself: the lease"
                " ends with the last of them"
            )
        world = self._world
        ledger = world.authority.ledger
        if request.WhichOneof("lease") == "owner_reference":
            leases = owned(ledger, request.owner_reference, call)
            event = ReleaseRequested(call.caller, owner=request.owner_reference)
        else:
            leases = [find_lease(ledger, request.lease_id)]
            event = ReleaseRequested(call.caller, lease_id=leases[0].id)
        if any(one.usable and one.processes and call.may_see(one.uid) for one in leases):
            # Who is alive counts, not who was at the last tick.
            await world.authority.refresh()
        done = decided(world, event, Done)
        return leases_pb2.ReleaseReply(leases=[self._message(one, call) for one in done.leases])

    async def Cancel(
        self, request: leases_pb2.CancelRequest, call: Call
    ) -> leases_pb2.CancelReply:
        """Withdraw a request."""
        if not request.request_id:
            raise InvalidRequest("request_id", "is empty: name a request")
        caller = call.caller
        if request.HasField("holder_uid"):
            if not call.may_see(request.holder_uid):
                sentence = f"uid {caller.uid} may not cancel requests of {request.holder_uid}"
                raise refuse(Refusal.NOT_ALLOWED, sentence)
            caller = replace(caller, uid=request.holder_uid)
        event = CancelRequested(caller, RequestId(request.request_id))
        done = decided(self._world, event, Done)
        return leases_pb2.CancelReply(lease=self._message(done.leases[0], call))

    async def _target(self, request: leases_pb2.AttachRequest, call: Call) -> ProcessId:
        """Find the process that is to be attached."""
        target = request.WhichOneof("target")
        if target == "process":
            return await find_process(self._world.processes, request.process, "process")
        if target in ("unit", "container", "cgroup"):
            raise not_yet(f"{target}: {_NOT_YET}")
        if not request.caller:
            raise InvalidRequest("target", _NO_TARGET)
        if call.caller.process is None:
            raise refuse(Refusal.NOT_FOUND, "caller: the calling process has ended")
        return call.caller.process

    def _message(self, lease: Lease, call: Call) -> lease_pb2.Lease:
        return lease_of(lease, self._world.authority.ledger, self._world.clock.now(), call)
