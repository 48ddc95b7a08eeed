"""The gRPC server itself: who is served, what a defect looks like, health and reflection."""

from collections.abc import Awaitable

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gpusched.api.v1 import (
    devices_pb2,
    devices_pb2_grpc,
    leases_pb2,
    node_pb2,
    node_pb2_grpc,
    request_pb2,
)
from tests.integration.serving_rpc import (
    Public,
    refusal,
)

Wish = request_pb2.AllocateRequest


async def test_stopping(face: Public) -> None:
    """A daemon that ends answers UNAVAILABLE, and its watches end so."""
    watching = face.leases.Watch(leases_pb2.WatchLeasesRequest())
    stream = aiter(watching)
    await anext(stream)
    face.authority.stop()
    await refusal(anext(stream), grpc.StatusCode.UNAVAILABLE)
    await refusal(face.leases.Allocate(Wish()), grpc.StatusCode.UNAVAILABLE)


async def test_defect(face: Public) -> None:
    """A defect is INTERNAL in one line, without a traceback."""
    face.authority.fault = ZeroDivisionError("theirs")
    error = await refusal(face.leases.Allocate(Wish()), grpc.StatusCode.INTERNAL)
    assert error.details() == (
        "a defect in Leases.Allocate: ZeroDivisionError; the daemon's log has more"
    )


async def test_garbage(face: Public) -> None:
    """Bytes that are no message are INVALID_ARGUMENT."""
    bare: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = face.channel.unary_unary(
        "/gpusched.v1.Leases/Allocate"
    )
    await refusal(bare(b"\xff\xff\xff"), grpc.StatusCode.INVALID_ARGUMENT)


def health_check(channel: grpc.aio.Channel, name: str) -> Awaitable[object]:
    """Ask the standard health service."""
    ask: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return ask(health_pb2.HealthCheckRequest(service=name))


def reflection(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
    """The method of the standard reflection service."""
    return channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")


async def reflected(channel: grpc.aio.Channel) -> set[str]:
    """Ask the standard reflection service for the names of all services."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for data in reflection(channel)(iter([request.SerializeToString()])):
        reply = reflection_pb2.ServerReflectionResponse.FromString(data)
        return {one.name for one in reply.list_services_response.service}
    return set()


async def test_reflection(face: Public) -> None:
    """The reflection service lists every service."""
    names = await reflected(face.channel)
    assert {f"gpusched.v1.{one}" for one in ("Leases", "Devices", "Node")} < names


async def test_health(face: Public) -> None:
    """The health service says that every service is served."""
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    for name in ("", "gpusched.v1.Leases"):
        assert await health_check(face.channel, name) == serving


async def test_unknown_peer(face: Public) -> None:
    """Whoever does not come through the front is refused, health and reflection included."""
    private = face.path.parent / ".gpusched.sock" / "grpc.sock"
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"unix:{private}", options=options) as channel:
        node = node_pb2_grpc.NodeStub(channel)
        watch = devices_pb2_grpc.DevicesStub(channel).Watch(devices_pb2.WatchDevicesRequest())
        for call in (
            node.Ping(node_pb2.PingRequest()),
            health_check(channel, ""),
            anext(aiter(watch)),
        ):
            await refusal(call, grpc.StatusCode.UNAUTHENTICATED)
        # Nothing is sent: grpc.aio calls it an internal error where the refusal comes before that.
        assert await reflection(channel)().code() is grpc.StatusCode.UNAUTHENTICATED
