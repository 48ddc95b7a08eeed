"""From the message that asks for devices to a checked request, for granting and for explaining."""

from gpusched.api.v1 import request_pb2
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.request import Request
from gpusched.rpc.call import Call
from gpusched.rpc.convert_request import request_of
from gpusched.rpc.resolve import find_process, resolver
from gpusched.rpc.world import World


async def checked(
    world: World, request: request_pb2.AllocateRequest, call: Call, fresh: LeaseId
) -> Request:
    """Turn the message into a request; *fresh* is also its id where the client drew none.

    Raises:
        InvalidRequest: It is wrong whatever the host.
        Refused: This version cannot do it, the caller may not, or what it names is not there.
    """
    process = None
    if request.owner.HasField("process"):
        process = await find_process(world.processes, request.owner.process, "owner.process")
    resolve = resolver(world.authority.ledger)
    return request_of(request, call, RequestId(fresh), resolve, process)
