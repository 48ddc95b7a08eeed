"""Leases and grants on the wire."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import lease_pb2, request_pb2
from gpusched.core.device import DeviceNode
from gpusched.core.enforcement import Level, Mode
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.replies import Attachment
from gpusched.core.request import MaskFormat, Owner, Request
from gpusched.core.sight import Sight
from gpusched.core.sizes import GIB
from gpusched.rpc.call import Call
from gpusched.rpc.convert_enforcement import LEVELS, MODES, SENTENCES
from gpusched.rpc.convert_grant import GrantWriter
from gpusched.rpc.convert_lease import REASONS, STATES, lease_of
from gpusched.rpc.convert_reading import moment_of
from gpusched.rpc.host import Host as HostFacts
from tests.fakes.builders import (
    ADA,
    BOB,
    UNREADABLE,
    A,
    B,
    context,
    device,
    facts,
    labelled,
    lease,
    moment,
    process,
    reading,
    share,
)
from tests.fakes.host import Host

NODE = DeviceNode("/dev/nvidia0", 195, 0)
FACTS = HostFacts(
    node="here",
    version="1",
    socket="/run/gpusched.sock",
    boot_id="b",
    started_at=1,
    cores=8,
    memory=GIB,
    extra_environment={"EXTRA": "1"},
)


def test_every_state() -> None:
    """Every state, end reason, level and mode has its own value on the wire."""
    assert set(STATES) == set(LeaseState)
    assert set(REASONS) == {None, *EndReason}
    assert set(LEVELS) == set(SENTENCES) == set(Level)
    assert set(MODES) == set(Mode)
    assert len(set(STATES.values())) == len(STATES)
    assert len(set(REASONS.values())) == len(REASONS)
    assert len(set(LEVELS.values())) == len(LEVELS)
    assert len(set(MODES.values())) == len(MODES)


@pytest.mark.parametrize("state", LeaseState)
def test_times(state: LeaseState) -> None:
    """A lease tells the times it has come to, and no others."""
    host = Host(device(0))
    one = lease(state, share(device(0)))
    message = lease_of(one, host.ledger, host.now, Call(ADA))
    assert message.state == STATES[state]
    assert message.end_reason == REASONS[one.reason]
    told = {field.name: value for field, value in message.ListFields()}
    for name, at in (("entered", one.entered), ("ending", one.ending), ("ended", one.ended)):
        assert told.get(f"{name}_at") == moment_of(at)
    assert message.devices[0].settling == (state is LeaseState.RELEASING)


def test_deadlines() -> None:
    """Deadlines are told on the wall clock as it is now."""
    host = Host(device(0))
    one = host.grant(Request(A, attach_deadline=9 * SECOND, keepalive=5 * SECOND))
    later = replace(host.now, wall=host.now.wall + 3600 * SECOND)
    message = lease_of(one, host.ledger, later, Call(ADA))
    assert message.attach_deadline.ToNanoseconds() == later.wall + 9 * SECOND
    assert message.keepalive_deadline.ToNanoseconds() == later.wall + 5 * SECOND
    assert not message.HasField("time_limit_deadline")


def test_memory() -> None:
    """What its processes hold, and held at most, is told by device and in all."""
    first, second = device(0), device(1)
    host = Host(first, second)
    one = host.attach(host.grant(Request(A, count=2)), 7)
    host.tick(reading(first, context(7, 4 * GIB)), known=[facts(7)])
    host.tick(reading(first, context(7, 3 * GIB)), known=[facts(7)])
    message = lease_of(one, host.ledger, host.now, Call(ADA))
    assert [each.used_memory.value for each in message.devices] == [3 * GIB, 0]
    assert message.used_memory.value == 3 * GIB
    assert message.peak_memory.value == 4 * GIB
    assert message.devices[0].peak_memory.value == 4 * GIB
    assert message.devices[1].peak_memory.unavailable == "no sample has shown it"


def test_a_peak_is_told_before_it_is_written() -> None:
    """A lease is shown with what the last sample has seen, which its row may not have yet."""
    host = Host(device(0))
    one = host.attach(host.grant(Request(A, memory=12 * GIB)), 7)
    for memory in (4 * GIB, 4 * GIB + 5):
        host.tick(reading(device(0), context(7, memory)), known=[facts(7)])
    row = host.lease(one.id)
    assert row.peak == 4 * GIB
    message = lease_of(row, host.ledger, host.now, Call(ADA))
    assert message.peak_memory.value == message.devices[0].peak_memory.value == 4 * GIB + 5
    assert message.suggestion == ""
    host.release(row)
    host.later(1)
    host.tick()
    over = lease_of(host.lease(one.id), host.ledger, host.now, Call(ADA))
    assert over.suggestion == "--memory 6GiB"


def test_a_lease_that_nobody_entered_held_nothing() -> None:
    """Then the peak is known to be zero; of others it is told as far as their memory is."""
    host = Host(device(0), policy=Policy(others=Sight(memory=False)))
    one = host.grant(Request(A))
    assert lease_of(one, host.ledger, host.now, Call(ADA)).peak_memory.value == 0
    message = lease_of(one, host.ledger, host.now, Call(BOB))
    assert message.peak_memory.unavailable == "belongs to another user"
    assert message.devices[0].peak_memory.unavailable == "belongs to another user"


def test_unreadable_memory() -> None:
    """Where the processes cannot be read, what they hold is unavailable in all sums."""
    first, second = device(0), device(1)
    host = Host(first, second)
    entered = host.attach(host.grant(Request(A)), 7)
    untouched = host.grant(Request(B))
    host.tick(*(replace(reading(one), contexts=UNREADABLE) for one in (first, second)))
    message = lease_of(entered, host.ledger, host.now, Call(ADA))
    assert message.used_memory.unavailable == "no permission"
    assert message.devices[0].used_memory.unavailable == "no permission"
    # Nobody has entered this one: whatever is on the device is not its own.
    message = lease_of(untouched, host.ledger, host.now, Call(ADA))
    assert message.used_memory.value == 0


def test_lost_device() -> None:
    """A device that is gone keeps its UUID and loses its index."""
    host = Host(device(0))
    one = host.attach(host.grant(Request(A)), 7)
    reserved = host.grant(Request(B, count=0))
    host.devices = ()
    host.tick()
    message = lease_of(one, host.ledger, host.now, Call(ADA))
    assert message.devices[0].lost
    assert not message.devices[0].HasField("index")
    assert message.devices[0].gpu_type == "nvidia-a100-80gb"
    assert message.used_memory.unavailable
    assert lease_of(reserved, host.ledger, host.now, Call(ADA)).used_memory.value == 0
    stranger = lease(LeaseState.ACTIVE, share(device(9)))
    message = lease_of(stranger, host.ledger, host.now, Call(ADA))
    assert message.devices[0].lost
    assert message.devices[0].gpu_type == ""
    untouched = lease(LeaseState.RESERVED, share(device(9)))
    message = lease_of(untouched, host.ledger, host.now, Call(ADA))
    assert message.devices[0].used_memory.value == 0


def test_processes() -> None:
    """The processes are those of the last look, and those that came after it."""
    host = Host(device(0))
    one = host.attach(host.grant(Request(A)), 7)
    assert pids(lease_of(one, host.ledger, host.now, Call(ADA))) == [7]
    host.later(1)
    host.tick(members={one.id: frozenset({process(8), process(9)})})
    message = lease_of(one, host.ledger, host.now, Call(ADA))
    assert pids(message) == [8, 9]
    assert message.asker_gone
    host.later(1)
    one = host.attach(one, 10)
    assert pids(lease_of(one, host.ledger, host.now, Call(ADA))) == [7, 8, 9, 10]


def pids(message: lease_pb2.Lease) -> list[int]:
    """The pids of a lease's processes."""
    return [one.pid for one in message.processes]


def test_who_sees_what() -> None:
    """Another user sees that a lease is there, not what was asked for or why."""
    host = Host(device(0))
    request = Request(A, labels=labelled(team="x"), owner=Owner("ray:1"))
    one = host.grant(request)
    own = lease_of(one, host.ledger, host.now, Call(ADA), with_story=True)
    other = lease_of(one, host.ledger, host.now, Call(BOB), with_story=True)
    assert own.labels == {"team": "x"}
    assert own.owner.reference == "ray:1"
    assert own.request.count == 1
    assert [line.kind for line in own.story] == ["granted"]
    assert (other.id, other.holder.uid) == (one.id, ADA.uid)
    assert not other.labels
    assert not other.story
    assert not other.HasField("request")
    assert not other.HasField("owner")


def test_grant() -> None:
    """A grant tells every name of its devices, and both environments."""
    first = replace(device(0), nodes=(NODE,))
    host = Host(first, device(1))
    one = host.grant(Request(A, memory=4 * GIB, count=2))
    writer = GrantWriter(FACTS)
    grant = writer.grant_of(one, host.ledger, host.now, Call(ADA))
    assert grant == writer.grant_of(one, host.ledger, host.now, Call(ADA))
    granted = grant.devices[0]
    assert (granted.uuid, granted.index, granted.minor) == (first.uuid, 0, 0)
    assert granted.nodes[0].path == NODE.path
    assert granted.memory_limit_bytes == 4 * GIB
    assert not granted.exclusive
    assert [each.relative_index for each in grant.devices] == [0, 1]
    assert grant.control_nodes[0].minor == 255
    assert grant.environment["GPUSCHED_MEMORY_LIMIT"] == str(4 * GIB)
    assert grant.environment["EXTRA"] == grant.container_environment["EXTRA"] == "1"
    assert grant.socket == grant.environment["GPUSCHED_SOCKET"] == FACTS.socket
    assert not grant.HasField("attachment")


@pytest.mark.parametrize(
    ("wanted", "outside", "inside"),
    [
        (MaskFormat.AUTO, "1", "0"),
        (MaskFormat.INDEX, "1", "0"),
        (MaskFormat.UUID, device(1).uuid, device(1).uuid),
    ],
)
def test_container_environment(wanted: MaskFormat, outside: str, inside: str) -> None:
    """In a container, which sees only its devices, ordinals begin at 0, whatever was wanted."""
    host = Host(device(0), device(1))
    host.grant(Request(A))
    one = host.grant(Request(B, mask_format=wanted))
    for asked in (None, wanted):
        grant = GrantWriter(FACTS).grant_of(one, host.ledger, host.now, Call(ADA), asked)
        assert grant.environment["CUDA_VISIBLE_DEVICES"] == outside
        assert grant.container_environment["CUDA_VISIBLE_DEVICES"] == inside


def test_other_format() -> None:
    """A grant may be given again in another mask format."""
    host = Host(device(0))
    one = host.grant(Request(A))
    writer = GrantWriter(FACTS)
    grant = writer.grant_of(one, host.ledger, host.now, Call(ADA), MaskFormat.UUID)
    assert grant.mask_format == request_pb2.MASK_FORMAT_UUID
    assert grant.environment["CUDA_VISIBLE_DEVICES"] == device(0).uuid


def test_no_device() -> None:
    """A grant without devices hides all, and needs no node."""
    host = Host(device(0))
    one = host.grant(Request(A, count=0))
    grant = GrantWriter(FACTS).grant_of(one, host.ledger, host.now, Call(ADA))
    assert grant.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert not grant.control_nodes


def test_changed_device() -> None:
    """A device that changed is told as it is now, one that is gone by its UUID."""
    host = Host(device(0))
    one = host.grant(Request(A))
    writer = GrantWriter(FACTS)
    writer.grant_of(one, host.ledger, host.now, Call(ADA))
    host.devices = (replace(device(0), minor=5),)
    host.tick()
    assert writer.grant_of(one, host.ledger, host.now, Call(ADA)).devices[0].minor == 5
    gone = lease(LeaseState.RESERVED, share(device(9)))
    granted = writer.grant_of(gone, host.ledger, host.now, Call(ADA)).devices[0]
    assert (granted.uuid, granted.pci_bus_id) == (device(9).uuid, "")


def test_attached_grant() -> None:
    """A grant that attached the caller names it."""
    host = Host(device(0))
    one = host.attach(host.grant(Request(A)), 7)
    did = Attachment(Mode.RECORD, one.processes)
    grant = GrantWriter(FACTS).grant_of(one, host.ledger, host.now, Call(ADA), attachment=did)
    assert grant.attachment.mode == lease_pb2.ATTACH_MODE_RECORDED
    assert [each.pid for each in grant.attachment.processes] == [7]


def test_no_sample_yet() -> None:
    """Before the first sample a lease has the processes that were attached by name."""
    host = Host()
    one = replace(lease(LeaseState.ACTIVE), id=LeaseId("lease-x"), entered=moment())
    assert pids(lease_of(one, host.ledger, host.now, Call(ADA))) == [50]
