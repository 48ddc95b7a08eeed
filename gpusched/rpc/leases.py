"""The service that hands out devices: what it is asked becomes an event, and the reply a message.

Decides nothing. The methods have the names of the protocol.
"""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncIterator
from dataclasses import replace

from gpusched.api.v1 import lease_pb2, leases_pb2, request_pb2
from gpusched.core.enforcement import Mode
from gpusched.core.errors import InvalidRequest
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    CancelRequested,
    ReleaseRequested,
    RenewRequested,
    RevokeRequested,
)
from gpusched.core.ids import ProcessId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.replies import Attachment, Done, Granted, Refusal
from gpusched.core.request import Request
from gpusched.core.standing import Standing
from gpusched.rpc.adopting import adopted
from gpusched.rpc.allocating import allocated, allocated_with_news
from gpusched.rpc.asking import checked
from gpusched.rpc.call import Call
from gpusched.rpc.containers import named
from gpusched.rpc.convert_enforcement import attachment_of, attachment_warnings
from gpusched.rpc.convert_lease import lease_of, members_of
from gpusched.rpc.convert_request import grace_of
from gpusched.rpc.lease_views import LeaseViews
from gpusched.rpc.resolve import (
    find_lease,
    find_process,
    find_waiting,
    held,
    named_lease,
    owned,
)
from gpusched.rpc.standing import cgroup_standing, nobody_elses, standing_of
from gpusched.rpc.status import refuse
from gpusched.rpc.targets import container_cgroup, unit_cgroup
from gpusched.rpc.world import decided, settled

_NO_TARGET = (
    "name what to attach: the caller, a process by its pid, a unit, a container or a cgroup"
)


class Leases(LeaseViews):
    """Allocating devices, and the life of a lease."""

    async def Allocate(self, request: request_pb2.AllocateRequest, call: Call) -> lease_pb2.Grant:
        """Grant devices."""
        world = self._world
        lease_id = world.ids.lease_id()
        wish = await checked(world, request, call, lease_id)
        event = AllocateRequested(call.caller, wish, lease_id, await self._standing(wish, call))
        granted = await allocated(world, event, call)
        return await named(world, self._grant(granted, call))

    async def AllocateStream(
        self, request: request_pb2.AllocateRequest, call: Call
    ) -> AsyncIterator[leases_pb2.AllocateUpdate]:
        """Grant devices, and tell the place in the queue until then."""
        world = self._world
        lease_id = world.ids.lease_id()
        wish = await checked(world, request, call, lease_id)
        event = AllocateRequested(call.caller, wish, lease_id, await self._standing(wish, call))
        async for news in allocated_with_news(world, event, call):
            if isinstance(news, Granted):
                grant = await named(world, self._grant(news, call))
                yield leases_pb2.AllocateUpdate(grant=grant)
            else:
                yield leases_pb2.AllocateUpdate(waiting=news)

    async def Attach(
        self, request: leases_pb2.AttachRequest, call: Call
    ) -> leases_pb2.AttachReply:
        """Put a process into a lease."""
        world = self._world
        # Before anything else is looked at: a refusal tells nothing of processes and cgroups.
        before = world.authority.ledger
        lease = held(before, find_lease(before, request.lease_id), call)
        process, standing = await self._target(request, call, lease.uid)
        standing = nobody_elses(standing, world.host.pid, call.caller)
        event = AttachRequested(call.caller, lease.id, process, standing)
        done = await settled(world, event, Done)
        after = done.leases[0]
        ledger = world.authority.ledger
        already = Attachment(_mode_of(after), members_of(after, ledger))
        return leases_pb2.AttachReply(
            lease=self._message(after, call),
            attachment=attachment_of(done.attachment or already, ledger),
            warnings=[*attachment_warnings(done.attachment), *filter(None, [done.sentence])],
        )

    async def Renew(self, request: leases_pb2.RenewRequest, call: Call) -> lease_pb2.Lease:
        """Set the keepalive clock back."""
        lease = named_lease(self._world.authority.ledger, request, call)
        done = decided(self._world, RenewRequested(call.caller, lease.id, request.automatic), Done)
        return self._message(done.leases[0], call)

    async def Release(
        self, request: leases_pb2.ReleaseRequest, call: Call
    ) -> leases_pb2.ReleaseReply:
        """End leases as their holder."""
        kill, grace = request.kill, grace_of(request)
        world = self._world
        ledger = world.authority.ledger
        if request.WhichOneof("lease") == "owner_reference":
            leases = owned(ledger, request.owner_reference, call)
            event = ReleaseRequested(
                call.caller, owner=request.owner_reference, kill=kill, grace=grace
            )
        else:
            leases = [find_lease(ledger, request.lease_id)]
            event = ReleaseRequested(call.caller, leases[0].id, kill=kill, grace=grace)
        if any(one.usable and one.entered and call.may_see(one.uid) for one in leases):
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
        caller, name = call.caller, RequestId(request.request_id)
        if request.HasField("holder_uid"):
            if not call.may_see(request.holder_uid):
                sentence = f"uid {caller.uid} may not cancel requests of {request.holder_uid}"
                raise refuse(Refusal.NOT_ALLOWED, sentence)
            caller = replace(caller, uid=request.holder_uid)
        else:
            waiting = find_waiting(self._world.authority.ledger, name, call)
            caller = caller if waiting is None else replace(caller, uid=waiting.uid)
        event = CancelRequested(caller, name)
        done = decided(self._world, event, Done)
        lease = self._message(done.leases[0], call) if done.leases else None
        return leases_pb2.CancelReply(lease=lease)

    async def Revoke(self, request: leases_pb2.RevokeRequest, call: Call) -> lease_pb2.Lease:
        """End a lease as an operator."""
        lease = find_lease(self._world.authority.ledger, request.lease_id)
        if not request.reason.strip():
            raise InvalidRequest("reason", "is empty: the holder is told why")
        event = RevokeRequested(
            call.caller,
            lease.id,
            request.reason.strip(),
            grace_of(request),
            request.signal_in_place,
        )
        return self._message(decided(self._world, event, Done).leases[0], call)

    async def Adopt(self, request: leases_pb2.AdoptRequest, call: Call) -> leases_pb2.AdoptReply:
        """Turn running processes into leases in place, as an operator."""
        return await adopted(self._world, request, call)

    async def _standing(self, wish: Request, call: Call) -> Standing | None:
        """Look at the caller where it is to be attached and that depends on where it is."""
        process = call.caller.process
        if not wish.attach_caller or process is None:
            return None
        if not self._world.authority.ledger.ability.cgroups:
            return None
        return await standing_of(self._world.processes, process)

    async def _target(
        self, request: leases_pb2.AttachRequest, call: Call, uid: int
    ) -> tuple[ProcessId | None, Standing]:
        """Find the process, or the cgroup, that is to be attached."""
        target = request.WhichOneof("target")
        processes = self._world.processes
        if target == "cgroup":
            return None, await cgroup_standing(processes, request.cgroup)
        if target == "process":
            process = await find_process(processes, request.process, "process")
            return process, await standing_of(processes, process)
        if target == "unit":
            path = await unit_cgroup(self._world.units, request.unit)
            return None, await cgroup_standing(processes, path)
        if target == "container":
            path = await container_cgroup(processes, request.container, uid)
            return None, await cgroup_standing(processes, path)
        if not request.caller:
            raise InvalidRequest("target", _NO_TARGET)
        if call.caller.process is None:
            raise refuse(Refusal.NOT_FOUND, "caller: the calling process has ended")
        return call.caller.process, await standing_of(processes, call.caller.process)

    def _grant(self, granted: Granted, call: Call) -> lease_pb2.Grant:
        ledger, now = self._world.authority.ledger, self._world.clock.now()
        return self._world.grants.grant_of(
            granted.lease, ledger, now, call, attachment=granted.attachment
        )

    def _message(self, lease: Lease, call: Call) -> lease_pb2.Lease:
        return lease_of(lease, self._world.authority.ledger, self._world.clock.now(), call)


def _mode_of(lease: Lease) -> Mode:
    """Say how processes are under a lease that they were attached to before."""
    if lease.cgroup is None:
        return Mode.RECORD
    return Mode.MOVE if lease.cgroup.made else Mode.IN_PLACE
