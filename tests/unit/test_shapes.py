"""Shapes of request: how many, of what kind, how much memory of each, and beside whom."""

from dataclasses import replace

import pytest

from gpusched.core.advice import advice
from gpusched.core.device import Device
from gpusched.core.explain import describe
from gpusched.core.ids import RequestId
from gpusched.core.kit import kit_of
from gpusched.core.lease import Lease
from gpusched.core.mig_size import larger, size_of
from gpusched.core.policy import Policy
from gpusched.core.preferences import Sharing
from gpusched.core.replies import Obstacle, Refusal, Verdict
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.verdicts import judge
from tests.fakes.builders import (
    ADA,
    BOB,
    L4,
    UNREADABLE,
    A,
    B,
    C,
    device,
    mig,
    reading,
)
from tests.fakes.host import Host, places

FOUR = [device(place) for place in range(4)]
GPU, OTHER = FOUR[:2]
PARENT = replace(GPU, mig_enabled=True)
MIXED = [device(0, L4, 24 * GIB), *(device(place) for place in (1, 2, 3))]
PROHIBITED, EXCLUSIVE_PROCESS = 2, 3
OWN = Request(A, memory=GIB, sharing=Sharing.OWN)
LIMITED = Request(A, memory=30 * GIB, sharing=Sharing.EXCLUSIVE)


def on(lease: Lease) -> list[int]:
    """The places on the bus of the GPUs that a lease has."""
    return [int(uuid.removeprefix("GPU-")) for uuid in places(lease)]


def taken(host: Host, *devices: Device) -> Host:
    """The host with these devices held by somebody else."""
    for at, one in enumerate(devices):
        host.grant(Request(RequestId(f"taken {at}"), devices=(one.uuid,)), BOB)
    return host


def verdict(host: Host, request: Request, uid: int | None = ADA.uid) -> Verdict:
    """The verdict on the first device."""
    return judge(host.ledger, request, host.now.instant, uid)[0]


COUNTS: dict[str, tuple[list[Device], Request, list[int]]] = {
    "as many as are welcome": ([], Request(A, count=2, max_count=3), [0, 1, 2]),
    "as many as are free": ([GPU], Request(A, count=2, max_count=9), [1, 2, 3]),
    "not fewer than asked for": ([GPU, OTHER], Request(A, count=2, max_count=9), [2, 3]),
    "fewer where that will do": ([GPU, OTHER], Request(A, count=4, min_count=2), [2, 3]),
    "as few as will do": (FOUR[:3], Request(A, count=4, min_count=1), [3]),
}


@pytest.mark.parametrize("case", COUNTS)
def test_from_a_least_to_a_most(case: str) -> None:
    """As many devices are granted as are welcome and free, never fewer than will do."""
    held, request, chosen = COUNTS[case]
    assert on(taken(Host(*FOUR), *held).grant(request)) == chosen


def test_fewer_than_will_do_are_refused() -> None:
    """A range of which not even the least is free is refused, naming the least."""
    host = taken(Host(*FOUR), *FOUR[:3])
    no = host.refusal(Request(A, count=4, min_count=2, max_count=6))
    assert no.why is Refusal.LATER
    assert no.sentence.startswith("at least 2 devices wanted, 1 free now: ")
    assert no.nearest == Request(A)
    no = host.refusal(Request(A, count=9, min_count=5))
    assert (no.why, no.sentence) == (
        Refusal.NEVER_HERE,
        "at least 5 devices wanted, this host has 4",
    )


def test_one_kind_goes_before_several() -> None:
    """Devices are of one type where that gives as many as are asked for, else of several."""
    host = Host(*MIXED)
    assert on(host.grant(Request(A, count=2, max_count=4))) == [1, 2, 3]
    assert on(Host(*MIXED).grant(Request(A, count=4))) == [0, 1, 2, 3]
    # `count` of several types go before fewer of one.
    assert on(Host(*MIXED).grant(Request(A, count=4, min_count=2))) == [0, 1, 2, 3]
    held = taken(Host(*MIXED), MIXED[3])
    assert on(held.grant(Request(A, count=4, min_count=2))) == [1, 2]
    assert on(taken(Host(*MIXED), *MIXED[2:]).grant(Request(A, count=4, min_count=2))) == [0, 1]


def test_types_in_order_of_preference() -> None:
    """The first acceptable type that can be had is taken, wherever it is on the bus."""
    host = Host(*MIXED)
    assert on(host.grant(Request(A, gpu_types=("a100", "l4")))) == [1]
    assert on(host.grant(Request(B, gpu_types=("l4", "a100")))) == [0]
    assert on(host.grant(Request(C, count=2, gpu_types=("l4", "a100")))) == [2, 3]
    both = Request(A, count=2, gpu_types=("a100", "l4"))
    assert on(taken(Host(*MIXED), *MIXED[2:]).grant(both)) == [0, 1]


def test_a_part_of_the_memory() -> None:
    """A part is of what can be allocated on each device, and its bytes are in the lease."""
    host = Host(*MIXED, policy=Policy(withheld=2 * GIB))
    lease = host.grant(Request(A, memory_fraction=0.5, gpu_types=("l4",)))
    assert [share.memory for share in lease.shares] == [11 * GIB]
    assert not lease.shares[0].exclusive
    assert lease.limit == 11 * GIB
    both = host.grant(
        Request(B, count=2, memory_fraction=0.5, devices=(MIXED[0].uuid, MIXED[1].uuid))
    )
    assert [share.memory for share in both.shares] == [11 * GIB, 39 * GIB]
    assert both.limit == 11 * GIB
    no = host.refusal(Request(C, memory_fraction=0.1, gpu_types=("l4",)))
    assert "0: has 0 of 22 GiB free, 2.2 GiB wanted" in no.sentence
    assert describe(Request(A, count=2, memory_fraction=0.5)) == (
        "2 devices with 50% of the memory each"
    )


def test_the_least_part_is_a_byte() -> None:
    """However small the part, something is promised."""
    lease = Host(GPU).grant(Request(A, memory_fraction=1e-15))
    assert lease.shares[0].memory == 1


def test_parts_of_instances_that_share_a_memory() -> None:
    """Compute instances of one GPU instance get their parts out of one memory."""
    instances = [mig(PARENT, 1, number) for number in range(3)]
    asked = Request(A, count=2, memory_fraction=0.5, mig_profile="4g.40gb")
    host = Host(PARENT, *instances)
    no = host.refusal(replace(asked, count=3))
    assert no.why is Refusal.NEVER_HERE
    assert no.nearest == replace(asked, count=3, memory=40 * GIB // 3, memory_fraction=None)
    assert len(host.grant(replace(asked, max_count=3)).shares) == 2


def test_a_whole_device_with_a_limit() -> None:
    """Exclusive with a size: nobody else gets the device, and the size is the lease's limit."""
    host = Host(GPU, device(1, L4, 24 * GIB))
    lease = host.grant(LIMITED)
    (share,) = lease.shares
    assert (share.device, share.memory, share.exclusive) == (GPU.uuid, 30 * GIB, True)
    no = host.refusal(Request(B, memory=GIB, devices=(GPU.uuid,)), BOB)
    assert no.verdicts[0].obstacle is Obstacle.HELD
    assert kit_of(lease, FOUR, "s").environment["GPUSCHED_MEMORY_LIMIT"] == str(30 * GIB)
    assert host.ledger.stories[-1].sentence.endswith(f"{GPU.uuid} exclusively with 30 GiB each")
    peaked = replace(lease, shares=(replace(share, peak=4 * GIB),))
    assert advice(peaked, host.ledger.devices) == "--memory 5GiB"


def test_a_whole_device_has_to_have_the_size() -> None:
    """A size beside exclusive is the least that the device must have."""
    small = Host(device(1, L4, 24 * GIB))
    no = small.refusal(LIMITED)
    assert (no.why, no.verdicts[0].obstacle) == (Refusal.NEVER_HERE, Obstacle.TOO_SMALL)
    assert no.nearest == replace(LIMITED, memory=24 * GIB)
    shared = Host(GPU)
    shared.grant(Request(B, memory=GIB))
    assert shared.refusal(LIMITED).verdicts[0].obstacle is Obstacle.HELD
    shared.tick(replace(reading(GPU), memory=UNREADABLE))
    assert verdict(shared, LIMITED).obstacle is Obstacle.UNREAD


def test_exclusive_instances_with_a_limit_share_one_memory() -> None:
    """Sizes of exclusive compute instances have to fit into their memory together."""
    host = Host(PARENT, *(mig(PARENT, 1, number) for number in range(2)))
    asked = replace(LIMITED, count=2, mig_profile="4g.40gb")
    assert host.refusal(asked).why is Refusal.NEVER_HERE
    assert len(host.grant(replace(asked, memory=20 * GIB)).shares) == 2


def test_beside_ones_own_leases_only() -> None:
    """Who shares with his own leases only is beside nobody else, and lets nobody else in."""
    host = Host(GPU)
    host.grant(OWN)
    host.grant(Request(B, memory=GIB))
    assert host.refusal(Request(A, memory=GIB), BOB).sentence == (
        "1 device wanted, 0 free now: 0: held by lease-0000000001 of user1000:"
        " only leases of one user may be there"
    )
    assert verdict(host, OWN).obstacle is None
    assert verdict(host, OWN, None).obstacle is Obstacle.OTHER_HOLDER
    assert verdict(host, Request(C, memory=GIB), BOB.uid).leases == ("lease-0000000001",)
    common = Host(GPU)
    common.grant(Request(A, memory=GIB), BOB)
    assert verdict(common, OWN).obstacle is Obstacle.OTHER_HOLDER
    assert verdict(common, replace(OWN, sharing=Sharing.ANY)).obstacle is None


@pytest.mark.parametrize("asked", [Request(A), Request(A, memory=GIB)])
def test_a_prohibited_device_serves_nobody(asked: Request) -> None:
    """Compute mode Prohibited is in the way of every request, until an operator changes it."""
    host = Host(GPU)
    host.tick(replace(reading(GPU), compute_mode=PROHIBITED))
    no = host.refusal(asked)
    assert (no.why, no.verdicts[0].obstacle) == (Refusal.LATER, Obstacle.COMPUTE_MODE)
    assert "its compute mode is Prohibited" in no.sentence


def test_a_device_for_one_process_at_a_time_is_not_shared() -> None:
    """Compute mode Exclusive_Process lets whole devices be granted, and no shares."""
    host = Host(GPU)
    host.tick(replace(reading(GPU), compute_mode=EXCLUSIVE_PROCESS))
    no = host.refusal(Request(A, memory=GIB))
    assert no.verdicts[0].obstacle is Obstacle.COMPUTE_MODE
    assert "one process at a time, so no shares" in no.sentence
    assert len(host.grant(Request(A)).shares) == 1
    host.tick(replace(reading(GPU), compute_mode=UNREADABLE))
    assert verdict(host, Request(B)).obstacle is Obstacle.HELD


def test_the_mode_of_an_instance_is_its_gpus() -> None:
    """An instance has the compute mode of its GPU; where that was not read there is none."""
    one = mig(PARENT)
    host = Host(PARENT, one)
    host.tick(replace(reading(PARENT), compute_mode=PROHIBITED))
    assert host.refusal(Request(A, mig_profile="4g.40gb")).verdicts[1].obstacle is (
        Obstacle.COMPUTE_MODE
    )
    alone = Host(one)
    assert len(alone.grant(Request(A, mig_profile="4g.40gb")).shares) == 1


def test_the_smallest_larger_instance() -> None:
    """The exact profile goes before a larger one, the smallest larger one before the others."""
    exact = mig(PARENT, 1, memory=10 * GIB)
    middle, large = mig(PARENT, 2, memory=20 * GIB), mig(PARENT, 3, memory=40 * GIB)
    host = Host(PARENT, large, middle, exact)
    asked = Request(A, mig_profile="1g.10gb", allow_larger_mig=True)
    got = [host.grant(replace(asked, request_id=RequestId(str(n)))).shares[0] for n in range(3)]
    assert [share.device for share in got] == [exact.uuid, middle.uuid, large.uuid]
    assert Host(PARENT, large).refusal(replace(asked, allow_larger_mig=False)).field == (
        "mig_profile"
    )
    whole = Host(PARENT, large, OTHER).refusal(replace(asked, mig_profile="9g.90gb"))
    assert whole.field == "mig_profile"
    assert verdict(Host(GPU, mig(OTHER)), asked).obstacle is Obstacle.WRONG_KIND
    held = taken(Host(PARENT, large), large)
    assert held.refusal(asked).why is Refusal.LATER


@pytest.mark.parametrize(
    ("profile", "size"),
    [
        ("1g.10gb", (10, 1)),
        ("1g.24gb-me", (24, 1)),
        ("1c.3g.40gb", (40, 1)),
        ("1G.10GB+me", (10, 1)),
        ("strange", None),
        ("", None),
    ],
)
def test_the_size_of_a_profile(profile: str, size: tuple[int, int] | None) -> None:
    """A profile's name says its memory and its compute slices."""
    assert size_of(profile) == size


@pytest.mark.parametrize(
    ("profile", "wanted", "is_larger"),
    [
        ("2g.20gb", "1g.10gb", True),
        ("1g.20gb", "1g.10gb", True),
        ("1g.10gb", "1g.10gb", False),
        ("1g.10gb", "1g.10gb+me", False),
        ("2g.20gb", "1g.10gb+me", False),
        ("1g.10gb+me", "1g.10gb", True),
        ("2g.48gb+gfx", "1g.24gb+gfx", True),
        ("2g.48gb-me", "1g.24gb", False),
        ("1g.24gb", "1g.24gb-me", True),
        ("1g.20gb", "2g.10gb", False),
        ("3g.20gb", "1g.40gb", False),
        ("strange", "1g.10gb", False),
        ("1g.10gb", "strange", False),
    ],
)
def test_a_larger_profile(profile: str, wanted: str, *, is_larger: bool) -> None:
    """A larger instance has at least as much of everything, engines too, and more of something."""
    assert larger(profile, wanted) is is_larger
