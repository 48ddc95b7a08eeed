"""The gRPC server: the registry's methods, health and reflection, on the front's private socket.

Whoever did not come through the front is refused, whatever is asked. Messages are parsed and
serialized here, so that a defect in one is answered like any other.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from grpc_reflection.v1alpha.reflection import aio as reflection

from gpusched.rpc.call import Call, Callers, Code, Refused
from gpusched.rpc.peer import PeerTable, UnknownPeer
from gpusched.rpc.registry import SERVICES, Method, Registry, answer, answers
from gpusched.rpc.status import details_of, trailer_of
from gpusched.rpc.turns import Turns
from gpusched.rpc.underway import CallsUnderWay

REJECTION_KEY = "gpusched-rejection-bin"
"""Trailing metadata that carries a serialized `Rejection`."""

MESSAGE_BYTES = 1 << 20
"""Largest message that is taken from a client."""

MESSAGE_SECONDS = 30.0
"""How long the message of a call may be under way."""

Messages: TypeAlias = AsyncIterable[bytes]
Context: TypeAlias = aio.ServicerContext[bytes, bytes]
_HealthRequest: TypeAlias = health_pb2.HealthCheckRequest
_HealthReply: TypeAlias = health_pb2.HealthCheckResponse
_HealthContext: TypeAlias = aio.ServicerContext[_HealthRequest, _HealthReply]
_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")

_CODES = {code: grpc.StatusCode[code.name] for code in Code}
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Counted(Protocol):
    """Counts calls."""

    def __call__(
        self, context: aio.ServicerContext[_Request, _Reply]
    ) -> AbstractAsyncContextManager[None]:
        """Count a call until it is over."""
        ...


class RpcServer:
    """Serves the registry over grpc.

    Args:
        registry: What answers.
        peers: Who came through the front.
        callers: Makes callers of them.
        turns: Says when a call may begin.
        calls_per_uid: Calls that one user may have under way; root has no limit.
    """

    def __init__(
        self,
        registry: Registry,
        peers: PeerTable,
        callers: Callers,
        turns: Turns,
        calls_per_uid: int,
    ) -> None:
        self._registry = registry
        self._turns = turns
        self._under_way = CallsUnderWay(calls_per_uid)
        self._peers = peers
        self._callers = callers
        self._server: aio.Server | None = None
        self._health = health.HealthServicer()

    async def start(self, backend: Path) -> None:
        """Listen on the front's private socket.

        Raises:
            RuntimeError: grpc cannot listen there.
        """
        server = aio.server(options=(("grpc.max_receive_message_length", MESSAGE_BYTES),))
        for service in SERVICES:
            handlers = {
                method.name: self._handler(self._registry[service.name, method.name])
                for method in service.methods
            }
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.full_name, handlers),)
            )
        names = [service.full_name for service in SERVICES]
        known = [*names, _HEALTH, REFLECTION]
        server.add_generic_rpc_handlers(
            (_health_of(self._health, self._counted), _reflection(known, self._counted))
        )
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        server.add_insecure_port(f"unix:{backend}")
        await server.start()
        self._server = server

    async def stop(self, grace: float | None) -> None:
        """Say to health checks that it ends, let calls finish for *grace* seconds. Idempotent."""
        await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        # As if messages streamed in, so that a call is counted before its message has come.
        if method.unary is None:
            return grpc.stream_stream_rpc_method_handler(self._streaming(method))
        return grpc.stream_unary_rpc_method_handler(self._unary(method))

    def _unary(self, method: Method) -> Callable[[Messages, Context], Awaitable[bytes]]:
        async def handle(messages: Messages, context: Context) -> bytes:
            try:
                call = self._call(context)
                with self._under_way.one_of(call.caller.uid):
                    message = _parsed(method, await _first(messages))
                    await self._turns.of(call.caller.uid)
                    reply = await answer(method, message, call)
                return reply.SerializeToString()
            except Refused as refused:
                await _abort(context, refused)

        return handle

    def _streaming(self, method: Method) -> Callable[[Messages, Context], AsyncIterator[bytes]]:
        async def handle(messages: Messages, context: Context) -> AsyncIterator[bytes]:
            try:
                call = self._call(context)
                with self._under_way.one_of(call.caller.uid):
                    message = _parsed(method, await _first(messages))
                    await self._turns.of(call.caller.uid)
                    async for reply in answers(method, message, call):
                        yield reply.SerializeToString()
            except Refused as refused:
                await _abort(context, refused)

        return handle

    @asynccontextmanager
    async def _counted(
        self, context: aio.ServicerContext[_Request, _Reply]
    ) -> AsyncIterator[None]:
        """Count a call of a service that is not ours, and refuse a stranger's."""
        try:
            with self._under_way.one_of(self._peers.require(context.peer()).uid):
                yield
        except UnknownPeer as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except Refused as refused:
            await context.abort(_CODES[refused.code], refused.sentence)

    def _call(self, context: Context) -> Call:
        try:
            return self._callers.call_of(self._peers.require(context.peer()))
        except UnknownPeer as error:
            raise Refused(Code.UNAUTHENTICATED, str(error)) from None


def _health_of(servicer: health.HealthServicer, counted: Counted) -> grpc.GenericRpcHandler:
    """Make the standard health service, for callers that came through the front."""

    async def check(messages: Messages, context: _HealthContext) -> _HealthReply:
        async with counted(context):
            request = _HealthRequest.FromString(await _first(messages))
            return await servicer.Check(request, context)

    async def watch(messages: Messages, context: _HealthContext) -> None:
        async with counted(context):
            request = _HealthRequest.FromString(await _first(messages))
            await servicer.Watch(request, context)

    written = _HealthReply.SerializeToString
    handlers: dict[str, grpc.RpcMethodHandler[bytes, _HealthReply]] = {
        "Check": grpc.stream_unary_rpc_method_handler(check, None, written),
        "Watch": grpc.stream_stream_rpc_method_handler(watch, None, written),
    }
    return grpc.method_handlers_generic_handler(_HEALTH, handlers)


def _reflection(names: list[str], counted: Counted) -> grpc.GenericRpcHandler:
    """Make the standard reflection service, for callers that came through the front."""
    servicer = reflection.ReflectionServicer(names)

    async def handle(
        requests: AsyncIterable[Message], context: aio.ServicerContext[Message, Message]
    ) -> AsyncIterator[Message]:
        async with counted(context):
            replies = servicer.ServerReflectionInfo(requests, context)  # type: ignore[arg-type]  # of its own messages
            async for reply in replies:  # type: ignore[attr-defined]  # the stub forgets that it yields
                yield reply

    handler = grpc.stream_stream_rpc_method_handler(
        handle,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(REFLECTION, {"ServerReflectionInfo": handler})


async def _first(messages: Messages) -> bytes:
    """Read the one message of a call."""
    try:
        async with asyncio.timeout(MESSAGE_SECONDS):
            return await anext(aiter(messages))
    except (TimeoutError, StopAsyncIteration):
        sentence = f"no message came within {MESSAGE_SECONDS:g} seconds, or none at all"
        raise Refused(Code.INVALID_ARGUMENT, sentence) from None


def _parsed(method: Method, data: bytes) -> Message:
    message = method.request()
    try:
        message.ParseFromString(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.name
        sentence = f"what was sent is no {name}: is the client made for another protocol?"
        raise Refused(Code.INVALID_ARGUMENT, sentence) from None
    return message


async def _abort(context: Context, refused: Refused) -> NoReturn:
    metadata: tuple[tuple[str, bytes], ...] = ()
    if refused.rejection is not None:
        metadata = ((REJECTION_KEY, trailer_of(refused.rejection)),)
    await context.abort(_CODES[refused.code], details_of(refused.sentence), metadata)
