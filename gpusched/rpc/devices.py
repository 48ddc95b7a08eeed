"""The service that shows devices, and takes an operator's marks on them."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncIterator

from gpusched.api.v1 import device_pb2, devices_pb2
from gpusched.core.events import ForgetRequested
from gpusched.core.ids import DeviceUuid
from gpusched.core.operator_events import CordonRequested, DrainRequested, UncordonRequested
from gpusched.core.replies import Done
from gpusched.rpc.call import Call
from gpusched.rpc.convert_device import as_seen, device_of, devices_of
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_marks import absent_device
from gpusched.rpc.convert_node import device_warnings, sampled_at
from gpusched.rpc.convert_request import time_until
from gpusched.rpc.instance_types import types_of
from gpusched.rpc.resolve import find_device, find_remembered
from gpusched.rpc.world import World, decided


class Devices:
    """The inventory."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def List(
        self, _request: devices_pb2.ListDevicesRequest, call: Call
    ) -> devices_pb2.DeviceList:
        """Show all devices."""
        return self._list(call)

    async def Watch(
        self, _request: devices_pb2.WatchDevicesRequest, call: Call
    ) -> AsyncIterator[devices_pb2.DeviceList]:
        """Show all devices now and after each change."""
        authority = self._world.authority
        told = -1
        while True:
            if authority.ledger.generation == told:
                await authority.news()
                await self._world.turns.of(call.caller.uid)
                continue
            told = authority.ledger.generation
            reply = self._list(call)
            yield reply

    async def ListTypes(
        self, _request: devices_pb2.ListTypesRequest, _call: Call
    ) -> devices_pb2.TypeList:
        """Show what this host offers."""
        world = self._world
        rows = types_of(world.authority.ledger, world.clock.now().instant, world.host)
        return devices_pb2.TypeList(types=rows, node=world.host.node)

    async def Forget(self, request: devices_pb2.ForgetRequest, call: Call) -> device_pb2.Device:
        """Stop waiting for a device's ghost memory."""
        world = self._world
        ledger = world.authority.ledger
        uuid = find_device(ledger, request.device)
        decided(world, ForgetRequested(call.caller, uuid), Done)
        return self._one(uuid)

    async def Cordon(self, request: devices_pb2.CordonRequest, call: Call) -> device_pb2.Device:
        """Let no new lease on a device."""
        uuid = find_remembered(self._world.authority.ledger, request.device)
        event = CordonRequested(call.caller, uuid, request.reason.strip())
        decided(self._world, event, Done)
        return self._one(uuid)

    async def Uncordon(
        self, request: devices_pb2.UncordonRequest, call: Call
    ) -> device_pb2.Device:
        """Take all marks off a device."""
        uuid = find_remembered(self._world.authority.ledger, request.device)
        decided(self._world, UncordonRequested(call.caller, uuid), Done)
        return self._one(uuid)

    async def Drain(self, request: devices_pb2.DrainRequest, call: Call) -> devices_pb2.DrainReply:
        """Let no new lease on a device, and end those there at a deadline."""
        world = self._world
        ledger = world.authority.ledger
        uuid = find_remembered(ledger, request.device)
        time = time_until(request.deadline, "deadline") if request.HasField("deadline") else None
        event = DrainRequested(
            call.caller, uuid, request.reason.strip(), time, request.signal_in_place
        )
        leases = decided(world, event, Done).leases
        now = world.clock.now()
        return devices_pb2.DrainReply(
            device=self._one(uuid),
            leases=[lease_of(one, ledger, now, call) for one in leases],
        )

    def _one(self, uuid: DeviceUuid) -> device_pb2.Device:
        ledger = self._world.authority.ledger
        if uuid not in ledger.devices:
            return absent_device(uuid, ledger)
        return device_of(uuid, ledger, self._world.clock.now().instant)

    def _list(self, call: Call) -> devices_pb2.DeviceList:
        ledger, now = self._world.authority.ledger, self._world.clock.now()
        host = self._world.host
        return devices_pb2.DeviceList(
            generation=ledger.generation,
            devices=as_seen(devices_of(ledger, now.instant), ledger, call),
            warnings=list(device_warnings(ledger, now.instant, host)),
            node=host.node,
            sampled_at=sampled_at(ledger, now),
        )
