"""The gRPC services through the front, with a real client, over an authority in memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gpusched.api.v1 import (
    devices_pb2,
    devices_pb2_grpc,
    event_pb2,
    events_pb2,
    events_pb2_grpc,
    lease_pb2,
    leases_pb2,
    node_pb2,
    node_pb2_grpc,
    process_pb2,
    processes_pb2,
    processes_pb2_grpc,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.events import AllocateRequested, ReleaseRequested
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.request import Request
from gpusched.core.sample import Unavailable
from tests.fakes.builders import ADA, context, facts, process, reading
from tests.integration.serving_rpc import (
    GIB,
    ME,
    TWO_A100_AND_L4,
    Public,
    public,
    rejection_in,
)

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind


@pytest.fixture
async def face(socket_folder: Path) -> AsyncIterator[Public]:
    async with public(socket_folder) as made:
        yield made


@pytest.fixture
async def admin_face(socket_folder: Path) -> AsyncIterator[Public]:
    async with public(socket_folder, lambda _uid, _gid: True) as made:
        yield made


async def refusal(call: Awaitable[object], code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """The error that *call* ends with, which has to have that code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code
    details = caught.value.details() or ""
    assert details
    assert "\n" not in details
    return caught.value


def another_holds(face: Public, *, count: int = 1, uid: int = 4242) -> LeaseId:
    """Let another user have devices."""
    caller = replace(ADA, uid=uid, user="other")
    lease_id = LeaseId(f"lease-of{uid:08}")
    wish = Request(RequestId("theirs"), count=count)
    face.authority.decide(AllocateRequested(caller, wish, lease_id))
    return lease_id


async def test_grant(face: Public) -> None:
    """A grant names the devices in every way and carries the environment."""
    grant = await face.leases.Allocate(Wish(count=2, labels={"team": "vision"}))
    assert grant.lease.state == lease_pb2.LEASE_STATE_RESERVED
    assert grant.lease.holder.uid == ME
    assert grant.lease.request.labels["team"] == "vision"
    assert [one.relative_index for one in grant.devices] == [0, 1]
    assert [one.uuid for one in grant.devices] == [one.uuid for one in grant.lease.devices]
    assert grant.environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert grant.environment["GPUSCHED_LEASE"] == grant.lease.id
    assert grant.environment["GPUSCHED_SIMULATOR"] == "/tmp/simulator"
    assert grant.enforcement.level == lease_pb2.ENFORCEMENT_LEVEL_ADVISORY
    assert grant.mask_format == request_pb2.MASK_FORMAT_INDEX
    assert grant.node == "testhost"


async def test_same_request(face: Public) -> None:
    """The same request_id gets the same lease again."""
    first = await face.leases.Allocate(Wish(request_id="mine"))
    again = await face.leases.Allocate(Wish(request_id="mine"))
    assert first.lease.id == again.lease.id
    assert face.authority.ledger.live_count() == 1


async def test_allocate_stream(face: Public) -> None:
    """Without a queue the stream of an allocation is its grant."""
    updates = [one async for one in face.leases.AllocateStream(Wish())]
    assert [one.WhichOneof("update") for one in updates] == ["grant"]


async def test_bad_request(face: Public) -> None:
    """A malformed request is INVALID_ARGUMENT and names the field."""
    error = await refusal(face.leases.Allocate(Wish(count=5000)), grpc.StatusCode.INVALID_ARGUMENT)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_BAD_REQUEST
    assert rejection.field == "count"
    assert rejection.sentence == error.details()


async def test_unknown_type(face: Public) -> None:
    """An unknown type of GPU is answered with the types of this host."""
    wish = Wish(gpu_types=["nvidia-k9"])
    error = await refusal(face.leases.Allocate(wish), grpc.StatusCode.INVALID_ARGUMENT)
    rejection = rejection_in(error)
    assert rejection.field == "gpu_types"
    assert rejection.allowed_values == ["nvidia-a100-80gb", "nvidia-l4"]


async def test_later(face: Public) -> None:
    """What could fit later is RESOURCE_EXHAUSTED and says who holds the devices."""
    theirs = another_holds(face, count=3)
    error = await refusal(face.leases.Allocate(Wish()), grpc.StatusCode.RESOURCE_EXHAUSTED)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_LATER
    assert [one.lease_id for one in rejection.holders] == [theirs]
    assert rejection.holders[0].user == "other"
    assert len(rejection.verdicts) == 3
    assert rejection.verdicts[0].reason == rejection_pb2.VERDICT_REASON_HELD
    assert theirs in rejection.waits_for
    assert rejection.hint_command == "gpusched explain --gpus 1"


async def test_never_here(face: Public) -> None:
    """What never fits is FAILED_PRECONDITION and comes with the nearest that would."""
    wish = Wish(count=5)
    error = await refusal(face.leases.Allocate(wish), grpc.StatusCode.FAILED_PRECONDITION)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_NEVER_HERE
    assert rejection.nearest.count == 3
    assert rejection.nearest_command == "gpusched run --gpus 3 -- CMD"


async def test_not_yet(face: Public) -> None:
    """A field that is not there yet is UNIMPLEMENTED by its name, and nothing is granted."""
    error = await refusal(
        face.leases.Allocate(Wish(wait_without_limit=True)), grpc.StatusCode.UNIMPLEMENTED
    )
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_YET
    assert "wait_without_limit" in (error.details() or "")
    assert face.authority.ledger.live_count() == 0


async def test_not_yet_method(face: Public) -> None:
    """A method that is not there yet is UNIMPLEMENTED and says what can be done now."""
    call = face.leases.Revoke(leases_pb2.RevokeRequest(lease_id="x", reason="y"))
    error = await refusal(call, grpc.StatusCode.UNIMPLEMENTED)
    assert "until then" in (error.details() or "")


async def test_not_allowed(face: Public) -> None:
    """Nobody releases the lease of somebody else."""
    theirs = another_holds(face)
    call = face.leases.Release(leases_pb2.ReleaseRequest(lease_id=theirs))
    error = await refusal(call, grpc.StatusCode.PERMISSION_DENIED)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_ALLOWED


async def test_not_found(face: Public) -> None:
    """A lease that never was is NOT_FOUND."""
    call = face.leases.Get(leases_pb2.GetLeaseRequest(lease_id="lease-none"))
    error = await refusal(call, grpc.StatusCode.NOT_FOUND)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_FOUND


async def test_wrong_state(face: Public) -> None:
    """A lease in use is not released: FAILED_PRECONDITION names its processes."""
    grant = await face.leases.Allocate(Wish(attach_caller=True))
    lease_id = LeaseId(grant.lease.id)
    face.scene.members = {lease_id: frozenset({process(77)})}
    call = face.leases.Release(leases_pb2.ReleaseRequest(lease_id=lease_id))
    error = await refusal(call, grpc.StatusCode.FAILED_PRECONDITION)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_WRONG_STATE
    assert "77" in (error.details() or "")


async def test_release_looks_first(face: Public) -> None:
    """Before a lease in use is released, it is looked at who is alive now."""
    grant = await face.leases.Allocate(Wish(attach_caller=True))
    assert grant.attachment.mode == lease_pb2.ATTACH_MODE_RECORDED
    assert [one.pid for one in grant.attachment.processes] == [os.getpid()]
    face.scene.members = {LeaseId(grant.lease.id): frozenset()}
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    assert face.authority.refreshed == 1


async def test_release(face: Public) -> None:
    """A released lease has ended; releasing it again succeeds."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.ReleaseRequest(lease_id=grant.lease.id[:-1])
    for _ in range(2):
        reply = await face.leases.Release(request)
        assert reply.leases[0].state == lease_pb2.LEASE_STATE_ENDED
        assert reply.leases[0].end_reason == lease_pb2.END_REASON_RELEASED
    assert face.authority.refreshed == 0


async def test_release_by_owner(face: Public) -> None:
    """All leases of an owner are released at once; none is no error."""
    for _ in range(2):
        await face.leases.Allocate(Wish(owner={"reference": "ray:1"}))
    request = leases_pb2.ReleaseRequest(owner_reference="ray:1")
    assert len((await face.leases.Release(request)).leases) == 2
    assert len((await face.leases.Release(request)).leases) == 0
    assert isinstance(face.authority.events[-1], ReleaseRequested)


async def test_ambiguous_prefix(face: Public) -> None:
    """A prefix that several leases begin with is INVALID_ARGUMENT and names them."""
    names = [(await face.leases.Allocate(Wish())).lease.id for _ in range(2)]
    call = face.leases.Renew(leases_pb2.RenewRequest(lease_id="lease-"))
    error = await refusal(call, grpc.StatusCode.INVALID_ARGUMENT)
    assert all(one in (error.details() or "") for one in names)


async def test_renew_and_cancel(face: Public) -> None:
    """A lease is renewed by its owner's word, and a request nobody used is withdrawn."""
    wish = Wish(request_id="mine", owner={"reference": "k8s:1"}, keepalive={"seconds": 60})
    grant = await face.leases.Allocate(wish)
    face.clock.advance(10**9)
    renewed = await face.leases.Renew(leases_pb2.RenewRequest(owner_reference="k8s:1"))
    before, after = grant.lease.keepalive_deadline, renewed.keepalive_deadline
    assert after.ToNanoseconds() - before.ToNanoseconds() >= 10**9
    reply = await face.leases.Cancel(leases_pb2.CancelRequest(request_id="mine"))
    assert reply.lease.end_reason == lease_pb2.END_REASON_CANCELLED


async def test_cancel_of_another(face: Public) -> None:
    """Only an administrator cancels requests of another user."""
    another_holds(face)
    call = face.leases.Cancel(leases_pb2.CancelRequest(request_id="theirs", holder_uid=4242))
    await refusal(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_cancel_as_admin(admin_face: Public) -> None:
    """An administrator cancels a request for its holder."""
    theirs = another_holds(admin_face)
    request = leases_pb2.CancelRequest(request_id="theirs", holder_uid=4242)
    assert (await admin_face.leases.Cancel(request)).lease.id == theirs


async def test_attach_process(face: Public) -> None:
    """A process is attached by its pid, and again without change."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.AttachRequest(lease_id=grant.lease.id, process={"pid": os.getpid()})
    for warnings in (0, 1):
        reply = await face.leases.Attach(request)
        assert reply.lease.state == lease_pb2.LEASE_STATE_ACTIVE
        assert [one.pid for one in reply.attachment.processes] == [os.getpid()]
        assert len(reply.warnings) == warnings


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"process": {"pid": 0}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"process": {"pid": (1 << 31) - 1}}, grpc.StatusCode.NOT_FOUND),
        ({"process": {"pid": 1, "start_ticks": 12345678}}, grpc.StatusCode.NOT_FOUND),
        ({"unit": "foo.service"}, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_attach_refused(face: Public, target: dict[str, str], code: grpc.StatusCode) -> None:
    """What cannot be attached is refused by its kind."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.AttachRequest(lease_id=grant.lease.id, **target)  # type: ignore[arg-type]  # keywords of a oneof
    await refusal(face.leases.Attach(request), code)


async def test_attach_caller(face: Public) -> None:
    """The caller attaches itself as the kernel names it."""
    grant = await face.leases.Allocate(Wish())
    reply = await face.leases.Attach(
        leases_pb2.AttachRequest(lease_id=grant.lease.id, caller=True)
    )
    assert reply.lease.processes[0].pid == os.getpid()


async def test_list_filters(face: Public) -> None:
    """A list keeps what all filters keep; ended leases are listed instead of living ones."""
    theirs = another_holds(face)
    mine = (await face.leases.Allocate(Wish(labels={"a": "b"}))).lease
    request = leases_pb2.ListLeasesRequest
    listed = await face.leases.List(request())
    assert [one.id for one in listed.leases] == [theirs, mine.id]
    assert not listed.leases[0].HasField("request")
    for filters in (request(mine=True), request(labels={"a": "b"}), request(device="1")):
        assert [one.id for one in (await face.leases.List(filters)).leases] == [mine.id]
    assert len((await face.leases.List(request(limit=1))).leases) == 1
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=mine.id))
    ended = await face.leases.List(request(ended=True))
    assert [one.id for one in ended.leases] == [mine.id]


async def test_story(face: Public) -> None:
    """The history of a lease comes with it where it is asked for."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.GetLeaseRequest(lease_id=grant.lease.id, include_story=True)
    assert [one.kind for one in (await face.leases.Get(request)).story] == ["granted"]


async def test_durable_before_told(face: Public) -> None:
    """Nothing is told before it is durable."""
    before = face.authority.waited
    await face.leases.List(leases_pb2.ListLeasesRequest())
    assert face.authority.waited == before + 1


async def test_watch(face: Public) -> None:
    """A watch gives the list at once and again after a change; that of one lease ends with it."""
    grant = await face.leases.Allocate(Wish())
    every = face.leases.Watch(leases_pb2.WatchLeasesRequest())
    one = face.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id=grant.lease.id))
    assert len((await anext(aiter(every))).leases) == 1
    states = [(await anext(aiter(one))).leases[0].state]
    another_holds(face)
    assert len((await anext(aiter(every))).leases) == 2
    every.cancel()
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    async with asyncio.timeout(10):
        states += [listed.leases[0].state async for listed in one]
    assert states == [lease_pb2.LEASE_STATE_RESERVED, lease_pb2.LEASE_STATE_ENDED]


async def test_explain(face: Public) -> None:
    """A dry run says what would be granted or why not, and grants nothing."""
    reply = await face.leases.Explain(leases_pb2.ExplainRequest(request=Wish(count=2)))
    assert len(reply.device_uuids) == 2
    assert not reply.HasField("rejection")
    reply = await face.leases.Explain(leases_pb2.ExplainRequest(request=Wish(count=9)))
    assert reply.rejection.kind == Kind.REJECTION_KIND_NEVER_HERE
    assert reply.sentence == reply.rejection.sentence
    assert face.authority.ledger.live_count() == 0


async def test_explain_things(face: Public) -> None:
    """A lease, its request and a device are explained by name."""
    theirs = another_holds(face)
    mine = await face.leases.Allocate(Wish(request_id="mine"))
    request = leases_pb2.ExplainRequest
    assert "other" in (await face.leases.Explain(request(lease_id=theirs))).sentence
    by_key = await face.leases.Explain(request(request_id="mine"))
    assert mine.lease.id in by_key.sentence
    assert [one.kind for one in by_key.story] == ["granted"]
    by_device = await face.leases.Explain(request(device="0"))
    assert theirs in by_device.sentence
    assert by_device.verdicts[0].lease_id == theirs
    await refusal(face.leases.Explain(request()), grpc.StatusCode.INVALID_ARGUMENT)
    await refusal(face.leases.Explain(request(request_id="x")), grpc.StatusCode.NOT_FOUND)
    await refusal(face.leases.Explain(request(device="9")), grpc.StatusCode.NOT_FOUND)


async def test_environment(face: Public) -> None:
    """The grant of a living lease is given again, in another format; never another's."""
    theirs = another_holds(face)
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.EnvironmentRequest(
        lease_id=grant.lease.id, mask_format=request_pb2.MASK_FORMAT_UUID
    )
    again = await face.leases.Environment(request)
    assert again.environment["CUDA_VISIBLE_DEVICES"] == grant.devices[0].uuid
    other = face.leases.Environment(leases_pb2.EnvironmentRequest(lease_id=theirs))
    await refusal(other, grpc.StatusCode.PERMISSION_DENIED)
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    await refusal(face.leases.Environment(request), grpc.StatusCode.FAILED_PRECONDITION)


async def test_devices(face: Public) -> None:
    """The list of devices says what is promised, what is used, and what could be granted."""
    await face.leases.Allocate(Wish(memory_bytes=4 * GIB, device_uuids=["0"]))
    stub = devices_pb2_grpc.DevicesStub(face.channel)
    listed = await stub.List(devices_pb2.ListDevicesRequest())
    first = listed.devices[0]
    assert first.allocated_bytes == 4 * GIB
    assert first.grantable.value == 76 * GIB
    assert not first.leased_exclusively
    assert listed.devices[2].gpu_type == "nvidia-l4"
    watching = stub.Watch(devices_pb2.WatchDevicesRequest())
    assert len((await anext(aiter(watching))).devices) == 3
    another_holds(face)
    assert (await anext(aiter(watching))).devices[1].leased_exclusively
    watching.cancel()


async def test_types(face: Public) -> None:
    """The host is offered as a table of instance types."""
    stub = devices_pb2_grpc.DevicesStub(face.channel)
    another_holds(face)
    rows = {one.name: one for one in (await stub.ListTypes(devices_pb2.ListTypesRequest())).types}
    assert list(rows) == [
        "cpu.1", "cpu.2", "cpu.4", "cpu.8", "gpu.a100-80gb.1", "gpu.a100-80gb.2", "gpu.l4.1",
    ]  # fmt: skip
    assert rows["cpu.2"].price == "0.02"
    assert rows["gpu.a100-80gb.1"].free_count == 1
    assert rows["gpu.a100-80gb.2"].free_count == 0
    assert rows["gpu.a100-80gb.2"].cpu_millicores == 5333


async def test_processes(face: Public) -> None:
    """Processes are sorted by GPU and pid; another user's command line is not shown."""
    first, second, _ = TWO_A100_AND_L4
    face.scene.readings = (
        reading(first, context(31, GIB), context(30, 2 * GIB)),
        replace(reading(second), contexts=Unavailable("no permission")),
    )
    face.scene.known = (facts(30, ME), facts(31, 4242))
    face.authority.tick()
    stub = processes_pb2_grpc.ProcessesStub(face.channel)
    listed = await stub.List(processes_pb2.ListProcessesRequest())
    assert [one.process.pid for one in listed.processes] == [30, 31]
    assert listed.processes[0].command.value == "python"
    assert listed.processes[1].command.unavailable == "belongs to another user"
    assert listed.processes[1].kind == process_pb2.PROCESS_KIND_STRAY
    assert [one.gpu_index for one in listed.unreadable] == [1, 2]
    only = processes_pb2.ListProcessesRequest(kind=process_pb2.PROCESS_KIND_LEASE, device="0")
    assert not (await stub.List(only)).processes


async def test_status(face: Public) -> None:
    """One call gives everything a status screen shows."""
    another_holds(face)
    stub = node_pb2_grpc.NodeStub(face.channel)
    status = await stub.Status(node_pb2.StatusRequest())
    assert status.node == "testhost"
    assert status.driver.state == node_pb2.DRIVER_STATE_ANSWERING
    assert status.counts.devices == 3
    assert status.counts.free_devices == 2
    assert status.counts.leases == 1
    assert status.leases[0].holder.user == "other"
    assert any("advisory" in one for one in status.warnings)
    face.clock.advance(60 * 10**9)
    status = await stub.Status(node_pb2.StatusRequest())
    assert status.sample_stale
    assert any("60 s old" in one for one in status.warnings)
    assert await stub.Ping(node_pb2.PingRequest()) == node_pb2.PingReply()


async def test_events(face: Public) -> None:
    """The history shows what is the caller's own, and a watch goes on from there."""
    another_holds(face)
    mine = (await face.leases.Allocate(Wish())).lease.id
    stub = events_pb2_grpc.EventsStub(face.channel)
    listed = await stub.List(events_pb2.ListEventsRequest())
    assert [one.id for one in listed.events] == [mine]
    watching = stub.Watch(events_pb2.WatchEventsRequest(after_sequence=listed.last_sequence))
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=mine))
    event = await anext(aiter(watching))
    assert (event.kind, event.entity) == ("ended", event_pb2.EVENT_ENTITY_LEASE)
    watching.cancel()
    later = events_pb2.ListEventsRequest(after_sequence=listed.last_sequence, limit=5)
    assert [one.kind for one in (await stub.List(later)).events] == ["ended"]
    await refusal(
        stub.List(events_pb2.ListEventsRequest(limit=10_001)), grpc.StatusCode.INVALID_ARGUMENT
    )


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
    face.authority.fault = ZeroDivisionError("secret")
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


async def test_reflection(face: Public) -> None:
    """The reflection service lists every service."""
    stub = reflection_pb2_grpc.ServerReflectionStub(face.channel)  # type: ignore[no-untyped-call]  # no stub has types
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    reply = await call.read()
    await call.done_writing()
    names = {one.name for one in reply.list_services_response.service}
    assert {f"gpusched.v1.{one}" for one in ("Leases", "Devices", "Node")} < names


async def test_health(face: Public) -> None:
    """The health service says that every service is served."""
    stub = health_pb2_grpc.HealthStub(face.channel)
    for name in ("", "gpusched.v1.Leases"):
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_unknown_peer(face: Public, socket_folder: Path) -> None:
    """Whoever does not come through the front is refused, health and reflection included."""
    private = socket_folder / ".gpusched.sock" / "grpc.sock"
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"unix:{private}", options=options) as channel:
        node = node_pb2_grpc.NodeStub(channel)
        await refusal(node.Ping(node_pb2.PingRequest()), grpc.StatusCode.UNAUTHENTICATED)
        health = health_pb2_grpc.HealthStub(channel)
        call = health.Check(health_pb2.HealthCheckRequest())
        await refusal(call, grpc.StatusCode.UNAUTHENTICATED)
        watch = devices_pb2_grpc.DevicesStub(channel).Watch(devices_pb2.WatchDevicesRequest())
        await refusal(anext(aiter(watch)), grpc.StatusCode.UNAUTHENTICATED)
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]  # no stub has types
        asked = stub.ServerReflectionInfo()
        await refusal(asked.read(), grpc.StatusCode.UNAUTHENTICATED)
