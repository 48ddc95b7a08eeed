"""Starts on a shared device one after the other: who waits for whom, and for how long."""

from dataclasses import replace

from gpusched.core.changes import AbilityFound, LeaseChanged
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.ids import SECOND
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.replies import Obstacle, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import DeviceReading, ProcessFacts
from gpusched.core.sight import Sight
from gpusched.core.starting import starts_on
from gpusched.rpc.convert_rejection import rejection_of
from tests.fakes.builders import BOB, UNREADABLE, A, B, context, device, facts, process, reading
from tests.fakes.host import Host

GIB = 1 << 30
MIB = 1 << 20
GPU, OTHER = device(0), device(1)
NEXT = Request(B, memory=GIB, devices=(GPU.uuid,))
POLICY = Policy(settle_starts=20 * SECOND, max_tick_gap=1000 * SECOND)


def started(host: Host) -> Lease:
    """A lease on the first device, with process 50."""
    return host.attach(host.grant(Request(A, memory=8 * GIB, devices=(GPU.uuid,))), 50)


def using(host: Host, lease: Lease, memory: int) -> None:
    """A tick in which the process of the lease has *memory*."""
    shown = reading(GPU, context(50, memory))
    host.tick(shown, known=[facts(50)], members={lease.id: frozenset({process(50)})})


def obstacle(host: Host) -> Rejected | None:
    """What keeps the next share away now."""
    reply = host.ask(NEXT, BOB).reply
    return reply if isinstance(reply, Rejected) else None


def test_the_next_share_waits_for_the_first_to_settle() -> None:
    """A share is granted later while a lease starts there, and the refusal says for how long."""
    host = Host(GPU, OTHER, policy=POLICY)
    lease = started(host)
    host.later(3.5)
    host.tick(members={lease.id: frozenset({process(50)})})
    refused = obstacle(host)
    assert refused is not None
    assert refused.why is Refusal.LATER
    (verdict, _) = refused.verdicts
    assert verdict.obstacle is Obstacle.STARTING
    assert verdict.sentence == f"{lease.id} starts there: its memory settles, at most 17 s more"
    assert (verdict.room, verdict.leases) == (0, (lease.id,))
    assert refused.holders == ()
    message = rejection_of(refused, host.ledger, host.now, NEXT)
    assert message.waits_for == "the memory of what starts to settle"
    assert message.verdicts[0].lease_id == lease.id


def test_memory_that_has_not_grown_for_a_while_has_settled() -> None:
    """Once it has memory and has not grown for a quarter of the time, the next may start."""
    host = Host(GPU, policy=POLICY)
    lease = started(host)
    using(host, lease, GIB)
    host.later(4)
    using(host, lease, 2 * GIB)
    host.later(4.9)
    using(host, lease, 2 * GIB + 64 * MIB)
    assert obstacle(host) is not None
    host.later(0.1)
    using(host, lease, 2 * GIB + 64 * MIB)
    assert obstacle(host) is None


def test_creeping_growth_is_growth() -> None:
    """What grows a little at each look has not settled."""
    host = Host(GPU, policy=POLICY)
    lease = started(host)
    for turn in range(6):
        using(host, lease, GIB + turn * 40 * MIB)
        host.later(3)
    host.later(-0.5)
    using(host, lease, GIB + 6 * 40 * MIB)
    assert obstacle(host) is not None


def test_time_is_up() -> None:
    """A start that never settles, or whose memory cannot be read, hinders only for its time."""
    host = Host(GPU, policy=POLICY)
    lease = started(host)
    for _ in range(4):
        shown = reading(GPU, context(50, UNREADABLE))
        host.tick(shown, known=[facts(50)], members={lease.id: frozenset({process(50)})})
        assert obstacle(host) is not None
        host.later(5)
    using(host, lease, GIB)
    assert obstacle(host) is None
    assert host.ledger.growth == {}


def test_attaching_again_and_again_hinders_nobody_for_ever() -> None:
    """A lease that takes in one process after the other and has no memory is like one whose time
    is up, until it has some.
    """
    host = Host(GPU, policy=POLICY)
    lease = started(host)
    members = {lease.id: frozenset({process(50)})}
    for turn in range(5):
        host.tick(members=members)
        assert (starts_on(host.ledger, GPU, host.now.instant) is None) == (turn == 4)
        host.later(5)
        host.attach(lease, 51 + turn)
    using(host, lease, 32 * MIB)
    assert obstacle(host) is not None
    host.later(5)
    assert obstacle(host) is None


def test_what_cannot_be_read_has_neither_settled_nor_grown() -> None:
    """A sample without a figure leaves what was seen before."""
    host = Host(GPU, policy=POLICY)
    lease = started(host)
    using(host, lease, GIB)
    before = host.ledger.growth
    host.later(1)
    shown = reading(GPU, context(50, UNREADABLE))
    host.tick(shown, known=[facts(50)], members={lease.id: frozenset({process(50)})})
    assert host.ledger.growth == before != {}
    gone = replace(shown, contexts=UNREADABLE)
    host.tick(gone, members={lease.id: frozenset({process(50)})})
    assert host.ledger.growth == before


def test_one_that_nobody_has_entered() -> None:
    """A lease that waits for its first process keeps the next away, from its grant on."""
    host = Host(GPU, policy=POLICY)
    host.grant(Request(A, memory=GIB))
    host.later(19)
    host.tick()
    assert obstacle(host) is not None
    host.later(1)
    host.tick()
    assert obstacle(host) is None


def test_who_is_not_hindered() -> None:
    """Other devices, and starts beside a lease that ends or was adopted, are not held back."""
    host = Host(GPU, OTHER, policy=POLICY)
    lease = started(host)
    host.grant(Request(B, memory=GIB, devices=(OTHER.uuid,)))
    adopted = replace(host.lease(lease.id), adopted=True)
    host.apply([LeaseChanged(adopted)])
    assert obstacle(host) is None
    host.apply([LeaseChanged(replace(adopted, adopted=False))])
    cancelled = Host(GPU, policy=POLICY)
    one = started(cancelled)
    cancelled.release(one)
    assert obstacle(cancelled) is None


def test_starts_are_not_kept_apart_unless_configured() -> None:
    """Without the option every share that fits is granted at once, and nothing is noted."""
    host = Host(GPU)
    lease = started(host)
    using(host, lease, GIB)
    assert host.ledger.growth == {}
    assert obstacle(host) is None


def test_what_does_not_fit_is_said_first() -> None:
    """A share for which there is no room is refused for that."""
    host = Host(GPU, policy=POLICY)
    started(host)
    refused = host.refusal(Request(B, memory=75 * GIB), BOB)
    assert refused.verdicts[0].obstacle is Obstacle.TOO_LITTLE_FREE


def test_whose_it_is_may_be_nobodys_business() -> None:
    """Where users may not know who is on a device, the lease has no name."""
    host = Host(GPU, policy=replace(POLICY, others=Sight(device=False)))
    started(host)
    refused = obstacle(host)
    assert refused is not None
    assert refused.verdicts[0].sentence.startswith("a lease starts there")


def test_a_lease_in_a_cgroup() -> None:
    """The time counts from the last process that was attached."""
    host = Host(GPU, policy=POLICY)
    lease = host.grant(Request(A, memory=GIB))
    host.later(10)
    host.apply([AbilityFound(host.ledger.ability)])
    host.enter(lease, 50, LeaseCgroup("/gpusched/lease-1", 7, made=True))
    host.later(12)
    one: ProcessFacts = facts(50, cgroup="/gpusched/lease-1")
    shown: DeviceReading = reading(GPU)
    host.tick(shown, known=[one], members={lease.id: frozenset({process(50)})})
    assert obstacle(host) is not None
