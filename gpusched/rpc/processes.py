"""The service that shows the processes on the devices, by the last sample."""
# ruff: noqa: N802 - the methods are named by the protocol

from gpusched.api.v1 import process_pb2, processes_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.rpc.call import Call
from gpusched.rpc.convert_node import sampled_at
from gpusched.rpc.convert_process import rows_of, unreadable_of
from gpusched.rpc.convert_stray import foretold
from gpusched.rpc.resolve import find_device, find_lease
from gpusched.rpc.world import World


class Processes:
    """The process table."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def List(
        self, request: processes_pb2.ListProcessesRequest, call: Call
    ) -> processes_pb2.ProcessList:
        """Show the processes that the filters keep."""
        world = self._world
        ledger, now = world.authority.ledger, world.clock.now()
        device = find_device(ledger, request.device) if request.device else None
        lease = find_lease(ledger, request.lease_id).id if request.lease_id else None
        if request.kind not in process_pb2.ProcessKind.values():
            raise InvalidRequest("kind", f"there is no value {request.kind}")
        return processes_pb2.ProcessList(
            processes=[
                one
                for one in foretold(rows_of(ledger, call, world.users), ledger, now)
                if (device is None or one.device_uuid == device)
                and (lease is None or one.lease_id == lease)
                and request.kind in (process_pb2.PROCESS_KIND_UNSPECIFIED, one.kind)
            ],
            unreadable=[
                one
                for one in unreadable_of(ledger, now.instant)
                if device is None or one.device_uuid == device
            ],
            node=world.host.node,
            sampled_at=sampled_at(ledger, now),
        )
