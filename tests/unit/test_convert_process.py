"""The process table on the wire."""

from dataclasses import replace

from gpusched.api.v1 import process_pb2
from gpusched.core.changes import PolicyChanged
from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import ContextKind, LostDevice
from gpusched.core.sight import Sight
from gpusched.core.sizes import GIB
from gpusched.rpc.call import Call, Users
from gpusched.rpc.convert_process import rows_of, unreadable_of
from tests.fakes.builders import (
    ADA,
    BOB,
    ROOT,
    UNREADABLE,
    A,
    context,
    device,
    facts,
    mig,
    reading,
)
from tests.fakes.host import Host

FIRST, SECOND_GPU = device(0), device(1)


def gone(uuid: DeviceUuid) -> LostDevice:
    return LostDevice(0, uuid, "GPU is lost")


def mig_host() -> tuple[Host, Device, Device, Device]:
    """A partitioned GPU with two instances, behind a whole one."""
    parent = replace(SECOND_GPU, mig_enabled=True)
    one, two = mig(parent, 1), mig(parent, 2)
    return Host(FIRST, parent, one, two), parent, one, two


def test_process_rows() -> None:
    """Processes have nvidia-smi's columns, in its order: GPU, instance, pid."""
    host, parent, one, _ = mig_host()
    lease = host.attach(host.grant(Request(A)), 20)
    both = ContextKind.COMPUTE | ContextKind.GRAPHICS
    host.tick(
        reading(parent),
        reading(one, context(5)),
        reading(FIRST, context(31, kind=both), context(20), context(30)),
        known=[facts(20), facts(31, 4242), facts(5)],
    )
    rows = rows_of(host.ledger, Call(ADA), Users())
    assert [row.process.pid for row in rows] == [20, 30, 31, 5]
    assert [row.gpu_index for row in rows] == [0, 0, 0, 1]
    mine, unknown, other, inside = rows
    assert (mine.lease_id, mine.kind) == (lease.id, process_pb2.PROCESS_KIND_LEASE)
    assert (mine.name.value, mine.command.value, mine.uid) == ("python", "python", ADA.uid)
    assert not mine.outside_mask
    assert not unknown.process.HasField("start_ticks")
    assert not unknown.HasField("uid")
    assert unknown.command.unavailable == "the process is not in /proc"
    assert unknown.name.unavailable
    assert (other.type, other.graphics, other.compute, other.mps) == ("C+G", True, True, False)
    assert other.command.unavailable == "belongs to another user"
    assert (inside.gpu_instance, inside.compute_instance) == (1, 0)
    assert not mine.HasField("gpu_instance")
    seen = rows_of(host.ledger, Call(ROOT), Users())
    assert seen[2].command.value == "python"


def test_where_a_process_runs() -> None:
    """Unit and container are told to its owner and administrators, to others with the command."""
    path = f"/system.slice/docker-{'a' * 64}.scope/x.service"
    host = Host(FIRST)
    host.tick(reading(FIRST, context(20)), known=[facts(20, cgroup=path)])
    (row,) = rows_of(host.ledger, Call(ADA), Users())
    assert (row.unit, row.container) == ("", "a" * 12)
    (row,) = rows_of(host.ledger, Call(BOB), Users())
    assert (row.unit, row.container) == ("", "")
    host.apply([PolicyChanged(Policy(others=Sight(command=True)))])
    (row,) = rows_of(host.ledger, Call(BOB), Users())
    assert row.container == "a" * 12


def test_the_peak_of_a_process() -> None:
    """It is the most that was sampled; who is not identified has none, others' may be hidden."""
    host = Host(FIRST)
    rows = (context(20, UNREADABLE), context(21, 3 * GIB), context(99))
    host.tick(reading(FIRST, *rows), known=[facts(20), facts(21)])
    host.tick(
        reading(FIRST, context(20, UNREADABLE), context(21), context(99)),
        known=[facts(20), facts(21)],
    )
    told = [row.peak_memory for row in rows_of(host.ledger, Call(ADA), Users())]
    assert told[0].unavailable == "no sample has shown it"
    assert told[1].value == 3 * GIB
    assert told[2].unavailable == "the process is not in /proc"
    host.apply([PolicyChanged(Policy(others=Sight(memory=False)))])
    hidden = rows_of(host.ledger, Call(BOB), Users())[1]
    assert hidden.peak_memory.unavailable == "belongs to another user"


def test_outside_its_mask() -> None:
    """A lease's process on a device outside the lease is told as such."""
    host = Host(FIRST, SECOND_GPU)
    lease = host.attach(host.grant(Request(A)), 20)
    named = replace(context(20), name="/usr/bin/python")
    host.tick(reading(SECOND_GPU, named), known=[facts(20)])
    (row,) = rows_of(host.ledger, Call(ADA), Users())
    assert (row.outside_mask, row.lease_id) == (True, lease.id)
    assert row.kind == process_pb2.PROCESS_KIND_STRAY
    assert row.name.value == "/usr/bin/python"


def test_unreadable_lists() -> None:
    """A list that could not be read is told apart from an empty one."""
    host = Host(FIRST, SECOND_GPU, device(2))
    lost = (gone(FIRST.uuid), LostDevice(9, None, "never seen"))
    host.tick(replace(reading(SECOND_GPU), contexts=UNREADABLE), lost=lost)
    rows = unreadable_of(host.ledger, host.now.instant)
    assert [(row.device_uuid, row.gpu_index, row.reason) for row in rows] == [
        (SECOND_GPU.uuid, 1, "no permission"),
        (FIRST.uuid, 0, "GPU is lost"),
        ("", 9, "never seen"),
    ]


def test_partitioned_list() -> None:
    """The list of a partitioned GPU is that of its instances: it is no unread one."""
    host, parent, _, _ = mig_host()
    host.tick(replace(reading(parent), contexts=UNREADABLE))
    assert unreadable_of(host.ledger, host.now.instant) == []


def test_nothing_read() -> None:
    """Where nothing was read, every list is unread."""
    host = Host(FIRST)
    host.ledger.sample, host.ledger.uses = None, {}
    (row,) = unreadable_of(host.ledger, host.now.instant)
    assert row.reason == "not read yet"
