"""What stands in a device's way: doubt, leases, strangers, and too little memory."""

from dataclasses import replace

import pytest

from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.policy import Policy
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.room import room_on
from gpusched.core.sample import LostDevice, NodeSample, Unavailable
from gpusched.core.sizes import GIB
from gpusched.core.verdicts import could_serve, judge
from tests.fakes.builders import (
    ADA,
    BOB,
    UNREADABLE,
    A,
    B,
    C,
    context,
    device,
    facts,
    memory_of,
    mig,
    reading,
)
from tests.fakes.host import Host

GPU, OTHER = device(0), device(1)
PARENT = replace(device(0), mig_enabled=True)
SHARED = Request(C, memory=GIB)
WHOLE = Request(C)


def verdict(host: Host, request: Request, uuid: DeviceUuid = GPU.uuid) -> Verdict:
    """The verdict on one device."""
    return next(one for one in judge(host.ledger, request, host.now.instant) if one.device == uuid)


def room(host: Host) -> int:
    """The room on the first device."""
    memory = host.ledger.uses[GPU.uuid].reading.memory
    assert not isinstance(memory, Unavailable)
    return room_on(host.ledger, GPU, memory)


UNSUITABLE: dict[str, tuple[Request, Obstacle, str]] = {
    "not named": (
        Request(A, devices=(OTHER.uuid,)),
        Obstacle.NOT_NAMED,
        "not among the devices asked for",
    ),
    "not available": (
        Request(A, available=(OTHER.uuid,)),
        Obstacle.NOT_NAMED,
        "not among the devices to choose from",
    ),
    "not MIG": (Request(A, mig_profile="1g.10gb"), Obstacle.WRONG_KIND, "is a whole GPU"),
    "of another type": (
        Request(A, gpu_types=("nvidia-l4",)),
        Obstacle.WRONG_TYPE,
        "is of type nvidia-a100-80gb",
    ),
    "too small": (
        Request(A, memory=81 * GIB),
        Obstacle.TOO_SMALL,
        "has 80 GiB, 81 GiB wanted",
    ),
}


@pytest.mark.parametrize("case", UNSUITABLE)
def test_what_no_waiting_changes_is_told_apart(case: str) -> None:
    """A device that can never serve a request says why, and is no candidate for later."""
    request, obstacle, sentence = UNSUITABLE[case]
    found = verdict(Host(GPU), request)
    assert (found.obstacle, found.sentence) == (obstacle, sentence)
    assert could_serve([found]) == ()


def test_a_partitioned_gpu_is_never_handed_out() -> None:
    """A GPU in MIG mode serves nobody, even when it is named."""
    host = Host(PARENT, mig(PARENT))
    for request in (WHOLE, Request(A, devices=(PARENT.uuid,)), Request(A, memory=GIB)):
        found = verdict(host, request)
        assert found.obstacle is Obstacle.PARTITIONED
        assert found.sentence == "partitioned by MIG: only its instances are handed out"
    instance = verdict(host, WHOLE, mig(PARENT).uuid)
    assert instance.obstacle is Obstacle.WRONG_KIND
    assert instance.sentence == "is a MIG instance 4g.40gb"


def test_a_free_device_serves() -> None:
    """A device that nothing is known against serves, with its room where memory is wanted."""
    assert verdict(Host(GPU), WHOLE) == Verdict(GPU.uuid, None, "free")
    assert verdict(Host(GPU), SHARED) == Verdict(GPU.uuid, None, "80 GiB free", 80 * GIB)
    assert could_serve([verdict(Host(GPU), WHOLE)]) == (verdict(Host(GPU), WHOLE),)


def test_the_whole_of_a_device_can_be_shared_out() -> None:
    """A share of all that may be promised is granted, and then nothing is left."""
    host = Host(GPU)
    held = host.grant(Request(A, memory=80 * GIB))
    found = verdict(host, SHARED)
    assert found.obstacle is Obstacle.TOO_LITTLE_FREE
    assert found.sentence == f"has 0 of 80 GiB free, 1 GiB wanted; held by {held.id} of user1000"
    assert (found.room, found.leases) == (0, (held.id,))


def test_a_lost_device_serves_nobody_for_now() -> None:
    """A lost device says what NVML said, and may serve later."""
    host = Host(GPU, OTHER)
    host.tick(lost=(LostDevice(0, GPU.uuid, "GPU is lost"),))
    found = verdict(host, WHOLE)
    assert (found.obstacle, found.sentence) == (Obstacle.LOST, "lost: GPU is lost")
    assert could_serve([found]) == (found,)
    assert verdict(host, WHOLE, OTHER.uuid).obstacle is None


def test_an_old_reading_is_unknown() -> None:
    """A reading older than the limit schedules nothing; one just as old still does."""
    host = Host(GPU)
    host.later(15)
    assert verdict(host, WHOLE).obstacle is None
    host.later(1)
    found = verdict(host, WHOLE)
    assert found.obstacle is Obstacle.UNREAD
    assert found.sentence == "the last reading is 16 s old"


def test_without_a_reading_nothing_is_granted() -> None:
    """When NVML did not answer in the last sample, no device serves."""
    host = Host(GPU)
    host.ledger.sample = NodeSample(host.now.instant, UNREADABLE)
    host.ledger.uses = {}
    found = verdict(host, WHOLE)
    assert found.obstacle is Obstacle.UNREAD
    assert found.sentence == "not read: no permission"
    fresh = Host(GPU)
    fresh.ledger.sample = None
    assert verdict(fresh, WHOLE).sentence == "not read in the last sample"


@pytest.mark.parametrize("request_", [WHOLE, SHARED])
def test_an_unreadable_process_list_schedules_nothing(request_: Request) -> None:
    """Where nobody can say who is on a device, nobody is let onto it."""
    host = Host(GPU)
    host.tick(replace(reading(GPU), contexts=UNREADABLE))
    found = verdict(host, request_)
    assert found.obstacle is Obstacle.UNREAD
    assert found.sentence == "its processes are not readable: no permission"


def test_unreadable_memory_hinders_only_shares() -> None:
    """A device whose memory is unknown can be had whole, but not shared."""
    host = Host(GPU)
    host.tick(replace(reading(GPU), memory=UNREADABLE))
    found = verdict(host, SHARED)
    assert found.obstacle is Obstacle.UNREAD
    assert found.sentence == "its memory is not readable: no permission"
    assert verdict(host, WHOLE).obstacle is None


def test_a_held_device_says_who_has_it() -> None:
    """A device that another lease has whole is held, for whole devices and for shares."""
    host = Host(GPU)
    held = host.grant(Request(A), BOB)
    for request, left in ((WHOLE, None), (SHARED, 0)):
        found = verdict(host, request)
        assert found == Verdict(
            GPU.uuid, Obstacle.HELD, f"held by {held.id} of user1001", left, (held.id,)
        )


def test_a_shared_device_is_not_to_be_had_whole() -> None:
    """Every lease that shares a device stands in the way of having it whole."""
    host = Host(GPU)
    one, two = host.grant(Request(A, memory=GIB), ADA), host.grant(Request(A, memory=GIB), BOB)
    found = verdict(host, WHOLE)
    assert found.leases == (one.id, two.id)
    assert found.sentence == f"held by {one.id} of user1000, {two.id} of user1001"


def test_a_holder_without_a_name_is_told_by_uid() -> None:
    """Where the user's name is unknown, the uid stands for it."""
    host = Host(GPU)
    nameless = host.grant(Request(A), replace(ADA, user=""))
    assert verdict(host, WHOLE).sentence == f"held by {nameless.id} of uid 1000"


def test_a_stranger_blocks_a_whole_device() -> None:
    """A device on which a process without a lease was seen is not granted exclusively."""
    host = Host(GPU)
    known = (facts(7, 1001, name="train"), facts(8, 0, name="Xorg"))
    host.tick(reading(GPU, context(7, 2 * GIB), context(8, UNREADABLE), context(9)), known=known)
    found = verdict(host, WHOLE)
    assert found.obstacle is Obstacle.STRANGER
    assert found.sentence == (
        "used without a lease by pid 7 of uid 1001 (train, 2 GiB, just seen),"
        " pid 8 of uid 0 (Xorg, just seen), pid 9 (not identified, 1 GiB)"
    )


def test_infrastructure_blocks_nothing() -> None:
    """A device with nothing but infrastructure on it is free."""
    host = Host(GPU)
    host.tick(reading(GPU, context(7)), known=(facts(7, 0, name="nvidia-persiste"),))
    assert verdict(host, WHOLE).obstacle is None


def test_a_stranger_reduces_what_can_be_shared() -> None:
    """A device with a stranger is shared within what the card says is free."""
    host = Host(GPU)
    host.tick(reading(GPU, context(7, 60 * GIB)))
    assert room(host) == 20 * GIB
    found = verdict(host, Request(A, memory=21 * GIB))
    assert found.obstacle is Obstacle.TOO_LITTLE_FREE
    assert found.sentence == (
        "has 20 of 80 GiB free, 21 GiB wanted;"
        " used without a lease by pid 7 (not identified, 60 GiB)"
    )


def test_a_promise_that_is_not_used_yet_is_not_free() -> None:
    """What a lease was promised and does not use is subtracted from what the card says is free."""
    host = Host(GPU)
    host.grant(Request(A, memory=30 * GIB))
    host.tick(reading(GPU, context(7, 40 * GIB)))
    assert room(host) == 10 * GIB


@pytest.mark.parametrize(
    ("used", "left"),
    [(10 * GIB, 20 * GIB), (30 * GIB, 20 * GIB), (35 * GIB, 15 * GIB), (UNREADABLE, 10 * GIB)],
)
def test_a_promise_counts_as_far_as_it_is_not_used(used: int | Unavailable, left: int) -> None:
    """What a lease uses of its promise counts once; an unknown figure counts as unused."""
    host = Host(GPU)
    held = host.attach(host.grant(Request(A, memory=30 * GIB)), 50)
    stranger = context(7, 30 * GIB)
    figure = 10 * GIB if isinstance(used, Unavailable) else used
    now = reading(GPU, context(50, used), stranger, used=30 * GIB + figure)
    host.tick(now, known=(facts(50),))
    assert held.id in host.ledger.uses[GPU.uuid].used_by
    assert room(host) == left


def test_withheld_and_reserved_memory_is_never_promised() -> None:
    """What the driver reserves and what the operator keeps back is not allocatable."""
    host = Host(GPU, policy=Policy(withheld=3 * GIB))
    host.tick(replace(reading(GPU), memory=memory_of(GPU, reserved=2 * GIB)))
    assert room(host) == 75 * GIB
    too_much = verdict(host, Request(A, memory=76 * GIB))
    assert too_much.obstacle is Obstacle.TOO_SMALL
    assert (too_much.sentence, too_much.room) == ("has 75 GiB, 76 GiB wanted", 75 * GIB)
    assert verdict(host, Request(A, memory=75 * GIB)).obstacle is None


def test_room_is_never_less_than_nothing() -> None:
    """A device that is fuller than its promises has no room, not a negative one."""
    host = Host(GPU, policy=Policy(withheld=100 * GIB))
    assert room(host) == 0
    host = Host(GPU)
    host.grant(Request(A, memory=70 * GIB))
    host.tick(reading(GPU, context(7, 60 * GIB)))
    assert room(host) == 0


def test_the_age_of_a_sample_is_counted_from_its_begin() -> None:
    """A sample that took long is as old as its first reading."""
    host = Host(GPU)
    taken = host.ledger.sample
    assert taken is not None
    host.ledger.sample = replace(taken, begun_at=Instant(host.now.instant - 16 * 10**9))
    assert verdict(host, WHOLE).obstacle is Obstacle.UNREAD


def test_promises_that_are_not_used_add_up() -> None:
    """Every lease of a device keeps what it has not used yet."""
    host = Host(GPU)
    for name in (A, B):
        host.grant(Request(name, memory=20 * GIB))
    host.tick(reading(GPU, context(7, 30 * GIB)))
    assert room(host) == 10 * GIB


def test_a_whole_device_promises_no_bytes() -> None:
    """A lease of the whole device is weighed as such, not in bytes."""
    host = Host(GPU)
    host.grant(Request(A))
    assert room(host) == 80 * GIB
