"""Devices, types, processes, status and events over gRPC."""

from dataclasses import replace

import grpc

from gpusched.api.v1 import (
    devices_pb2,
    devices_pb2_grpc,
    event_pb2,
    events_pb2,
    events_pb2_grpc,
    leases_pb2,
    node_pb2,
    node_pb2_grpc,
    process_pb2,
    processes_pb2,
    processes_pb2_grpc,
    request_pb2,
)
from gpusched.core.sample import Unavailable
from tests.fakes.builders import context, facts, reading
from tests.integration.serving_rpc import (
    GIB,
    ME,
    TWO_A100_AND_L4,
    Public,
    another_holds,
    refusal,
)

Wish = request_pb2.AllocateRequest


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


async def test_event_filters(face: Public) -> None:
    """The history is filtered by kind of thing, id, kind and time."""
    grants = [(await face.leases.Allocate(Wish())).lease.id for _ in range(2)]
    stub = events_pb2_grpc.EventsStub(face.channel)

    async def listed(wanted: events_pb2.EventFilter, since: int | None = None) -> list[str]:
        request = events_pb2.ListEventsRequest(filter=wanted)
        if since is not None:
            request.since.FromNanoseconds(since)
        return [one.id for one in (await stub.List(request)).events]

    made = events_pb2.EventFilter
    assert await listed(made(id=grants[0])) == grants[:1]
    assert await listed(made(kinds=["granted"])) == grants
    assert await listed(made(kinds=["ended"])) == []
    assert await listed(made(entity=event_pb2.EVENT_ENTITY_DEVICE)) == []
    assert await listed(made(), face.clock.now().wall + 1) == []
    bad = events_pb2.ListEventsRequest(filter=made(entity=17))  # type: ignore[arg-type]  # a client may send any number
    await refusal(stub.List(bad), grpc.StatusCode.INVALID_ARGUMENT)


async def test_status_without_processes(face: Public) -> None:
    """Who does not want the process table is spared it."""
    face.scene.readings = (reading(TWO_A100_AND_L4[0], context(30, GIB)),)
    face.authority.tick()
    stub = node_pb2_grpc.NodeStub(face.channel)
    assert (await stub.Status(node_pb2.StatusRequest())).processes
    spare = await stub.Status(node_pb2.StatusRequest(without_processes=True))
    assert not spare.processes
    assert not spare.unreadable


async def test_bad_process_filters(face: Public) -> None:
    """A filter that means nothing is refused."""
    stub = processes_pb2_grpc.ProcessesStub(face.channel)
    request = processes_pb2.ListProcessesRequest
    bad = request(kind=17)  # type: ignore[arg-type]  # a client may send any number
    await refusal(stub.List(bad), grpc.StatusCode.INVALID_ARGUMENT)
    await refusal(stub.List(request(device="9")), grpc.StatusCode.NOT_FOUND)
    await refusal(stub.List(request(lease_id="none")), grpc.StatusCode.NOT_FOUND)
