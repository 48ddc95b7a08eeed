"""The service that shows devices. The operator's marks on them arrive later."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncIterator

from gpusched.api.v1 import device_pb2, devices_pb2
from gpusched.core.events import ForgetRequested
from gpusched.core.replies import Done
from gpusched.rpc.call import Call
from gpusched.rpc.convert_device import as_seen, devices_of
from gpusched.rpc.convert_node import device_warnings, sampled_at
from gpusched.rpc.instance_types import types_of
from gpusched.rpc.resolve import find_device
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
        found = devices_of(ledger, world.clock.now().instant)
        return next(one for one in found if one.uuid == uuid)

    def _list(self, call: Call) -> devices_pb2.DeviceList:
        ledger, now = self._world.authority.ledger, self._world.clock.now()
        return devices_pb2.DeviceList(
            generation=ledger.generation,
            devices=as_seen(devices_of(ledger, now.instant), ledger, call),
            warnings=list(device_warnings(ledger, now.instant)),
            node=self._world.host.node,
            sampled_at=sampled_at(ledger, now),
        )
