"""The host on the wire: its driver, its counts, its warnings; and the history."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import event_pb2, node_pb2
from gpusched.core.changes import StoryKind, StoryLine
from gpusched.core.ids import SECOND
from gpusched.core.request import Request
from gpusched.core.sample import (
    DriverVersions,
    LostDevice,
    NodeReading,
    NodeSample,
    Reading,
    Unavailable,
)
from gpusched.rpc.call import Call, Users
from gpusched.rpc.convert_device import devices_of
from gpusched.rpc.convert_event import event_of, visible
from gpusched.rpc.convert_node import (
    counts_of,
    driver_of,
    sample_age,
    sample_stale,
    sampled_at,
    simulated,
    warnings_of,
)
from gpusched.rpc.convert_process import rows_of
from gpusched.rpc.host import Host as HostFacts
from tests.fakes.builders import ADA, BOB, ROOT, A, context, device, facts, reading
from tests.fakes.host import Host

HOST = HostFacts("n", "1", "/s", "b", 1, cores=1, memory=1)


def sampled(host: Host, read: Reading[NodeReading]) -> Host:
    """The host after a sample of which only NVML's part matters."""
    host.ledger.sample = NodeSample(host.now.instant, read)
    return host


def node_reading(versions: DriverVersions, *, simulated_: bool = False) -> NodeReading:
    return NodeReading(Host().now.instant, Host().now.instant, versions, (), (), simulated_)


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("libnvidia-ml.so.1 was not found or cannot be loaded", node_pb2.DRIVER_STATE_MISSING),
        ("the NVIDIA kernel driver is not loaded", node_pb2.DRIVER_STATE_MISSING),
        (
            "libnvidia-ml.so.1 and the loaded kernel driver have different versions",
            node_pb2.DRIVER_STATE_MISMATCH,
        ),
        ("NVML did not answer for 5.0 s", node_pb2.DRIVER_STATE_NOT_ANSWERING),
    ],
)
def test_driver_does_not_answer(reason: str, state: node_pb2.DriverState.ValueType) -> None:
    """What is the matter with the driver is told as a state and as a sentence."""
    status = driver_of(sampled(Host(), Unavailable(reason)).ledger)
    assert (status.state, status.sentence) == (state, reason)
    assert status.driver_version.unavailable == reason


def test_driver_not_asked() -> None:
    """Before the first sample nothing is known of the driver."""
    assert driver_of(Host().ledger).state == node_pb2.DRIVER_STATE_UNSPECIFIED


def test_driver_answers() -> None:
    """The versions of driver, library and CUDA are told."""
    versions = DriverVersions("570.124.06", "12.570.124.06", 12080)
    status = driver_of(sampled(Host(), node_reading(versions)).ledger)
    assert status.state == node_pb2.DRIVER_STATE_ANSWERING
    assert status.driver_version.value == "570.124.06"
    assert status.cuda_version.value == "12.8"
    status = driver_of(sampled(Host(), node_reading(DriverVersions())).ledger)
    assert status.cuda_version.unavailable


def test_simulated() -> None:
    """A simulator is told as such, first of all, also while it does not answer."""
    host = sampled(Host(), node_reading(DriverVersions(), simulated_=True))
    assert simulated(host.ledger, HOST)
    assert warnings_of(host.ledger, host.now.instant, HOST)[0].startswith("SIMULATED")
    assert not simulated(sampled(Host(), node_reading(DriverVersions())).ledger, HOST)
    assert not simulated(Host().ledger, HOST)
    over, silent = replace(HOST, simulated=True), sampled(Host(), Unavailable("NVML hangs"))
    assert simulated(silent.ledger, over)
    first, second, *_ = warnings_of(silent.ledger, silent.now.instant, over)
    assert first == "SIMULATED: these devices do not exist."
    assert second == "No devices are read: NVML hangs."


def test_sample() -> None:
    """The age of the sample is told, and whether it is too old to go by."""
    host = Host(device(0))
    began = host.now.wall
    host.later(3.5)
    now = host.now
    age, at = sample_age(host.ledger, now.instant), sampled_at(host.ledger, now)
    assert age is not None
    assert at is not None
    assert age.ToNanoseconds() == 3_500_000_000
    assert at.ToNanoseconds() == began
    assert not sample_stale(host.ledger, now.instant)
    host.later(60)
    assert sample_stale(host.ledger, host.now.instant)


def test_no_sample() -> None:
    """Before the first sample there is no age, and nothing is old."""
    host = Host()
    assert sample_age(host.ledger, host.now.instant) is None
    assert sampled_at(host.ledger, host.now) is None
    assert not sample_stale(host.ledger, host.now.instant)


def test_warnings() -> None:
    """Each thing that is missing or wrong is a sentence of its own."""
    host = Host(device(0), device(1))
    host.tick(lost=(LostDevice(0, device(0).uuid, "it fell off the bus"),))
    host.later(60)
    told = warnings_of(host.ledger, host.now.instant, replace(HOST, foreign_pid_namespace=True))
    assert told == [
        "The last reading is 60 s old: nothing is granted by it.",
        f"{device(0).uuid} is lost: it fell off the bus.",
        "Masks are advisory: it has not been found out yet what this host can enforce.",
        "The guard is off: processes without a lease can open every device.",
        "The daemon is outside the host's PID namespace: processes may be missing.",
    ]


def test_no_devices() -> None:
    """Why there are no devices is told: no driver, or nothing there."""
    host = sampled(Host(), Unavailable("the driver is not loaded"))
    told = warnings_of(host.ledger, host.now.instant, HOST)
    assert told[0] == "No devices are read: the driver is not loaded."
    host = sampled(Host(), node_reading(DriverVersions()))
    told = warnings_of(host.ledger, host.now.instant, HOST)
    assert told[0] == "There are no devices: the driver answers and counts none."


def test_counts() -> None:
    """A process on two devices counts once; a troubled device is no free one."""
    first, second, third = device(0), device(1), device(2)
    host = Host(first, second, third)
    host.attach(host.grant(Request(A)), 7)
    host.tick(
        reading(first, context(7), context(8)),
        reading(second, context(8)),
        known=[facts(7), facts(8)],
        lost=(LostDevice(2, third.uuid, "gone"),),
    )
    now = host.now.instant
    rows = rows_of(host.ledger, Call(ADA), Users())
    counts = counts_of(host.ledger, now, devices_of(host.ledger, now), rows)
    assert (counts.devices, counts.free_devices, counts.troubled_devices) == (3, 0, 1)
    assert (counts.leases, counts.lease_processes, counts.strays) == (1, 1, 1)


@pytest.mark.parametrize(
    ("entity", "kind", "told"),
    [
        ("daemon", event_pb2.EVENT_ENTITY_DAEMON, ""),
        ("GPU-1", event_pb2.EVENT_ENTITY_DEVICE, "GPU-1"),
        ("MIG-1", event_pb2.EVENT_ENTITY_DEVICE, "MIG-1"),
        ("lease-1", event_pb2.EVENT_ENTITY_LEASE, "lease-1"),
    ],
)
def test_event(entity: str, kind: event_pb2.EventEntity.ValueType, told: str) -> None:
    """A line of history says what it is about."""
    line = StoryLine(5 * SECOND + 1, StoryKind.ENDED, entity, "ended", {"uid": "1"}, 9)
    event = event_of(line)
    assert (event.sequence, event.kind, event.sentence) == (9, "ended", "ended")
    assert (event.entity, event.id) == (kind, told)
    assert event.at.ToNanoseconds() == 5 * SECOND + 1
    assert event.data == {"uid": "1"}


def test_who_sees_an_event() -> None:
    """What is about another user's lease is not shown, also when the lease is forgotten."""
    host = Host(device(0))
    lease = host.grant(Request(A))
    line = StoryLine(1, StoryKind.GRANTED, lease.id, "granted")
    forgotten = replace(line, entity="lease-old", data={"uid": str(ADA.uid)})
    for one in (line, forgotten):
        assert visible(one, host.ledger, Call(ADA))
        assert visible(one, host.ledger, Call(ROOT))
        assert not visible(one, host.ledger, Call(BOB))
    unknown = replace(line, entity="lease-old")
    assert not visible(unknown, host.ledger, Call(ADA))
    assert visible(replace(line, entity="daemon"), host.ledger, Call(BOB))
