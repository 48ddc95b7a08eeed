"""Marks and health on the wire, and how old a reading is that is not renewed."""

from dataclasses import replace

import pytest
from google.protobuf.duration_pb2 import Duration

from gpusched.api.v1 import device_pb2, node_pb2, rejection_pb2
from gpusched.core.changes import DriverReleased
from gpusched.core.errors import InvalidRequest
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND, DeviceUuid
from gpusched.core.operator_events import CordonRequested, DrainRequested
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample, Unavailable
from gpusched.rpc.convert_device import device_of
from gpusched.rpc.convert_marks import absent_device
from gpusched.rpc.convert_node import (
    device_warnings,
    driver_of,
    sample_age,
    sample_stale,
    sampled_at,
)
from gpusched.rpc.convert_rejection import verdict_of
from gpusched.rpc.convert_request import MAX_SECONDS, time_until
from gpusched.rpc.host import Host as HostFacts
from gpusched.rpc.judging import whole_verdicts
from tests.fakes.builders import ROOT, UNREADABLE, A, device, mig, reading
from tests.fakes.marked_host import MarkedHost, lost, xid

GPU = device(0)
FACTS = HostFacts("n", "1", "/s", "b", 1, cores=1, memory=1)
PATIENT = Policy(max_tick_gap=10_000 * SECOND)
ABSENT = DeviceUuid("GPU-absent")


def _shown(host: MarkedHost, uuid: DeviceUuid = GPU.uuid) -> device_pb2.Device:
    return device_of(uuid, host.ledger, host.now.instant)


def test_a_taint() -> None:
    """What it is for, what it does, why, since when, until when and what helps is told."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48), xid(GPU, 63))
    message = _shown(host)
    assert message.health == device_pb2.HEALTH_UNHEALTHY
    assert message.health_reason == "XID 48: double-bit ECC error; XID 63"
    hard, soft = message.taints
    assert (hard.key, hard.effect) == ("xid-48", device_pb2.TAINT_EFFECT_NO_SCHEDULE)
    assert (hard.recovery_action, hard.HasField("clears_at")) == ("reset the GPU", False)
    assert soft.clears_at.ToNanoseconds() == host.now.wall + 600 * SECOND
    assert soft.at.ToNanoseconds() == host.now.wall
    assert not message.schedulable
    verdict = verdict_of(whole_verdicts(host.ledger, host.now.instant)[GPU.uuid], host.ledger)
    assert verdict.reason == rejection_pb2.VERDICT_REASON_TAINTED
    assert verdict.since.ToNanoseconds() == host.now.wall


def test_health_goes_from_bad_to_worse() -> None:
    """A device that is not read is unread, and one that is lost is lost, whatever its taints."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48))
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    assert _shown(host).health == device_pb2.HEALTH_UNREAD
    host.look(gone=[lost(GPU)])
    assert (_shown(host).health, len(_shown(host).taints)) == (device_pb2.HEALTH_LOST, 2)
    assert _shown(host).unmonitored


def test_a_cordon() -> None:
    """Who, why, since when; draining until no lease is left, and drained then."""
    host = MarkedHost(GPU, policy=PATIENT)
    host.grant(Request(A))
    host.do(CordonRequested(ROOT, GPU.uuid, "fan is loud"))
    cordon = _shown(host).cordon
    assert (cordon.reason, cordon.uid, cordon.user) == ("fan is loud", 0, "user0")
    assert (cordon.drained, cordon.HasField("drain_deadline")) == (False, False)
    host.do(DrainRequested(ROOT, GPU.uuid, "fan is loud", time=5 * SECOND))
    cordon = _shown(host).cordon
    assert cordon.drain_deadline.ToNanoseconds() == host.now.wall + 5 * SECOND
    host.later(5)
    host.look()
    assert _shown(host).cordon.drained
    assert _shown(host).grantable.value == 0


def test_an_instance_shows_the_marks_of_its_gpu() -> None:
    """What keeps leases off an instance is shown at the instance."""
    gpu = replace(GPU, mig_enabled=True)
    instance = mig(gpu)
    host = MarkedHost(gpu, instance)
    host.look(xid(gpu, 48))
    host.do(CordonRequested(ROOT, gpu.uuid, "fan is loud"))
    message = _shown(host, instance.uuid)
    assert message.cordon.reason == "fan is loud"
    assert message.health == device_pb2.HEALTH_UNHEALTHY


def test_a_device_that_is_only_remembered() -> None:
    """A mark on what has not been seen since the start is shown, and warned of."""
    host = MarkedHost(GPU)
    host.do(CordonRequested(ROOT, ABSENT, "slot 3"))
    message = absent_device(ABSENT, host.ledger)
    assert (message.uuid, message.health) == (ABSENT, device_pb2.HEALTH_LOST)
    assert message.cordon.reason == "slot 3"
    assert list(device_warnings(host.ledger, host.now.instant, FACTS)) == [
        "GPU-absent is marked, and has not been seen since the daemon started.",
    ]


def test_a_device_says_whether_it_reports_faults() -> None:
    """Where NVML reports none, faults are found by polling only."""
    host = MarkedHost(GPU)
    assert not _shown(host).unmonitored
    host.tick(replace(reading(GPU), unmonitored="Not Supported"))
    assert _shown(host).unmonitored


def test_the_age_of_a_reading_is_that_of_the_last_one() -> None:
    """Samples in vain make nothing younger; one reads again, and the age is its own."""
    host = MarkedHost(GPU)
    began = host.now.wall
    for _ in range(4):
        host.later(5)
        host.do(Ticked(NodeSample(host.now.instant, Unavailable("NVML did not answer"))))
    now = host.now
    age, at = sample_age(host.ledger, now.instant), sampled_at(host.ledger, now)
    assert age is not None
    assert at is not None
    assert (age.seconds, at.ToNanoseconds()) == (20, began)
    assert sample_stale(host.ledger, now.instant)
    assert list(device_warnings(host.ledger, now.instant, FACTS)) == [
        "No devices are read: NVML did not answer.",
        "The last reading is 20 s old: nothing is granted by it.",
    ]
    host.look()
    age = sample_age(host.ledger, now.instant)
    assert age is not None
    assert age.seconds == 0


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("the driver has been let go", "takes it up again"),
        ("process 7 hangs in the driver", "takes it up again; but process 7 hangs in the driver"),
    ],
)
def test_a_driver_that_is_let_go(reason: str, ends: str) -> None:
    """The state and the operator's reason are told, and what of it is left all the same."""
    host = MarkedHost(GPU)
    host.apply([DriverReleased("upgrade")])
    assert driver_of(host.ledger).state == node_pb2.DRIVER_STATE_ANSWERING
    host.do(Ticked(NodeSample(host.now.instant, Unavailable(reason))))
    status = driver_of(host.ledger)
    assert status.state == node_pb2.DRIVER_STATE_RELEASED
    assert status.sentence.startswith("the driver has been let go: upgrade; ")
    assert status.sentence.endswith(ends)
    assert _shown(host).grantable.unavailable


def test_a_deadline_is_not_in_the_past() -> None:
    """A time until the deadline may be nothing, but not less."""
    assert time_until(Duration(), "deadline") == 0
    assert time_until(Duration(seconds=2, nanos=5), "deadline") == 2 * SECOND + 5
    with pytest.raises(InvalidRequest):
        time_until(Duration(seconds=-1), "deadline")


def test_a_deadline_has_a_date() -> None:
    """A drain whose deadline no calendar has is refused: it could be shown to nobody."""
    assert time_until(Duration(seconds=MAX_SECONDS), "deadline") == MAX_SECONDS * SECOND
    with pytest.raises(InvalidRequest) as caught:
        time_until(Duration(seconds=3_000_000 * 86_400), "deadline")
    assert str(caught.value) == "deadline: is not a duration of at most 100 years"
