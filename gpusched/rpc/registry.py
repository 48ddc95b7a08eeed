"""Every method of the protocol and what answers it: one table for gRPC and for the JSON gateway.

Made from the descriptors, so that a method cannot be forgotten.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gpusched.api.v1 import devices_pb2, events_pb2, leases_pb2, node_pb2, processes_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.replies import NOT_ADMIN
from gpusched.ports import Stopping
from gpusched.rpc.call import Call, Code, Refused
from gpusched.rpc.devices import Devices
from gpusched.rpc.events import Events
from gpusched.rpc.leases import Leases
from gpusched.rpc.node import Node
from gpusched.rpc.processes import Processes
from gpusched.rpc.status import bad_field, not_yet, refuse, stopping
from gpusched.rpc.world import World

Unary: TypeAlias = Callable[[Message, Call], Awaitable[Message]]
Streaming: TypeAlias = Callable[[Message, Call], AsyncIterator[Message]]
Durable: TypeAlias = Callable[[], Awaitable[None]]

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (leases_pb2, "Leases"),
        (devices_pb2, "Devices"),
        (processes_pb2, "Processes"),
        (events_pb2, "Events"),
        (node_pb2, "Node"),
    )
)

ADMIN_ONLY: frozenset[tuple[str, str]] = frozenset(
    {
        ("Leases", "Revoke"),
        ("Leases", "Adopt"),
        ("Devices", "Cordon"),
        ("Devices", "Uncordon"),
        ("Devices", "Drain"),
        ("Devices", "Forget"),
        ("Node", "SetGuard"),
        ("Node", "ReleaseDriver"),
        ("Node", "ResumeDriver"),
    }
)
"""Methods for root and the administrators' group. Others are refused before anything is looked
up, so that a refusal tells nothing; the decision refuses them once more."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Method:
    """One method and what answers it.

    Attributes:
        service: Its service, without the package.
        name: Its own name.
        request: Class of the message it takes.
        reads_only: Whether it has no side effects.
        unary: Answers it; None where it streams.
        streaming: Answers it where it streams.
        admin_only: Whether it is for root and the administrators' group.
    """

    service: str
    name: str
    request: type[Message]
    reads_only: bool
    unary: Unary | None
    streaming: Streaming | None
    admin_only: bool = False


Registry: TypeAlias = Mapping[tuple[str, str], Method]
"""Methods by service and name."""


def registry_of(world: World) -> Registry:
    """Make the table of all methods."""
    return table_of(
        {
            "Leases": Leases(world),
            "Devices": Devices(world),
            "Processes": Processes(world),
            "Events": Events(world),
            "Node": Node(world),
        },
        world.authority.durable,
    )


def table_of(services: Mapping[str, object], durable: Durable) -> Registry:
    """Find what answers each method.

    Args:
        services: By name.
        durable: Awaited before anything is told, refusals included: what an answer reflects must
            be what a restart finds.

    Raises:
        LookupError: A method is not implemented.
    """
    return {
        (service.name, method.name): _method(service, method, services[service.name], durable)
        for service in SERVICES
        for method in service.methods
    }


async def answer(method: Method, request: Message, call: Call) -> Message:
    """Have a unary method answered.

    Raises:
        Refused: For whatever reason: a defect is logged and refused as INTERNAL.
    """
    if method.unary is None:
        raise not_yet(f"{method.service}.{method.name} streams")
    _admit(method, call)
    try:
        return await method.unary(request, call)
    except Refused:
        raise
    except Exception as error:
        raise refused_by(error, method) from error


async def answers(method: Method, request: Message, call: Call) -> AsyncIterator[Message]:
    """Have a streaming method answered.

    Raises:
        Refused: As `answer`; also after some answers.
    """
    if method.streaming is None:
        yield await answer(method, request, call)
        return
    _admit(method, call)
    try:
        async for reply in method.streaming(request, call):
            yield reply
    except Refused:
        raise
    except Exception as error:
        raise refused_by(error, method) from error


def _admit(method: Method, call: Call) -> None:
    """Refuse a caller who may not call *method* at all; who administers is in the log.

    Raises:
        Refused: It is for administrators, and the caller is none.
    """
    if not method.admin_only:
        return
    caller = call.caller
    _log.info(
        "rpc.administered" if caller.admin else "rpc.denied",
        method=f"{method.service}.{method.name}",
        uid=caller.uid,
        gid=caller.gid,
        user=caller.user,
        pid=None if caller.process is None else caller.process.pid,
        cgroup=caller.cgroup,
    )
    if not caller.admin:
        raise refuse(NOT_ADMIN.why, NOT_ADMIN.sentence)


def refused_by(error: Exception, method: Method) -> Refused:
    """Say what a client hears of an error; one that is nobody's fault but ours goes to the log."""
    match error:
        case InvalidRequest():
            return bad_field(error)
        case Stopping():
            return stopping()
        case _:
            name = f"{method.service}.{method.name}"
            _log.error("rpc.defect", method=name, exc_info=error)
            sentence = f"a defect in {name}: {type(error).__name__}; the daemon's log has more"
            return Refused(Code.INTERNAL, sentence)


def _method(
    service: ServiceDescriptor, method: MethodDescriptor, made: object, durable: Durable
) -> Method:
    streams = method.server_streaming and hasattr(made, method.name)
    unary: Unary | None = None
    streaming: Streaming | None = None
    if streams:
        streaming = getattr(made, method.name)
    elif hasattr(made, method.name):
        unary = getattr(made, method.name)
    else:
        raise LookupError(f"{method.full_name} is not implemented")
    level = method.GetOptions().idempotency_level
    return Method(
        service=service.name,
        name=method.name,
        request=GetMessageClass(method.input_type),
        reads_only=level == MethodOptions.NO_SIDE_EFFECTS,
        unary=None if unary is None else _told_once_durable(unary, durable),
        streaming=None if streaming is None else _each_told_once_durable(streaming, durable),
        admin_only=(service.name, method.name) in ADMIN_ONLY,
    )


def _told_once_durable(unary: Unary, durable: Durable) -> Unary:
    async def tell(request: Message, call: Call) -> Message:
        try:
            return await unary(request, call)
        finally:
            await durable()

    return tell


def _each_told_once_durable(streaming: Streaming, durable: Durable) -> Streaming:
    async def tell(request: Message, call: Call) -> AsyncIterator[Message]:
        try:
            async for reply in streaming(request, call):
                await durable()
                yield reply
        except Refused:
            await durable()
            raise

    return tell
