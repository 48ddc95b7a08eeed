"""What a caller may have: the pool that he asks for, and what his quotas leave."""

from dataclasses import replace

import pytest

from gpusched.core.device import Device
from gpusched.core.entitlement import bounds_on, hindrance, nobody_waits
from gpusched.core.events import ExplainRequested
from gpusched.core.ids import SECOND
from gpusched.core.preferences import Sharing
from gpusched.core.quota import Exempt, QuotaExcess, Resource
from gpusched.core.replies import Explained, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.tally import Subject
from tests.fakes.bounding import bounded, each, group, label, user
from tests.fakes.builders import A100, ADA, BOB, L4, ROOT, A, B, C, caller, device, labelled, mig
from tests.fakes.host import Host, name, places

FOUR = tuple(device(at) for at in range(4))
MIXED = (device(0, A100), device(1, L4, 24 * GIB))
HOUR = 3600 * SECOND
MEMBER, OTHER_MEMBER = caller(1003, groups=(27,)), caller(1004, groups=(4, 27))


def excess(rejected: Rejected | None) -> tuple[Refusal, str, int, int, int]:
    """Kind, resource, used, wanted and allowed of a refusal by a quota."""
    assert rejected is not None
    found = rejected.excess
    assert found is not None, rejected
    return rejected.why, found.resource.value, found.used, found.wanted, found.allowed


def test_what_fits_once_own_leases_end_is_later() -> None:
    """Above a quota because of what one has already: later, with who holds what is counted."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, devices=3)))
    first, second = host.grant(Request(A)), host.grant(Request(B))
    no = host.refusal(Request(C, count=2))
    assert excess(no) == (Refusal.LATER, "devices", 2, 2, 3)
    assert no.sentence == (
        "quota of user user1000: devices: 2 of 3 used, 2 wanted;"
        " release one of them, or ask for less"
    )
    assert [one.lease for one in no.holders] == [first.id, second.id]
    host.release(first)
    host.grant(Request(C, count=2))


def test_what_never_fits_is_never_here() -> None:
    """Above a quota whatever ends: never, even where a bound is met that others would not mind."""
    quotas = (user(ADA.uid, leases=1, devices=3),)
    host = Host(*FOUR, policy=bounded(*quotas))
    host.grant(Request(A))
    no = host.refusal(Request(B, count=4))
    assert excess(no) == (Refusal.NEVER_HERE, "devices", 1, 4, 3)
    assert no.sentence == (
        "quota of user user1000: devices: 1 of 3 used, 4 wanted; ask for no more than the quota"
    )


def test_a_lease_without_a_device_counts_as_a_lease() -> None:
    """The number of leases is bounded for itself."""
    host = Host(*FOUR, policy=bounded(each(leases=1)))
    host.grant(Request(A, count=0))
    assert excess(host.refusal(Request(B, count=0))) == (Refusal.LATER, "leases", 1, 1, 1)
    host.grant(Request(B), BOB)


def test_a_group_has_one_account() -> None:
    """What the members of a group have counts together, and its members are named as holders."""
    host = Host(*FOUR, policy=bounded(group(27, devices=2)))
    host.grant(Request(A), MEMBER)
    theirs = host.grant(Request(A), OTHER_MEMBER)
    no = host.refusal(Request(B), MEMBER)
    assert excess(no) == (Refusal.LATER, "devices", 2, 1, 2)
    assert [one.uid for one in no.holders] == [1003, 1004]
    host.grant(Request(A), ADA)
    host.release(theirs, OTHER_MEMBER)
    host.grant(Request(B), MEMBER)


def test_who_has_nothing_of_a_full_group_cannot_help_himself() -> None:
    """Where all is others', the advice is not to release."""
    host = Host(*FOUR, policy=bounded(group(27, devices=1)))
    host.grant(Request(A, time_limit=HOUR), MEMBER)
    no = host.refusal(Request(B), OTHER_MEMBER)
    assert no.sentence.endswith("devices: 1 of 1 used, 1 wanted; ask for less, or later")


def test_a_label_has_one_account() -> None:
    """What is asked for with a label counts together, whoever asks."""
    host = Host(*FOUR, policy=bounded(label(("team", "red"), devices=1)))
    red = labelled(team="red")
    host.grant(Request(A, labels=red))
    assert excess(host.refusal(Request(A, labels=red), BOB))[0] is Refusal.LATER
    host.grant(Request(A, labels=labelled(team="blue")), BOB)


def test_a_lease_in_the_way_says_when_it_ends() -> None:
    """A refusal names the own lease whose time limit ends it first."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, devices=3)))
    host.grant(Request(A))
    host.grant(Request(B, time_limit=2 * HOUR))
    first = host.grant(Request(C, time_limit=HOUR))
    host.later(60)
    no = host.refusal(Request(name("d")))
    assert no.sentence.endswith(f"or ask for less ({first.id} ends in 59m)")


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (Request(A, memory=8 * GIB), 8),
        (Request(A, memory=8 * GIB, count=2), 16),
        (Request(A), 80),
        (Request(A, gpu_types=("l4",)), 24),
        (Request(A, devices=(MIXED[1].uuid,)), 24),
        (Request(A, available=(MIXED[1].uuid,)), 24),
        (Request(A, memory_fraction=0.5), 40),
        (Request(A, memory=8 * GIB, sharing=Sharing.EXCLUSIVE), 80),
        (Request(A, count=0), 0),
        (Request(A, gpu_types=("h100",)), 0),
    ],
)
def test_memory_counts_what_is_promised(request_: Request, wanted: int) -> None:
    """A share counts its bytes; a whole device all its memory, the largest that is meant."""
    host = Host(*MIXED, policy=bounded(user(ADA.uid, memory=wanted * GIB)))
    assert hindrance(host.ledger, ADA, request_, host.now.instant) is None
    if wanted:
        host.ledger.policy = bounded(user(ADA.uid, memory=wanted * GIB - 1))
        no = hindrance(host.ledger, ADA, request_, host.now.instant)
        assert excess(no) == (
            Refusal.NEVER_HERE,
            "memory_bytes",
            0,
            wanted * GIB,
            wanted * GIB - 1,
        )


PARENT = device(0, A100)
LARGE, SMALL = mig(PARENT, 1, memory=40 * GIB), mig(PARENT, 2, memory=10 * GIB)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (Request(A, mig_profile="1g.10gb"), 10),
        (Request(A, mig_profile="1g.10gb", allow_larger_mig=True), 40),
        (Request(A), 80),
        (Request(A, devices=(SMALL.uuid,)), 10),
    ],
)
def test_memory_of_instances_is_theirs(request_: Request, wanted: int) -> None:
    """A whole instance counts its own memory, a GPU the GPU's."""
    host = Host(device(1, A100), LARGE, SMALL, policy=bounded(user(ADA.uid, memory=1)))
    no = hindrance(host.ledger, ADA, request_, host.now.instant)
    assert excess(no)[3] == wanted * GIB


def of_profile(instance: Device, profile: str) -> Device:
    """A MIG instance as one of another profile."""
    assert instance.mig is not None
    return replace(instance, mig=replace(instance.mig, profile=profile))


def test_memory_of_what_is_not_handed_out_does_not_count() -> None:
    """A partitioned GPU, and an instance that is not larger in all, are not asked for."""
    parted = replace(PARENT, mig_enabled=True)
    host = Host(parted, MIXED[1], policy=bounded(user(ADA.uid, memory=24 * GIB)))
    assert places(host.grant(Request(A))) == [MIXED[1].uuid]
    compute = of_profile(mig(PARENT, 1, memory=10 * GIB), "2g.10gb")
    memory = of_profile(mig(PARENT, 2, memory=20 * GIB), "1g.20gb")
    host = Host(parted, compute, memory, policy=bounded(user(ADA.uid, memory=10 * GIB)))
    asked = Request(A, mig_profile="2g.10gb", allow_larger_mig=True)
    assert places(host.grant(asked)) == [compute.uuid]


def test_memory_that_is_too_much_says_what_would_be_less() -> None:
    """Of memory the advice names what takes less of it."""
    host = Host(*MIXED, policy=bounded(user(ADA.uid, memory=48 * GIB)))
    assert host.refusal(Request(A)).sentence == (
        "quota of user user1000: memory: 0 MiB of 48 GiB used, 80 GiB wanted;"
        " ask for fewer devices, for a share by `memory_bytes`, or for a smaller type"
    )


def test_a_time_limit_beyond_the_quota_is_never_granted() -> None:
    """A request for longer than the longest time is refused, not cut."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, time_limit=HOUR)))
    no = host.refusal(Request(A, time_limit=HOUR + 1))
    assert excess(no) == (Refusal.NEVER_HERE, "time_limit_seconds", 0, HOUR + 1, HOUR)


def test_who_names_no_time_limit_gets_the_longest() -> None:
    """A request that says nothing gets what the strictest of its quotas allows."""
    policy = bounded(user(ADA.uid, time_limit=2 * HOUR), group(ADA.gid, time_limit=HOUR))
    host = Host(*FOUR, policy=policy)
    begin = host.now.instant
    assert host.grant(Request(A)).clocks.time_limit == begin + HOUR
    assert host.grant(Request(B, time_limit=5)).clocks.time_limit == begin + 5
    assert host.grant(Request(A), BOB).clocks.time_limit is None


def test_a_repeated_request_is_not_counted_twice() -> None:
    """Who asks again gets his grant again, though his quota is full."""
    host = Host(*FOUR, policy=bounded(each(leases=1)))
    first = host.grant(Request(A))
    assert host.grant(Request(A)) == first


def test_explaining_answers_as_asking_would() -> None:
    """`explain` tells the quota in the way, and takes nothing of it."""
    host = Host(*FOUR, policy=bounded(each(devices=1)))
    reply = host.do(ExplainRequested(ADA, Request(A, count=2))).reply
    assert isinstance(reply, Explained)
    assert excess(reply.rejection) == (Refusal.NEVER_HERE, "devices", 0, 2, 1)


def test_the_exempt_are_not_bounded() -> None:
    """Root has what it asks for where the configuration says so, and what it has counts."""
    policy = bounded(each(devices=1), label(("team", "red"), devices=2), exempt=Exempt.ROOT)
    host = Host(*FOUR, policy=policy)
    red = labelled(team="red")
    host.grant(Request(A, count=2, labels=red), ROOT)
    assert excess(host.refusal(Request(A, labels=red)))[2] == 2
    assert list(bounds_on(host.ledger, ROOT)) == []


def test_what_bounds_somebody_is_told_with_what_is_used() -> None:
    """A status shows every bound of a user, labels among them, with what is taken of it."""
    policy = bounded(user(ADA.uid, devices=3, time_limit=HOUR), label(("team", "red"), leases=2))
    host = Host(*FOUR, policy=policy)
    host.grant(Request(A, count=2))
    assert list(bounds_on(host.ledger, ADA)) == [
        QuotaExcess("user user1000", Resource.DEVICES, 2, 0, 3),
        QuotaExcess("user user1000", Resource.TIME_LIMIT, 0, 0, HOUR),
        QuotaExcess("label team=red", Resource.LEASES, 0, 0, 2),
    ]


def test_a_request_that_is_to_wait_is_hindered_by_what_never_ends() -> None:
    """Who waits is not hindered by leases that will end, but by what he could never have."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, devices=2, leases=1, memory=200 * GIB)))
    host.grant(Request(A, count=2))
    ledger, now = host.ledger, host.now.instant
    assert hindrance(ledger, ADA, Request(B), now) is not None
    assert hindrance(ledger, ADA, Request(B), now, nobody_waits) is None
    never = hindrance(ledger, ADA, Request(B, count=3), now, nobody_waits)
    assert excess(never) == (Refusal.NEVER_HERE, "devices", 0, 3, 2)


def test_requests_that_wait_are_bounded() -> None:
    """A bound on waiting requests holds for who is to wait only: later, or never."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, waiting=2), each(waiting=0)))
    ledger, now = host.ledger, host.now.instant
    mine = {Subject("uid", ADA.uid): 2}

    def waiting(subject: Subject) -> int:
        return mine.get(subject, 0)

    assert hindrance(ledger, ADA, Request(A), now) is None
    assert hindrance(ledger, ADA, Request(A), now, nobody_waits) is None
    no = hindrance(ledger, ADA, Request(A), now, waiting)
    assert excess(no) == (Refusal.LATER, "waiting", 2, 1, 2)
    assert no is not None
    assert no.sentence.endswith("waiting requests: 2 of 2 used, 1 wanted; cancel one of them")
    assert [one.used for one in bounds_on(ledger, ADA, waiting)] == [2]
    never = hindrance(ledger, BOB, Request(A), now, waiting)
    assert excess(never) == (Refusal.NEVER_HERE, "waiting", 0, 1, 0)
    assert never is not None
    assert never.sentence.endswith("0 of 0 used, 1 wanted; ask without a time to wait")
