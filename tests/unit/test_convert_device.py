"""Devices on the wire."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import device_pb2
from gpusched.core.changes import GhostChanged
from gpusched.core.device import Device
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice, Memory, NodeSample, Unavailable
from gpusched.core.sizes import GIB
from gpusched.rpc.convert_device import device_of, devices_of
from gpusched.rpc.convert_rejection import verdict_of
from tests.fakes.builders import (
    UNREADABLE,
    A,
    B,
    C,
    context,
    device,
    facts,
    mig,
    reading,
)
from tests.fakes.host import Host

FIRST, SECOND_GPU = device(0), device(1)


def shown(host: Host, uuid: DeviceUuid) -> device_pb2.Device:
    """One device as it is told."""
    return device_of(uuid, host.ledger, host.now.instant)


def gone(uuid: DeviceUuid) -> LostDevice:
    return LostDevice(0, uuid, "GPU is lost")


def test_account() -> None:
    """Used memory is told by whose it is, and what nobody lists is unattributed."""
    host = Host(FIRST)
    lease = host.attach(host.grant(Request(A, memory=8 * GIB)), 7)
    rows = (context(7, 3 * GIB), context(8, 2 * GIB), context(9, GIB), context(10, GIB))
    known = [facts(7), facts(8), facts(9, name="nvidia-persiste")]
    host.tick(reading(FIRST, *rows, used=8 * GIB), known=known)
    message = shown(host, FIRST.uuid)
    account = message.account
    assert account.leases.value == 3 * GIB
    assert account.strays.value == 3 * GIB
    assert account.infrastructure.value == GIB
    assert account.unattributed.value == GIB
    assert account.overlap.value == 0
    assert account.ghost.value == 0
    assert list(message.lease_ids) == [lease.id]


def test_ghost() -> None:
    """Ghost memory is told apart from the unattributed, as far as it is still there."""
    host = Host(FIRST)
    ghost = Ghost(3 * GIB, 0, LeaseId("lease-1"), host.now)
    host.apply([GhostChanged(FIRST.uuid, ghost)])
    host.tick(reading(FIRST, used=4 * GIB))
    account = shown(host, FIRST.uuid).account
    assert (account.ghost.value, account.unattributed.value) == (3 * GIB, GIB)
    host.tick(reading(FIRST, used=2 * GIB))
    account = shown(host, FIRST.uuid).account
    assert (account.ghost.value, account.unattributed.value) == (2 * GIB, 0)
    host.tick(replace(reading(FIRST), contexts=UNREADABLE))
    assert shown(host, FIRST.uuid).account.ghost.unavailable


def test_why_a_settling_device_is_not_free() -> None:
    """A device that a lease has left says what is waited for, not who holds it."""
    host = Host(FIRST)
    lease = host.attach(host.grant(Request(A)), 7)
    assert shown(host, FIRST.uuid).unschedulable_reason.startswith("held by")
    host.release(lease)
    message = shown(host, FIRST.uuid)
    assert message.settling
    assert message.unschedulable_reason == (
        f"settling: the memory of {lease.id} is not confirmed back"
    )


def test_overlap() -> None:
    """Buffers that are counted twice are told as overlap, not as less than nothing."""
    host = Host(FIRST)
    host.tick(reading(FIRST, context(8, 3 * GIB), used=2 * GIB), known=[facts(8)])
    account = shown(host, FIRST.uuid).account
    assert account.unattributed.value == 0
    assert account.overlap.value == GIB


@pytest.mark.parametrize("which", ["processes", "one process", "memory"])
def test_unknown_parts(which: str) -> None:
    """A part of the account that is not known makes the rest unknown, never zero."""
    host = Host(FIRST)
    read = reading(FIRST, context(8, GIB))
    if which == "processes":
        read = replace(read, contexts=UNREADABLE)
    elif which == "one process":
        read = reading(FIRST, context(8, UNREADABLE))
    else:
        read = replace(read, memory=UNREADABLE)
    host.tick(read, known=[facts(8)])
    account = shown(host, FIRST.uuid).account
    assert account.unattributed.unavailable == "no permission"
    assert account.overlap.unavailable == "no permission"
    assert bool(account.strays.unavailable) == (which != "memory")


def test_figures_that_do_not_add_up() -> None:
    """They are told as they were read, and by how much; what the driver does not tell is no 0."""
    host = Host(FIRST)
    host.tick(replace(reading(FIRST), memory=Memory(80 * GIB, GIB, 0, 80 * GIB)))
    memory = shown(host, FIRST.uuid).memory
    assert (memory.free.value, memory.difference_bytes) == (80 * GIB, -GIB)
    host.tick(replace(reading(FIRST), memory=Memory(GIB, 0, 0, GIB, reserved_apart=False)))
    memory = shown(host, FIRST.uuid).memory
    assert memory.driver_reserved.unavailable
    assert not memory.HasField("difference_bytes")


def test_a_shared_memory_is_told_alike() -> None:
    """Compute instances of one GPU instance show one memory and one account."""
    parent = replace(SECOND_GPU, mig_enabled=True)
    left, right = mig(parent, 1, 0), mig(parent, 1, 1)
    host = Host(parent, left, right)
    host.tick(reading(left, context(8, 3 * GIB)), reading(right, used=4 * GIB), known=[facts(8)])
    one, other = shown(host, left.uuid), shown(host, right.uuid)
    assert (one.memory, one.account) == (other.memory, other.account)
    assert one.account.strays.value == 3 * GIB


def test_promises() -> None:
    """What is promised and what could still be granted stand beside what is used."""
    host = Host(FIRST, policy=Policy(withheld=GIB))
    memory = Memory(80 * GIB, GIB, 0, 79 * GIB)
    host.tick(replace(reading(FIRST), memory=memory))
    host.grant(Request(A, memory=8 * GIB))
    message = shown(host, FIRST.uuid)
    assert message.withheld_bytes == GIB
    assert message.allocatable.value == 78 * GIB
    assert message.allocated_bytes == 8 * GIB
    assert message.grantable.value == 70 * GIB
    assert message.memory.driver_reserved.value == GIB
    assert message.schedulable
    assert not message.leased_exclusively


def test_what_is_kept_for_a_request_is_not_grantable() -> None:
    """Nobody gets memory now of a device that is free, and kept for a request that waits."""
    host = Host(FIRST, SECOND_GPU)
    host.grant(Request(A, devices=(FIRST.uuid,)))
    host.queue(Request(B, count=2, wait_without_limit=True))
    message = shown(host, SECOND_GPU.uuid)
    assert message.grantable.value == 0
    assert message.unschedulable_reason.startswith("kept for ")
    wish = Request(C, memory=GIB)
    verdict = host.refusal(wish).verdicts[1]
    assert verdict_of(verdict, host.ledger, wish).available_bytes == 0


def test_exclusive() -> None:
    """Under an exclusive lease everything is promised and nothing can be granted."""
    host = Host(FIRST)
    lease = host.attach(host.grant(Request(A)), 7)
    message = shown(host, FIRST.uuid)
    assert message.leased_exclusively
    assert message.allocated_bytes == 80 * GIB
    assert message.grantable.value == 0
    assert not message.schedulable
    assert lease.id in message.unschedulable_reason
    assert not message.settling
    host.release(lease)
    assert shown(host, FIRST.uuid).settling


def test_exclusive_of_unknown_size() -> None:
    """What is promised of a device whose size is not known is not made up."""
    host = Host(FIRST)
    host.grant(Request(A))
    host.tick(replace(reading(FIRST), memory=UNREADABLE))
    message = shown(host, FIRST.uuid)
    assert message.allocated_bytes == 0
    assert message.allocatable.unavailable == "no permission"


def test_health() -> None:
    """A device is healthy, lost, or not read, and the reason is told."""
    host = Host(FIRST, SECOND_GPU)
    assert shown(host, FIRST.uuid).health == device_pb2.HEALTH_HEALTHY
    assert shown(host, FIRST.uuid).health_reason == ""
    host.tick(lost=(gone(FIRST.uuid),))
    message = shown(host, FIRST.uuid)
    assert message.health == device_pb2.HEALTH_LOST
    assert message.health_reason == "GPU is lost"
    assert not message.HasField("index")
    assert message.grantable.unavailable
    assert message.memory.used.unavailable == "GPU is lost"
    assert message.telemetry.temperature_celsius.unavailable == "GPU is lost"
    listed = devices_of(host.ledger, host.now.instant)
    assert [one.uuid for one in listed] == [SECOND_GPU.uuid, FIRST.uuid]
    host.later(60)
    assert shown(host, SECOND_GPU.uuid).health == device_pb2.HEALTH_UNREAD
    assert shown(host, SECOND_GPU.uuid).health_reason == "the last reading is 60 s old"


def test_unread() -> None:
    """Where nothing could be read, or nothing was yet, the reason is told of every device."""
    host = Host(FIRST)
    unreadable = NodeSample(host.now.instant, Unavailable("NVML hangs"))
    host.ledger.sample, host.ledger.uses = unreadable, {}
    assert shown(host, FIRST.uuid).health_reason == "NVML hangs"
    host.ledger.sample = None
    assert shown(host, FIRST.uuid).health_reason == "not read yet"


def test_not_in_the_sample() -> None:
    """A device that the sample left out is not read."""
    host = Host(FIRST)
    host.ledger.uses = {}
    assert shown(host, FIRST.uuid).health_reason == "not read in the last sample"


def mig_host() -> tuple[Host, Device, Device, Device]:
    """A partitioned GPU with two instances, behind a whole one."""
    parent = replace(SECOND_GPU, mig_enabled=True)
    one, two = mig(parent, 1), mig(parent, 2)
    return Host(FIRST, parent, one, two), parent, one, two


def test_mig() -> None:
    """An instance stands behind its GPU, says where it is, and has no telemetry of its own."""
    host, parent, one, two = mig_host()
    listed = devices_of(host.ledger, host.now.instant)
    assert [each.uuid for each in listed] == [FIRST.uuid, parent.uuid, one.uuid, two.uuid]
    instance = listed[2]
    assert instance.mig.parent_uuid == parent.uuid
    assert instance.mig.parent_index == 1
    assert instance.mig.profile == "4g.40gb"
    assert instance.mig.multiprocessors.unavailable
    assert instance.schedulable
    assert not instance.telemetry.HasField("temperature_celsius")
    assert listed[1].telemetry.mig_mode_current.value
    assert not listed[1].schedulable
    assert listed[1].grantable.value == 0
    assert not listed[0].HasField("mig")


def test_orphaned_instance() -> None:
    """An instance whose GPU is not known stands last."""
    orphan = mig(device(7))
    host = Host(orphan, device(8))
    listed = devices_of(host.ledger, host.now.instant)
    assert [one.uuid for one in listed] == [device(8).uuid, orphan.uuid]


def test_telemetry() -> None:
    """Telemetry is what was read; what is not read is unavailable."""
    host = Host(FIRST)
    read = replace(
        reading(FIRST),
        gpu_utilization=90,
        temperature_celsius=60,
        power_milliwatts=300_000,
        power_limit_milliwatts=UNREADABLE,
        compute_mode=3,
        persistence=True,
    )
    host.tick(read)
    told = shown(host, FIRST.uuid).telemetry
    assert told.gpu_utilization_percent.value == 90
    assert told.temperature_celsius.value == 60
    assert told.power_draw_milliwatts.value == 300_000
    assert told.power_limit_milliwatts.unavailable == "no permission"
    assert told.compute_mode.value == "Exclusive_Process"
    assert told.persistence_mode.value
    assert told.fan_speed_percent.unavailable
    assert not told.HasField("mig_mode_current")
    host.tick(replace(read, compute_mode=9))
    assert shown(host, FIRST.uuid).telemetry.compute_mode.value == "mode 9"
