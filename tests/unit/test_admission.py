"""A device is offered only as far as both the ledger and the last reading of the card allow."""

from dataclasses import replace

import pytest

from gpusched.core.changes import GhostChanged
from gpusched.core.ghost import Ghost
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.policy import Policy
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.sample import ContextKind, Unavailable
from gpusched.core.stray import StrayPolicy, StrayRules
from gpusched.core.verdicts import judge
from tests.fakes.builders import UNREADABLE, A, B, context, facts, memory_of, mig, process, reading
from tests.fakes.host import Host
from tests.fakes.strays import GPU, ONE, OTHER

GIB = 1 << 30
WHOLE, SHARE = Request(A), Request(A, memory=GIB)
REPORT, AVOID = StrayRules(StrayPolicy.REPORT), StrayRules(StrayPolicy.AVOID)


def verdict(host: Host, request: Request, place: int = 0) -> Verdict:
    """What is said of one device."""
    return judge(host.ledger, request, host.now.instant)[place]


def hosts(rules: StrayRules) -> Host:
    """Two devices; a stray has 10 GiB of the first."""
    host = Host(GPU, OTHER, policy=Policy(strays=rules))
    host.tick(reading(GPU, context(7, 10 * GIB)), known=[ONE])
    return host


def test_the_smaller_of_ledger_and_card() -> None:
    """A share gets no more than the book has left, and no more than the card has free."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A, memory=30 * GIB)), 50)
    its = {lease.id: frozenset({process(50)})}
    for used, room in ((0, 50), (30, 50), (40, 40), (80, 0)):
        shown = reading(GPU, context(50, used * GIB))
        host.tick(shown, known=[facts(50)], members=its)
        assert verdict(host, Request(B, memory=1)).room == room * GIB


def test_a_stray_that_is_avoided() -> None:
    """Whole it is not granted while the stray is there; of its memory the stray's is missing."""
    host = hosts(AVOID)
    found = verdict(host, WHOLE)
    assert found.obstacle is Obstacle.STRANGER
    assert found.sentence == (
        "used without a lease by pid 7 of uid 1000 (python, 10 GiB, just seen)"
    )
    assert verdict(host, SHARE) == Verdict(GPU.uuid, None, "70 GiB free", 70 * GIB)
    assert verdict(host, WHOLE, 1).obstacle is None
    host.tick()
    assert verdict(host, WHOLE).obstacle is None


def test_a_stray_that_is_reported() -> None:
    """It hinders no more than the memory that it has: the whole device is granted beside it."""
    host = hosts(REPORT)
    assert verdict(host, WHOLE).obstacle is None
    assert verdict(host, SHARE).room == 70 * GIB
    found = verdict(host, Request(A, memory=75 * GIB))
    assert found.obstacle is Obstacle.TOO_LITTLE_FREE
    assert "pid 7 of uid 1000 (python, 10 GiB, just seen)" in found.sentence


def test_doubt_hinders_also_where_strays_are_reported() -> None:
    """Who could not be identified keeps the whole device away under every policy."""
    host = Host(GPU, policy=Policy(strays=REPORT))
    host.tick(reading(GPU, context(7), context(8)), known=[ONE])
    found = verdict(host, WHOLE)
    assert (found.obstacle, found.sentence) == (
        Obstacle.STRANGER,
        "used without a lease by pid 8 (not identified, 1 GiB)",
    )
    assert found.since is None


def test_since_when_a_stray_is_there() -> None:
    """A refusal says for how long a stray was seen."""
    host = hosts(AVOID)
    host.later(75)
    host.tick(reading(GPU, context(7, UNREADABLE)), known=[ONE])
    found = verdict(host, WHOLE)
    assert found.sentence.endswith("pid 7 of uid 1000 (python, for 1m15s)")
    assert found.since is not None
    assert host.now.instant - found.since.instant == 75 * SECOND


def test_a_lease_s_process_where_it_has_no_share() -> None:
    """One outside the mask of its lease is in the way like any other without a lease there."""
    host = Host(GPU, OTHER)
    lease = host.attach(host.grant(Request(A, devices=(OTHER.uuid,))), 7)
    its = {lease.id: frozenset({process(7)})}
    host.tick(reading(GPU, context(7)), known=[ONE], members=its)
    assert verdict(host, WHOLE).sentence == (
        "used without a lease by pid 7 of uid 1000 (python, 1 GiB)"
    )


def test_infrastructure_takes_its_memory_only() -> None:
    """An MPS server is in nobody's way, and what it has is not offered; clients have leases."""
    host = Host(GPU)
    server = context(8, 2 * GIB, ContextKind.COMPUTE)
    known = [facts(8, 0, name="nvidia-cuda-mps")]
    host.tick(reading(GPU, server), known=known)
    assert verdict(host, WHOLE).obstacle is None
    lease = host.attach(host.grant(Request(A, memory=20 * GIB)), 50)
    client = context(50, 5 * GIB, ContextKind.MPS)
    its = {lease.id: frozenset({process(50)})}
    host.tick(reading(GPU, server, client), known=[*known, facts(50)], members=its)
    assert verdict(host, Request(B, memory=1)).room == 58 * GIB


def test_ghost_memory_is_not_offered() -> None:
    """What an ended lease has left is in the way of the whole, and missing in the shares."""
    host = Host(GPU)
    host.apply([GhostChanged(GPU.uuid, Ghost(3 * GIB, 0, LeaseId("lease-x"), host.now))])
    host.tick(reading(GPU, used=3 * GIB))
    assert verdict(host, WHOLE).obstacle is Obstacle.GHOST
    assert verdict(host, SHARE).room == 77 * GIB


def test_memory_that_is_nobodys_is_not_offered() -> None:
    """Managed memory, which no process list shows, is free for nobody."""
    host = Host(GPU)
    host.tick(reading(GPU, used=60 * GIB))
    assert verdict(host, SHARE).room == 20 * GIB


def test_what_the_driver_keeps_is_not_offered() -> None:
    """By memory v2 the driver's own part is neither used nor free."""
    host = Host(GPU)
    host.tick(replace(reading(GPU), memory=memory_of(GPU, used=GIB, reserved=2 * GIB)))
    assert verdict(host, SHARE).room == 77 * GIB


def test_compute_instances_share_what_the_card_says() -> None:
    """Instances of one GPU instance have one memory, whoever uses it."""
    one, two = mig(GPU, 1, 0), mig(GPU, 1, 1)
    host = Host(one, two)
    its = host.grant(Request(A, memory=10 * GIB, devices=(one.uuid,)))
    assert its.shares[0].domain == two.memory_domain
    host.tick(reading(two, context(7, 5 * GIB), used=5 * GIB), reading(one, used=5 * GIB))
    wanted = Request(B, memory=1, mig_profile=two.mig.profile if two.mig else None)
    assert verdict(host, wanted, 1).room == 25 * GIB


@pytest.mark.parametrize("request_", [WHOLE, SHARE])
def test_an_old_reading_schedules_nothing(request_: Request) -> None:
    """A reading older than the configured age means unknown, to the second; so does none."""
    host = Host(GPU, policy=Policy(max_sample_age=15 * SECOND))
    host.later(15)
    assert verdict(host, request_).obstacle is None
    host.later(0.1)
    found = verdict(host, request_)
    assert (found.obstacle, found.sentence) == (Obstacle.UNREAD, "the last reading is 15 s old")
    host.tick(replace(reading(GPU), contexts=Unavailable("no permission")))
    assert verdict(host, request_).obstacle is Obstacle.UNREAD
