"""The JSON gateway over the public socket, asked as curl and a plain HTTP client ask."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from aiohttp import ClientConnectionResetError, web

from gpusched.rpc.registry import SERVICES
from gpusched.web.gateway import ALIASES, BODY_BYTES
from tests.integration.serving_rpc import ME, Public, http_ask

ALLOCATE = "/v1/Leases/Allocate"


async def raw(path: Path, text: str, *, until: bytes | None = None) -> str:
    """Send bytes and read to the end, or until something came; as a shell script would."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(text.replace("\n", "\r\n").encode())
    async with asyncio.timeout(10):
        data = await (reader.read() if until is None else reader.readuntil(until))
    writer.close()
    await writer.wait_closed()
    return data.decode()


def error_of(text: str) -> dict[str, object]:
    """The error in an answer."""
    error = json.loads(text)["error"]
    assert isinstance(error, dict)
    assert "\n" not in error["message"]
    return error


async def test_allocate_and_release(face: Public) -> None:
    """A device is allocated and released with two POSTs."""
    answer = await http_ask(face.path, "POST", ALLOCATE, b'{"count": 1, "labels": {"a": "b"}}')
    assert (answer.status, answer.kind) == (200, "application/json")
    grant = json.loads(answer.text)
    assert grant["lease"]["holder"]["uid"] == ME
    assert grant["lease"]["state"] == "LEASE_STATE_RESERVED"
    assert grant["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert grant["lease"]["used_memory"] == {"value": "0"}
    body = json.dumps({"leaseId": grant["lease"]["id"]}).encode()
    answer = await http_ask(face.path, "POST", "/v1/Leases/Release", body)
    assert json.loads(answer.text)["leases"][0]["state"] == "LEASE_STATE_ENDED"


async def test_attach_caller(face: Public) -> None:
    """The gateway knows its caller from the kernel, as gRPC does."""
    answer = await http_ask(face.path, "POST", ALLOCATE, b'{"attach_caller": true}')
    assert json.loads(answer.text)["lease"]["processes"][0]["pid"] == os.getpid()


async def test_http_1_0(face: Public) -> None:
    """An HTTP/1.0 client is answered, and the connection ends with the answer."""
    body = '{"count":1}'
    text = f"POST {ALLOCATE} HTTP/1.0\nContent-Length: {len(body)}\n\n{body}"
    head, _, payload = (await raw(face.path, text)).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.0 200")
    assert json.loads(payload)["node"] == "testhost"


async def test_get_aliases(face: Public) -> None:
    """What only reads has a short name that GET answers."""
    for path in ALIASES:
        answer = await http_ask(face.path, "GET", path)
        assert answer.status == 200, answer.text
        assert answer["node"] == "testhost"


async def test_query(face: Public) -> None:
    """Scalar fields may stand in the query."""
    await http_ask(face.path, "POST", ALLOCATE, b"{}")
    answer = await http_ask(face.path, "GET", "/v1/Leases/List?mine=true&limit=5&uid=4242")
    assert answer["leases"] == []
    answer = await http_ask(face.path, "GET", "/v1/leases?mine=1")
    assert len(json.loads(answer.text)["leases"]) == 1
    answer = await http_ask(face.path, "GET", "/v1/processes?kind=PROCESS_KIND_STRAY&device=0")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("nine=1", "nine: ListLeasesRequest has no such field"),
        ("mine=perhaps", "mine: 'perhaps' is neither true nor false"),
        ("limit=1&limit=2", "limit: is there twice"),
        ("limit=-1", "limit: "),
        ("labels=a", "labels: cannot stand in a query"),
    ],
)
async def test_bad_query(face: Public, query: str, words: str) -> None:
    """A query that is wrong is refused by the name of the field."""
    answer = await http_ask(face.path, "GET", f"/v1/leases?{query}")
    assert answer.status == 400
    assert str(error_of(answer.text)["message"]).startswith(words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"count": 1,', "the body is no JSON request: "),
        (b"[]", "the body is no JSON request: it has to be an object"),
        (b"[" * 100_000, "the body is no JSON request: it is nested too deeply"),
        (b"\xff", "the body is no JSON request: "),
        (b'{"count": 1, "count": 2}', "the body is no JSON request: 'count' is there twice"),
        (b'{"gpus": 1}', "gpus: AllocateRequest has no such field; it has request_id"),
        (b'{"owner": {"ref": 1}}', "owner: "),
        (b'{"labels": {}, "count": -1}', "count: Value out of range: -1"),
        (b'{"enforce": "MAYBE"}', "enforce: Invalid enum value MAYBE"),
        (b'{"attach_deadline": "soon"}', "attach_deadline: "),
        (b'{"gpu_types": ["\\ud800"]}', "gpu_types: "),
        (b'{"count": 1e400}', "count: "),
    ],
)
async def test_bad_body(face: Public, body: bytes, words: str) -> None:
    """A body that is wrong is INVALID_ARGUMENT in one line that names field or position."""
    answer = await http_ask(face.path, "POST", ALLOCATE, body)
    error = error_of(answer.text)
    assert (answer.status, error["code"]) == (400, "INVALID_ARGUMENT")
    assert str(error["message"]).startswith(words)
    assert face.authority.ledger.live_count() == 0


async def test_position_of_bad_json(face: Public) -> None:
    """Bad JSON is refused with its position."""
    answer = await http_ask(face.path, "POST", ALLOCATE, b'{\n"count" 1}')
    assert "line 2 column 9" in str(error_of(answer.text)["message"])


async def test_large_body(face: Public) -> None:
    """A body over the limit is refused."""
    body = b'{"request_id": "' + b"x" * BODY_BYTES + b'"}'
    answer = await http_ask(face.path, "POST", ALLOCATE, body)
    assert (answer.status, error_of(answer.text)["code"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (ALLOCATE, b'{"count": 5000}', 400, "INVALID_ARGUMENT"),
        (ALLOCATE, b'{"count": 9}', 409, "FAILED_PRECONDITION"),
        (ALLOCATE, b'{"parent_lease_id": "x"}', 501, "UNIMPLEMENTED"),
        ("/v1/Leases/Get", b'{"lease_id": "x"}', 404, "NOT_FOUND"),
        (
            "/v1/Leases/Cancel",
            b'{"request_id": "x", "holder_uid": 4242}',
            403,
            "PERMISSION_DENIED",
        ),
        ("/v1/Devices/Cordon", b"{}", 403, "PERMISSION_DENIED"),
        ("/v1/Leases/Lend", b"{}", 404, "NOT_FOUND"),
        ("/", b"", 404, "NOT_FOUND"),
    ],
)
async def test_errors(face: Public, path: str, body: bytes, status: int, code: str) -> None:
    """Each gRPC status has one HTTP status, and the error says its name."""
    answer = await http_ask(face.path, "POST", path, body)
    assert (answer.status, error_of(answer.text)["code"]) == (status, code)


async def test_rejection(face: Public) -> None:
    """What could fit later is 429 and carries the whole rejection."""
    await http_ask(face.path, "POST", ALLOCATE, b'{"count": 3}')
    answer = await http_ask(face.path, "POST", ALLOCATE, b"")
    rejection = json.loads(answer.text)["error"]["rejection"]
    assert answer.status == 429
    assert rejection["kind"] == "REJECTION_KIND_LATER"
    assert len(rejection["verdicts"]) == 3


async def test_stopping_and_defect(face: Public) -> None:
    """A defect is 500 without a traceback, a daemon that ends 503."""
    face.authority.fault = ZeroDivisionError("theirs")
    answer = await http_ask(face.path, "POST", ALLOCATE)
    assert answer.status == 500
    assert "theirs" not in answer.text
    face.authority.stop()
    answer = await http_ask(face.path, "GET", "/v1/status")
    assert (answer.status, error_of(answer.text)["code"]) == (503, "UNAVAILABLE")


async def test_get_changes_nothing(face: Public) -> None:
    """GET is refused where a method has side effects."""
    answer = await http_ask(face.path, "GET", ALLOCATE)
    assert answer.status == 405
    assert "POST" in str(error_of(answer.text)["message"])
    assert face.authority.ledger.live_count() == 0


async def test_watch(face: Public) -> None:
    """A watch is a line of JSON at once and after each change, until the client hangs up."""
    reader, writer = await asyncio.open_unix_connection(face.path)
    writer.write(b"GET /v1/Leases/Watch HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"application/x-ndjson" in head
        assert json.loads(await reader.readline())["leases"] == []
        await http_ask(face.path, "POST", ALLOCATE)
        assert len(json.loads(await reader.readline())["leases"]) == 1
        face.authority.stop()
        assert json.loads(await reader.readline())["error"]["code"] == "UNAVAILABLE"
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_watch_refused(face: Public) -> None:
    """A watch that is refused at once has the status of its refusal."""
    answer = await http_ask(face.path, "GET", "/v1/Leases/Watch?lease_id=none")
    assert answer.status == 404


async def test_hung_up_watch(face: Public) -> None:
    """A watch whose client hangs up ends, though nothing changes."""
    before = len(asyncio.all_tasks())
    text = "GET /v1/Leases/Watch HTTP/1.1\nHost: x\n\n"
    await raw(face.path, text, until=b'"leases"')
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - a task's end has no event
            await asyncio.sleep(0.005)


async def test_hung_up_while_it_is_told(
    face: Public, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes in the middle of a line is nothing for the log: else anybody could fill
    it.
    """
    gone = asyncio.Event()

    async def write(_self: web.StreamResponse, _data: bytes) -> None:
        gone.set()
        raise ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.StreamResponse, "write", write)
    answer = await http_ask(face.path, "GET", "/v1/Leases/Watch")
    assert gone.is_set()
    assert answer.status == 200
    assert not caplog.records


async def test_waiting_for_continue(face: Public) -> None:
    """A client that asks before it sends its body is told to go on."""
    reader, writer = await asyncio.open_unix_connection(face.path)
    head = f"POST {ALLOCATE} HTTP/1.1\nHost: x\nContent-Length: 2\nExpect: 100-continue\n\n"
    writer.write(head.replace("\n", "\r\n").encode())
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()


def test_short_names() -> None:
    """Every short name belongs to a method that only reads."""
    methods = {(service.name, one.name) for service in SERVICES for one in service.methods}
    assert set(ALIASES.values()) <= methods
