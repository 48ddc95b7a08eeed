"""The JSON gateway: every method of the registry over HTTP/1.0 and 1.1, on the public socket.

`POST /v1/<Service>/<Method>` takes the request as JSON; methods without side effects also answer
`GET` with the request in the query, some of them under a short name. Streams are lines of JSON.
Nothing about any single method is known here.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from json.encoder import encode_basestring as text

from aiohttp import web
from google.protobuf.message import Message

from gpusched.core.errors import InvalidRequest
from gpusched.rpc.call import Call, Callers, Code, Refused
from gpusched.rpc.front import peer_of
from gpusched.rpc.peer import Peer
from gpusched.rpc.registry import Method, Registry, answer, answers
from gpusched.rpc.status import bad_field
from gpusched.rpc.turns import Turns
from gpusched.web.message_input import message_from_json, message_from_query
from gpusched.web.message_json import text_of

BODY_BYTES = 1 << 20
"""Largest request body."""

ALIASES: Mapping[str, tuple[str, str]] = {
    "/v1/status": ("Node", "Status"),
    "/v1/devices": ("Devices", "List"),
    "/v1/types": ("Devices", "ListTypes"),
    "/v1/leases": ("Leases", "List"),
    "/v1/processes": ("Processes", "List"),
    "/v1/events": ("Events", "List"),
}
"""Short names of methods that only read."""

STATUSES: Mapping[Code, HTTPStatus] = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

_CLOSING_S = 1.0
_JSON = {"Content-Type": "application/json"}
_LINES = {"Content-Type": "application/x-ndjson"}


class Gateway:
    """Serves the registry as JSON. Made in the running event loop.

    Args:
        registry: What answers.
        callers: Makes callers of peers.
        turns: Says when a call may begin.
    """

    def __init__(self, registry: Registry, callers: Callers, turns: Turns) -> None:
        self._callers = callers
        self._turns = turns
        self._routes = {
            f"/v1/{service}/{name}": method for (service, name), method in registry.items()
        } | {path: registry[key] for path, key in ALIASES.items()}
        # Who hangs up in the middle of a stream ends it; a decision is made or not, never half.
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)

    def protocol(self, _peer: Peer) -> asyncio.Protocol:
        """Make what serves one connection of the front: an `HttpHandler`."""
        return self._server()

    async def close(self) -> None:
        """End every connection. Idempotent."""
        await self._server.shutdown(_CLOSING_S)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            method = self._route(request)
            if request.method != "POST" and not (request.method == "GET" and method.reads_only):
                return _wrong_verb(request.method, method)
            call, body = self._call(request), await _body(request)
            await self._turns.of(call.caller.uid)
            message = _message(request, method, body)
            if method.streaming is not None:
                return await _stream(request, method, message, call)
            reply = await answer(method, message, call)
            return web.Response(body=text_of(reply).encode(), headers=_JSON)
        except Refused as refused:
            return _failed(STATUSES[refused.code], refused)

    def _route(self, request: web.BaseRequest) -> Method:
        method = self._routes.get(request.path)
        if method is None:
            raise Refused(
                Code.NOT_FOUND,
                f"there is nothing at {request.path}; methods are at /v1/<Service>/<Method>, such"
                " as /v1/Leases/Allocate",
            )
        return method

    def _call(self, request: web.BaseRequest) -> Call:
        peer = peer_of(request.transport)
        if peer is None:
            raise Refused(Code.UNAUTHENTICATED, "who calls is not known; call again")
        return self._callers.call_of(peer)


async def _body(request: web.BaseRequest) -> bytes:
    """Read the body of a POST.

    Raises:
        Refused: It is too long.
    """
    if request.method != "POST":
        return b""
    await _continue(request)
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        sentence = f"the body has more than {BODY_BYTES} bytes"
        raise Refused(Code.INVALID_ARGUMENT, sentence) from None


def _message(request: web.BaseRequest, method: Method, body: bytes) -> Message:
    """Read the request, from the body of a POST or from the query.

    Raises:
        Refused: It cannot be read.
    """
    try:
        if request.method != "POST":
            return message_from_query(method.request, request.query.items())
        return message_from_json(method.request, body)
    except InvalidRequest as error:
        raise bad_field(error) from None


async def _stream(
    request: web.BaseRequest, method: Method, message: Message, call: Call
) -> web.StreamResponse:
    """Answer a line for each message; what is refused before the first has a status of its own."""
    response = web.StreamResponse(headers=_LINES)
    try:
        async for reply in answers(method, message, call):
            if not response.prepared:
                await response.prepare(request)
            await response.write(text_of(reply).encode() + b"\n")
    except Refused as refused:
        if not response.prepared:
            raise
        with suppress(ConnectionResetError):
            await response.write(_error(refused).encode() + b"\n")
    except ConnectionResetError:
        return response  # that a client has gone while it was told is nothing to report
    if not response.prepared:
        await response.prepare(request)
    return response


async def _continue(request: web.BaseRequest) -> None:
    """Ask for the body where the client waits for that, as curl does with a long one."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What was written is no part of the answer, whose head is still to come.
        request.writer.output_size = 0


def _wrong_verb(verb: str, method: Method) -> web.Response:
    allowed = "GET, POST" if method.reads_only else "POST"
    sentence = f"{verb}: {method.service}.{method.name} is asked with {allowed}"
    response = _failed(HTTPStatus.METHOD_NOT_ALLOWED, Refused(Code.INVALID_ARGUMENT, sentence))
    response.headers["Allow"] = allowed
    return response


def _failed(status: HTTPStatus, refused: Refused) -> web.Response:
    return web.Response(status=status, body=_error(refused).encode(), headers=_JSON)


def _error(refused: Refused) -> str:
    parts = [f'"code":"{refused.code.value}"', f'"message":{text(refused.sentence)}']
    if refused.rejection is not None:
        parts.append(f'"rejection":{text_of(refused.rejection)}')
    return f'{{"error":{{{",".join(parts)}}}}}'
