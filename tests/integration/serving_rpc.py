"""The public face (front, gRPC, gateway) over an authority in memory, for its tests."""

import asyncio
import http.client
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.api.v1 import leases_pb2_grpc, rejection_pb2
from gpusched.core.events import AllocateRequested, ReleaseRequested
from gpusched.core.ids import SECOND, LeaseId, ProcessId, RequestId
from gpusched.core.request import Request
from gpusched.core.sample import NO_MEMBERS, DeviceReading, NodeSample, ProcessFacts
from gpusched.rpc.front import FrontLimits
from gpusched.rpc.host import Host
from gpusched.rpc.server import REJECTION_KEY
from gpusched.web.doors import Facing, PublicDoors
from tests.fakes.authority import FakeAuthority
from tests.fakes.builders import A100, ADA, L4, device, reading, sample
from tests.fakes.clock import FakeClock, FakeIds
from tests.fakes.sampler import FakeSampler
from tests.fakes.units import FakeUnits

GIB = 1 << 30
ME = os.geteuid()
HOST = Host(
    node="testhost",
    version="0.0.1",
    socket="/run/gpusched/gpusched.sock",
    boot_id="boot",
    started_at=1,
    cores=8,
    memory=64 * GIB,
    extra_environment={"GPUSCHED_SIMULATOR": "/srv/simulator"},
    prices={"cpu.2": "0.02"},
)
TWO_A100_AND_L4 = (device(0, A100), device(1, A100), device(2, L4, 24 * GIB))


@dataclass
class Scene:
    """What the next look at the devices shows; a test changes it."""

    readings: tuple[DeviceReading, ...] = tuple(reading(one) for one in TWO_A100_AND_L4)
    known: tuple[ProcessFacts, ...] = ()
    members: Mapping[LeaseId, frozenset[ProcessId]] = field(default_factory=lambda: NO_MEMBERS)


@dataclass(frozen=True, slots=True)
class Public:
    """What a test sees of a public face."""

    path: Path
    authority: FakeAuthority
    clock: FakeClock
    scene: Scene
    channel: grpc.aio.Channel
    leases: "leases_pb2_grpc.LeasesAsyncStub"
    units: FakeUnits


@asynccontextmanager
async def public(
    folder: Path,
    is_admin: Callable[[int, int], bool] = lambda _uid, _gid: False,
    limits: FrontLimits | None = None,
) -> AsyncIterator[Public]:
    """Serve until the test is done with it."""
    clock, scene, units = FakeClock(), Scene(), FakeUnits()

    def look() -> NodeSample:
        moment = clock.advance(1)
        return sample(*scene.readings, at=moment, known=scene.known, members=scene.members)

    authority = FakeAuthority(clock, look)
    authority.tick()
    path = folder / "gpusched.sock"
    facing = Facing(
        clock,
        FakeIds(),
        ProcfsProcessTable(),
        HOST,
        FakeSampler(),
        units,
        is_admin,
        limits or FrontLimits(),
    )
    doors = PublicDoors(path, facing)
    await doors.open(authority)
    options = (("grpc.use_local_subchannel_pool", 1),)
    try:
        async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
            stub = leases_pb2_grpc.LeasesStub(channel)
            yield Public(path, authority, clock, scene, channel, stub, units)
    finally:
        await doors.close()


def rejection_in(error: grpc.aio.AioRpcError) -> rejection_pb2.Rejection:
    """The rejection beside a gRPC status."""
    data = dict(error.trailing_metadata())[REJECTION_KEY]
    assert isinstance(data, bytes)
    return rejection_pb2.Rejection.FromString(data)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    kind: str
    text: str

    def __getitem__(self, key: str) -> object:
        return json.loads(self.text)[key]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


async def http_ask(path: Path, method: str, target: str, body: bytes | None = None) -> Answer:
    """Ask over HTTP/1.1, as a plain client does."""

    def ask() -> Answer:
        connection = _UnixConnection(path)
        try:
            connection.request(method, target, body)
            reply = connection.getresponse()
            return Answer(reply.status, reply.getheader("Content-Type", ""), reply.read().decode())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def refusal(call: Awaitable[object], code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """The error that *call* ends with, which has to have that code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code
    details = caught.value.details() or ""
    assert details
    assert "\n" not in details
    return caught.value


def another_holds(
    face: Public,
    *,
    count: int = 1,
    uid: int = 4242,
    priority: str | None = None,
    pool: str | None = None,
) -> LeaseId:
    """Let another user have devices."""
    caller = replace(ADA, uid=uid, user="other")
    lease_id = LeaseId(f"lease-of{uid:08}")
    wish = Request(RequestId("theirs"), count=count, priority=priority, pool=pool)
    face.authority.decide(AllocateRequested(caller, wish, lease_id))
    return lease_id


def another_ends(face: Public, *, uid: int = 4242) -> None:
    """Let that user give them back."""
    caller = replace(ADA, uid=uid, user="other")
    face.authority.decide(ReleaseRequested(caller, LeaseId(f"lease-of{uid:08}")))


def pass_time(face: Public, seconds: int) -> None:
    """Let time pass, second by second: a longer gap is one in which the host slept."""
    for _ in range(seconds):
        face.clock.advance(SECOND)
        face.authority.tick()


def another_waits(face: Public, *, uid: int = 4242, priority: str | None = None) -> LeaseId:
    """Let a request of that user wait, as `theirs-too`."""
    caller = replace(ADA, uid=uid, user="other")
    lease_id = LeaseId(f"lease-to{uid:08}")
    wish = Request(
        RequestId("theirs-too"),
        labels={"theirs": "yes"},
        priority=priority,
        wait_without_limit=True,
    )
    face.authority.decide(AllocateRequested(caller, wish, lease_id))
    return lease_id


def waits(face: Public, name: str) -> bool:
    """Whether a request waits."""
    return any(one.request.request_id == name for one in face.authority.ledger.waiting)


def abandoned(face: Public, name: str) -> bool:
    """Whether a request waits whose client is gone."""
    return any(
        one.abandoned is not None
        for one in face.authority.ledger.waiting
        if one.request.request_id == name
    )
