"""What somebody who is not the holder gets, over every method, gRPC and JSON."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from structlog.testing import capture_logs

from gpusched.api.v1 import leases_pb2
from gpusched.api.v1.request_pb2 import AllocateRequest
from gpusched.core.events import AllocateRequested
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.policy import Policy
from gpusched.core.request import Owner, Request
from gpusched.core.sight import COMMON, sight_of
from gpusched.rpc.registry import ADMIN_ONLY
from tests.fakes.builders import ADA, context, facts, labelled, reading
from tests.fakes.stranger import ALLOWED, DENIED, HIDDEN, METHODS, ROWS, Victim, asked
from tests.integration.serving_rpc import GIB, TWO_A100_AND_L4, Public, public, refusal

NOBODY = 65534
_HIS = Victim("lease-hisown0000", 4242, f"{HIDDEN}-key")
_SECONDS = 10
_ADMIN_ONLY = (
    *("Leases.Revoke", "Leases.Adopt"),
    *("Devices.Cordon", "Devices.Uncordon", "Devices.Drain", "Devices.Forget"),
    *("Node.SetGuard", "Node.ReleaseDriver", "Node.ResumeDriver"),
)
_CODES = {200: ALLOWED, 403: DENIED}
_TARGETS: dict[str, leases_pb2.AttachRequest] = {
    "nothing": leases_pb2.AttachRequest(),
    "no process": leases_pb2.AttachRequest(),
    "a unit": leases_pb2.AttachRequest(unit="x.service"),
    "a container": leases_pb2.AttachRequest(container="x"),
    "no path": leases_pb2.AttachRequest(cgroup="x"),
    "no cgroup": leases_pb2.AttachRequest(cgroup="/none/such"),
}
_LINES = [one for one in Path("/proc/self/cgroup").read_text().split("\n") if one[:3] == "0::"]
_CGROUP = _LINES[0][3:] if _LINES else ""  # a host may have no cgroup2
_TARGETS["no process"].process.pid = 1 << 22


@dataclass(frozen=True, slots=True)
class Beside:
    """A face, and a lease that is not its caller's."""

    face: Public
    his: Victim


@pytest.fixture
async def beside(socket_folder: Path) -> AsyncIterator[Beside]:
    """Ask as an ordinary user, beside another who has a lease and runs something on it."""
    async with public(socket_folder) as face:
        _fill(face)
        yield Beside(face, _HIS)


@pytest.fixture
async def over(socket_folder: Path) -> AsyncIterator[Beside]:
    """Ask as an administrator."""
    async with public(socket_folder, lambda _uid, _gid: True) as face:
        _fill(face)
        yield Beside(face, _HIS)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process of a third user, by its pid."""
    with subprocess.Popen(["/bin/sleep", "60"], user=NOBODY, group=NOBODY) as process:
        yield process.pid
        process.kill()


def _fill(face: Public) -> None:
    """Let another user have a lease with secrets, and a process, and the caller a lease too."""
    holder = replace(ADA, uid=_HIS.uid, user="other")
    wish = Request(
        RequestId(_HIS.request),
        labels=labelled(team=HIDDEN),
        owner=Owner(HIDDEN),
    )
    face.authority.decide(AllocateRequested(holder, wish, LeaseId(_HIS.lease)))
    running = replace(context(31, GIB), name=f"/home/{HIDDEN}/python")
    face.scene.readings = tuple(
        reading(one, *([running] if one.index == 0 else [])) for one in TWO_A100_AND_L4
    )
    his = replace(facts(31, _HIS.uid), command=f"python train.py --token {HIDDEN}")
    face.scene.known = (his,)
    face.authority.tick()


async def _own(face: Public) -> None:
    """Let the caller have a lease, so that there is a line of history that he may see."""
    await face.leases.Allocate(AllocateRequest(count=0))


async def _asked(beside: Beside, name: str) -> tuple[str, str]:
    request = ROWS[name][1](beside.his)

    def ask() -> tuple[str, str]:
        with grpc.insecure_channel(f"unix:{beside.face.path}") as channel:
            return asked(channel, name, request)

    return await asyncio.to_thread(ask)


async def _asked_in_json(beside: Beside, name: str) -> tuple[int, str]:
    """Ask the gateway; of a stream give the first line."""
    request = ROWS[name][1](beside.his)
    body = json_format.MessageToJson(request).encode()
    head = f"POST /v1/{name.replace('.', '/')} HTTP/1.1\r\nHost: x\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_unix_connection(beside.face.path)
    writer.write(head.encode() + body)
    async with asyncio.timeout(_SECONDS):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = answer.lower().partition("content-length: ")[2].partition("\r\n")[0]
        data = await (reader.readexactly(int(length)) if length else reader.readuntil(b"\n\r\n"))
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), data.decode()


def test_every_method_has_a_row() -> None:
    """Of every method of the protocol it is said what a stranger gets."""
    assert ROWS.keys() == METHODS.keys()


def test_the_operators_methods_are_these() -> None:
    """Only root and the administrators' group may call these; others are denied."""
    assert {f"{service}.{name}" for service, name in ADMIN_ONLY} == set(_ADMIN_ONLY)
    assert all(ROWS[name][0] == DENIED for name in _ADMIN_ONLY)


@pytest.mark.parametrize("name", ROWS)
async def test_a_stranger_over_grpc(beside: Beside, name: str) -> None:
    """A stranger may look, without what is hidden; what changes a lease is refused."""
    await _own(beside.face)
    before = beside.face.authority.ledger.get(LeaseId(beside.his.lease))
    code, answer = await _asked(beside, name)
    assert code == ROWS[name][0], answer
    assert HIDDEN not in answer
    assert beside.face.authority.ledger.get(LeaseId(beside.his.lease)) == before


@pytest.mark.parametrize("name", ROWS)
async def test_a_stranger_over_json(beside: Beside, name: str) -> None:
    """The gateway answers him as gRPC does."""
    await _own(beside.face)
    before = beside.face.authority.ledger.get(LeaseId(beside.his.lease))
    status, answer = await _asked_in_json(beside, name)
    assert _CODES.get(status) == ROWS[name][0], answer
    assert HIDDEN not in answer
    assert beside.face.authority.ledger.get(LeaseId(beside.his.lease)) == before


async def test_the_secrets_are_there(over: Beside) -> None:
    """An administrator sees what a stranger does not: the tests look for the right word."""
    for name in ("Leases.Get", "Leases.List", "Leases.Watch", "Processes.List", "Node.Status"):
        assert HIDDEN in (await _asked(over, name))[1], name


async def test_what_a_stranger_sees(beside: Beside) -> None:
    """Whose a lease is, on which devices, and its memory are no secret."""
    _, answer = await _asked(beside, "Node.Status")
    status = json.loads(answer)
    (lease,) = status["leases"]
    (process,) = status["processes"]
    assert (lease["holder"]["uid"], process["uid"]) == (beside.his.uid, beside.his.uid)
    assert [one["uuid"] for one in lease["devices"]] == [process["deviceUuid"]]
    assert process["memory"] == {"value": str(GIB)}
    assert process["name"] == {"value": "python"}
    assert process["command"] == {"unavailable": "belongs to another user"}


async def test_a_filter_finds_no_more_than_is_seen(beside: Beside) -> None:
    """What the operator keeps from a user cannot be found out by asking for it."""
    leases, of_his = beside.face.leases, beside.his.uid
    filters = (
        leases_pb2.ListLeasesRequest(uid=of_his),
        leases_pb2.ListLeasesRequest(device="0"),
    )
    for others, found in ((COMMON, [beside.his.lease]), (sight_of(()), [])):
        beside.face.authority.ledger.policy = Policy(others=others)
        for wanted in filters:
            assert [one.id for one in (await leases.List(wanted)).leases] == found
    explain = leases_pb2.ExplainRequest(lease_id=beside.his.lease)
    sentence = (await leases.Explain(explain)).sentence
    assert sentence == f"{beside.his.lease} is reserved, granted 0s ago"


@pytest.mark.parametrize("name", _ADMIN_ONLY)
async def test_an_operators_method_tells_nothing(beside: Beside, name: str) -> None:
    """Who does not administer is refused before anything is looked up, whatever is asked."""
    empty = type(ROWS[name][1](beside.his))()

    def ask() -> tuple[str, str]:
        with grpc.insecure_channel(f"unix:{beside.face.path}") as channel:
            return asked(channel, name, empty)

    with capture_logs() as logs:
        code, sentence = await asyncio.to_thread(ask)
    assert code == DENIED
    assert [(one["event"], one["method"]) for one in logs] == [("rpc.denied", name)]
    assert "only root and the administrators' group" in sentence


@pytest.mark.parametrize("name", _ADMIN_ONLY)
async def test_an_operator_is_logged(over: Beside, name: str) -> None:
    """An administrator is let through, and the log says who asked for what, from where."""
    with capture_logs() as logs:
        code, _ = await _asked(over, name)
    assert code != DENIED
    (line,) = [one for one in logs if one["event"] == "rpc.administered"]
    assert line["method"] == name
    assert isinstance(line["pid"], int)
    assert line["cgroup"] == _CGROUP


@pytest.mark.parametrize("what", _TARGETS)
async def test_nothing_is_attached_to_anothers_lease(beside: Beside, what: str) -> None:
    """Whose the lease is counts first: of processes and cgroups the refusal tells nothing."""
    request = leases_pb2.AttachRequest()
    request.CopyFrom(_TARGETS[what])
    request.lease_id = beside.his.lease
    error = await refusal(beside.face.leases.Attach(request), grpc.StatusCode.PERMISSION_DENIED)
    assert f"{beside.his.lease} belongs to other" in (error.details() or "")


@pytest.mark.root
async def test_a_process_of_another_user_is_not_attached(beside: Beside, sleeper: int) -> None:
    """A holder attaches to his own lease only processes that are his."""
    own = (await beside.face.leases.Allocate(AllocateRequest(count=0))).lease.id
    request = leases_pb2.AttachRequest(lease_id=own)
    request.process.pid = sleeper
    error = await refusal(beside.face.leases.Attach(request), grpc.StatusCode.PERMISSION_DENIED)
    assert f"process {sleeper} has uids {NOBODY}" in (error.details() or "")


async def test_an_owner_reference_finds_only_ones_own(beside: Beside) -> None:
    """The owner in another system is no way to somebody else's lease."""
    leases = beside.face.leases
    for call in (
        leases.Renew(leases_pb2.RenewRequest(owner_reference=HIDDEN)),
        leases.Environment(leases_pb2.EnvironmentRequest(owner_reference=HIDDEN)),
        leases.Get(leases_pb2.GetLeaseRequest(owner_reference=HIDDEN)),
    ):
        await refusal(call, grpc.StatusCode.NOT_FOUND)
    release = leases_pb2.ReleaseRequest(owner_reference=HIDDEN)
    assert not (await leases.Release(release)).leases
    listed = leases_pb2.ListLeasesRequest(owner_reference=HIDDEN)
    assert not (await leases.List(listed)).leases


@pytest.mark.parametrize("name", ROWS)
async def test_beside_the_front(beside: Beside, name: str) -> None:
    """A call that did not come through the front is refused, whoever makes it."""
    path = beside.face.path
    backend = path.with_name(f".{path.name}") / "grpc.sock"

    def ask() -> tuple[str, str]:
        with grpc.insecure_channel(f"unix:{backend}") as channel:
            return asked(channel, name, ROWS[name][1](beside.his))

    code, sentence = await asyncio.to_thread(ask)
    assert code == "UNAUTHENTICATED"
    assert "did not come through the public socket" in sentence
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))  # the public one is there all the same
