"""Compute instances of one GPU instance: devices of their own that allocate from one memory."""

from dataclasses import replace

from gpusched.core.changes import GhostChanged
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.policy import Policy
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.room import room_on
from gpusched.core.sample import LostDevice, Unavailable
from gpusched.core.sizes import GIB
from gpusched.core.verdicts import judge
from tests.fakes.builders import UNREADABLE, A, B, C, context, device, facts, mig, reading
from tests.fakes.host import Host, places

PARENT = replace(device(0), mig_enabled=True)


def verdict(host: Host, request: Request, uuid: DeviceUuid) -> Verdict:
    """The verdict on one device."""
    return next(one for one in judge(host.ledger, request, host.now.instant) if one.device == uuid)


def test_compute_instances_of_one_gpu_instance_share_its_memory() -> None:
    """What is promised on one compute instance is not free on the other."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    host.grant(Request(A, memory=30 * GIB, devices=(left.uuid,)))
    host.refusal(Request(B, memory=11 * GIB, devices=(right.uuid,)))
    host.grant(Request(C, memory=10 * GIB, devices=(right.uuid,)))


def test_an_exclusive_compute_instance_keeps_its_neighbour_out() -> None:
    """Whoever has a compute instance alone has the memory of its GPU instance alone."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    host.grant(Request(A, devices=(left.uuid,)))
    host.refusal(Request(B, devices=(right.uuid,)))
    host.refusal(Request(B, memory=GIB, devices=(right.uuid,)))


def test_who_uses_the_neighbour_uses_the_memory_of_both() -> None:
    """A stranger, a ghost or an unread list on a compute instance hinders the one beside it."""
    left, right, other = mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2)
    host = Host(PARENT, left, right, other)
    alone = Request(A, devices=(left.uuid,))
    host.tick(reading(right, context(7, 5 * GIB)))
    assert verdict(host, alone, left.uuid).obstacle is Obstacle.STRANGER
    assert verdict(host, Request(A, devices=(other.uuid,)), other.uuid).obstacle is None
    host.tick(replace(reading(right), contexts=UNREADABLE))
    assert verdict(host, alone, left.uuid).obstacle is Obstacle.UNREAD
    host.apply([GhostChanged(right.uuid, Ghost(GIB, 0, LeaseId("lease-gone"), host.now))])
    host.tick(reading(right, used=GIB))
    found = verdict(host, alone, left.uuid)
    assert (found.obstacle, right.uuid in found.sentence) == (Obstacle.GHOST, True)


def test_a_neighbour_s_memory_is_no_ghost() -> None:
    """What the other compute instance's processes hold is not waited for at a lease's end."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    mine = host.attach(host.grant(Request(A, memory=GIB, devices=(left.uuid,))), 50)
    beside = reading(right, context(7, 5 * GIB))
    host.tick(replace(reading(left), memory=beside.memory), beside, known=[facts(7)])
    host.release(mine)
    host.later(1)
    host.tick(replace(reading(left), memory=beside.memory), beside, known=[facts(7)])
    assert host.lease(mine.id).ended is not None
    assert not host.ledger.ghosts


def test_what_a_lease_leaves_in_one_memory_is_one_ghost() -> None:
    """A lease of two compute instances of one GPU instance leaves its bytes once."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    mine = host.attach(host.grant(Request(A, count=2, devices=(left.uuid, right.uuid))), 50)
    host.release(mine)
    for _ in range(2):
        host.later(11)
        host.tick(reading(left, used=GIB), reading(right, used=GIB))
    assert {uuid: one.memory for uuid, one in host.ledger.ghosts.items()} == {left.uuid: GIB}


def test_one_lease_may_have_both_compute_instances_alone() -> None:
    """A lease does not stand in its own way."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    granted = host.grant(Request(A, count=2, devices=(right.uuid, left.uuid)))
    assert places(granted) == [right.uuid, left.uuid]


def test_the_memory_of_a_gpu_instance_is_promised_once_within_one_request() -> None:
    """Two compute instances of one GPU instance are not both granted what only one of them has."""
    left, right, other = mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2)
    host = Host(PARENT, left, right, other)
    asked = Request(A, count=2, memory=30 * GIB, mig_profile="4g.40gb")
    assert places(host.grant(asked)) == [left.uuid, other.uuid]
    host = Host(PARENT, left, right, other)
    asked = Request(A, count=3, memory=20 * GIB, mig_profile="4g.40gb")
    assert places(host.grant(asked)) == [left.uuid, right.uuid, other.uuid]


def test_a_compute_instance_that_must_be_included_comes_before_its_neighbour() -> None:
    """Where only one compute instance of two fits, it is the one that must be included."""
    left, right, other = mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2)
    host = Host(PARENT, left, right, other)
    must = (right.uuid,)
    asked = Request(A, count=2, memory=30 * GIB, mig_profile="4g.40gb", must_include=must)
    assert places(host.grant(asked)) == [right.uuid, other.uuid]


def test_a_promise_on_an_unread_device_is_unused() -> None:
    """A compute instance that was not read stands in its neighbour's memory with all it has."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right)
    host.grant(Request(A, memory=30 * GIB, devices=(left.uuid,)))
    now = reading(right, context(7, 5 * GIB))
    host.tick(now, lost=(LostDevice(0, left.uuid, "GPU is lost"),))
    memory = host.ledger.uses[right.uuid].reading.memory
    assert not isinstance(memory, Unavailable)
    assert room_on(host.ledger, right, memory) == 5 * GIB


def test_compute_instances_say_that_they_do_not_fit_together() -> None:
    """What one compute instance leaves of their memory is the reason why the next is refused."""
    left, right = mig(PARENT, 1, 0), mig(PARENT, 1, 1)
    host = Host(PARENT, left, right, policy=Policy(withheld=1))
    asked = Request(A, count=2, memory=30 * GIB, mig_profile="4g.40gb")
    never = verdict(host, asked, right.uuid)
    assert (never.obstacle, never.room) == (Obstacle.TOO_SMALL, 20 * GIB - 1)
    assert isinstance(never.room, int)
    assert never.sentence == "has 40 GiB for 2 compute instances, 30 GiB wanted for each"
    held = host.grant(Request(B, memory=10 * GIB, mig_profile="4g.40gb"))
    later = verdict(host, replace(asked, memory=18 * GIB), right.uuid)
    assert (later.obstacle, later.leases) == (Obstacle.TOO_LITTLE_FREE, (held.id,))
    assert later.room == 30 * GIB - 1
    assert later.sentence == (
        "has 30 of 40 GiB free for 2 compute instances, 18 GiB wanted for each"
    )


def test_an_instance_that_cannot_be_chosen_takes_nothing_from_its_neighbour() -> None:
    """Only instances that could be granted together share their memory within a request."""
    left, right, other = mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2)
    host = Host(PARENT, left, right, other)
    named = (other.uuid, right.uuid)
    asked = Request(A, count=2, memory=30 * GIB, devices=named)
    assert verdict(host, asked, right.uuid).obstacle is None
    host.tick(replace(reading(left), memory=UNREADABLE))
    asked = Request(A, count=2, memory=30 * GIB, mig_profile="4g.40gb")
    assert verdict(host, asked, right.uuid).obstacle is None
    host.tick(*(replace(reading(one), memory=UNREADABLE) for one in (left, right)))
    assert verdict(host, asked, right.uuid).obstacle is Obstacle.UNREAD
