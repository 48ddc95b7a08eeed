"""The service that speaks for the host and the daemon itself."""
# ruff: noqa: N802 - the methods are named by the protocol

from gpusched.api.v1 import node_pb2, survey_pb2
from gpusched.core.events import GuardRequested
from gpusched.core.operator_events import ReleaseDriverRequested, ResumeDriverRequested
from gpusched.core.replies import Done, Guarding, Rejected
from gpusched.core.sample import Unavailable
from gpusched.rpc.call import Call
from gpusched.rpc.convert_device import as_seen, devices_of
from gpusched.rpc.convert_enforcement import ability_of
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_node import (
    counts_of,
    driver_of,
    guard_of,
    quotas_of,
    sample_age,
    sample_stale,
    sampled_at,
    simulated,
    warnings_of,
)
from gpusched.rpc.convert_process import rows_of, unreadable_of
from gpusched.rpc.convert_reading import time_of
from gpusched.rpc.convert_stray import foretold
from gpusched.rpc.convert_survey import no_survey, survey_of
from gpusched.rpc.convert_waiting import WaitingWriter
from gpusched.rpc.status import refuse
from gpusched.rpc.world import World, decided


class Node:
    """The host and the daemon."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def Status(self, request: node_pb2.StatusRequest, call: Call) -> node_pb2.NodeStatus:
        """Show everything, at one generation and from one sample."""
        reply = self._status(call)
        if request.without_processes:
            reply.ClearField("processes")
            reply.ClearField("unreadable")
        return reply

    async def Ping(self, _request: node_pb2.PingRequest, _call: Call) -> node_pb2.PingReply:
        """Say that the daemon is there."""
        return node_pb2.PingReply()

    async def Survey(
        self, _request: survey_pb2.SurveyRequest, call: Call
    ) -> survey_pb2.NodeSurvey:
        """Read everything that nvidia-smi prints."""
        world = self._world
        survey = await world.surveyor.survey()
        now, node = world.clock.now(), world.host.node
        if isinstance(survey, Unavailable):
            return no_survey(survey, node, now)
        return survey_of(survey, node, world.authority.ledger, now, call)

    async def SetGuard(
        self, request: node_pb2.SetGuardRequest, call: Call
    ) -> node_pb2.GuardStatus:
        """Turn the host-wide guard on or off."""
        authority = self._world.authority
        event = GuardRequested(call.caller, request.on)
        reply = authority.propose(event)
        if isinstance(reply, Guarding):
            reply = await authority.guarded()
        if isinstance(reply, Rejected):
            raise refuse(reply.why, reply.sentence)
        return guard_of(authority.ledger)

    async def ReleaseDriver(
        self, request: node_pb2.ReleaseDriverRequest, call: Call
    ) -> node_pb2.DriverStatus:
        """Let go of the driver; answered once nothing of it is open any more, or it hangs."""
        event = ReleaseDriverRequested(call.caller, request.reason.strip())
        return await self._driven(event)

    async def ResumeDriver(
        self, _request: node_pb2.ResumeDriverRequest, call: Call
    ) -> node_pb2.DriverStatus:
        """Take the driver up again; answered by its first reading, or why there is none."""
        return await self._driven(ResumeDriverRequested(call.caller))

    async def _driven(
        self, event: ReleaseDriverRequested | ResumeDriverRequested
    ) -> node_pb2.DriverStatus:
        authority = self._world.authority
        decided(self._world, event, Done)
        # What is done about the driver is done once that is durable; a sample says how it went.
        await authority.durable()
        await authority.refresh()
        return driver_of(authority.ledger)

    def _status(self, call: Call) -> node_pb2.NodeStatus:
        world, host = self._world, self._world.host
        ledger, now = world.authority.ledger, world.clock.now()
        devices = as_seen(devices_of(ledger, now.instant), ledger, call)
        processes = foretold(rows_of(ledger, call, world.users), ledger, now)
        unreadable = unreadable_of(ledger, now.instant)
        return node_pb2.NodeStatus(
            node=host.node,
            version=host.version,
            driver=driver_of(ledger),
            simulated=simulated(ledger, host),
            advisory=host.advisory,
            enforcement=ability_of(ledger.ability),
            guard=guard_of(ledger),
            generation=ledger.generation,
            at=time_of(now.wall),
            sampled_at=sampled_at(ledger, now),
            sample_age=sample_age(ledger, now.instant),
            sample_stale=sample_stale(ledger, now.instant),
            warnings=warnings_of(ledger, now.instant, host),
            counts=counts_of(ledger, now.instant, devices, processes),
            devices=devices,
            leases=[lease_of(one, ledger, now, call) for one in ledger.live()],
            waiting=WaitingWriter(ledger, now, call, self._world.reasons).all(),
            processes=processes,
            unreadable=unreadable,
            quotas=quotas_of(ledger, call),
            started_at=time_of(host.started_at),
            socket=host.socket,
            boot_id=host.boot_id,
            foreign_pid_namespace=host.foreign_pid_namespace,
            default_priority=ledger.policy.queue.default,
        )
