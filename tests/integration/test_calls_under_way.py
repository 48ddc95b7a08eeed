"""How many calls one user may have under way, over however few connections."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from gpusched.api.v1.leases_pb2 import WatchLeasesRequest
from gpusched.rpc import server
from gpusched.rpc.call import Code, Refused
from gpusched.rpc.front import FrontLimits
from gpusched.rpc.underway import CallsUnderWay
from tests.integration.serving_rpc import Public, public, refusal

NOBODY = 65534

# As another user, all on one connection: two watches go on, what is asked beside them is refused,
# and when one of them is over it is not.
_CLIENT = """
import os, sys, grpc
from gpusched.api.v1 import leases_pb2, leases_pb2_grpc
grpc.insecure_channel("unix:" + sys.argv[1]).close()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    stub = leases_pb2_grpc.LeasesStub(channel)
    watches = [stub.Watch(leases_pb2.WatchLeasesRequest()) for _ in range(2)]
    for watch in watches:
        next(watch)
    for ask in (stub.List, lambda request: next(stub.Watch(leases_pb2.WatchLeasesRequest()))):
        try:
            ask(leases_pb2.ListLeasesRequest())
        except grpc.RpcError as error:
            print(error.code().name, error.details(), flush=True)
    watches[0].cancel()
    while True:
        try:
            stub.List(leases_pb2.ListLeasesRequest())
            break
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    print("served", flush=True)
"""


@pytest.fixture
def open_folder(socket_folder: Path) -> Path:
    """A folder that every user may enter."""
    socket_folder.chmod(0o755)
    return socket_folder


@pytest.mark.root
async def test_one_user_has_no_more_calls_than_connections(open_folder: Path) -> None:
    """One connection of gRPC carries any number of calls, and so a user could have any number of
    them under way; as many as connections he may, others are refused by name until one is over.
    """
    limits = FrontLimits(connections_per_uid=2)
    async with public(open_folder, limits=limits) as face:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CLIENT, str(face.path), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(client.communicate(), 60)
        held = [face.leases.Watch(WatchLeasesRequest()) for _ in range(5)]
        for one in held:
            await anext(aiter(one))
    why = f"uid {NOBODY} has 2 calls under way, as many as it may: let some end first"
    assert said.decode().splitlines() == [f"RESOURCE_EXHAUSTED {why}"] * 2 + ["served"]


# As another user: two calls are begun, and their messages do not come.
_SILENT = """
import os, sys, threading, grpc
from gpusched.api.v1 import leases_pb2, leases_pb2_grpc
grpc.insecure_channel("unix:" + sys.argv[1]).close()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
over = threading.Event()
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    begin = map(channel.stream_unary, ("/gpusched.v1.Leases/List", "/grpc.health.v1.Health/Check"))
    silent = [one.future(iter(over.wait, True)) for one in begin]
    stub = leases_pb2_grpc.LeasesStub(channel)
    while True:
        try:
            stub.List(leases_pb2.ListLeasesRequest())
        except grpc.RpcError as error:
            print(error.code().name, flush=True)
            break
    over.set()
"""


@pytest.mark.root
async def test_a_call_counts_before_its_message_has_come(open_folder: Path) -> None:
    """Calls that are begun and go no further are as many as others: they cost memory, too."""
    async with public(open_folder, limits=FrontLimits(connections_per_uid=2)) as face:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SILENT, str(face.path), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(client.communicate(), 60)
    assert said == b"RESOURCE_EXHAUSTED\n"


@pytest.mark.parametrize(
    "path", ["gpusched.v1.Leases/List", "gpusched.v1.Leases/Watch", "grpc.health.v1.Health/Check"]
)
async def test_a_call_without_a_message(
    face: Public, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Whoever begins a call has to say in time what for; one without a message is no call."""

    async def nothing(*, ever: bool) -> AsyncIterator[bytes]:
        if not ever:
            await asyncio.Event().wait()
        for never in list[bytes]():
            yield never

    monkeypatch.setattr(server, "MESSAGE_SECONDS", 0.1)
    for ever in (True, False):
        begin: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = face.channel.stream_unary(
            f"/{path}"
        )
        error = await refusal(begin(nothing(ever=ever)), grpc.StatusCode.INVALID_ARGUMENT)
        assert "no message came" in (error.details() or "")


def test_calls_are_counted_until_they_are_over() -> None:
    """A call that fails is over, too; others' calls count for them alone; root has no bound."""
    under_way = CallsUnderWay(1)
    with suppress(ZeroDivisionError), under_way.one_of(7):
        with under_way.one_of(8), under_way.one_of(0), under_way.one_of(0):
            assert len(under_way) == 1 + 1 + 2
        with pytest.raises(Refused) as refused:
            under_way.one_of(7).__enter__()
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        raise ZeroDivisionError
    assert len(under_way) == 0
