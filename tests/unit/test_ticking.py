"""A tick: clocks, leases whose processes ended, confirmations, sleep, and the trimmed history."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Observe, TakeSample
from gpusched.core.changes import (
    AbilityFound,
    LeaseForgotten,
    ObservationTaken,
    SampleTaken,
    StoryKind,
    StoryTold,
)
from gpusched.core.decision import Decision
from gpusched.core.denial import DeniedOpen
from gpusched.core.device import DeviceNode
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import AttachRequested, Ticked
from gpusched.core.ids import SECOND, Instant, RequestId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from tests.fakes.builders import (
    ADA,
    UNREADABLE,
    A,
    B,
    context,
    device,
    moment,
    process,
    reading,
    sample,
    standing,
)
from tests.fakes.host import MASKING, Host, changed_leases, sentences

GPU, OTHER = device(0), device(1)
S, R = LeaseState, EndReason
LONG = Policy(max_tick_gap=10_000 * SECOND, max_sample_age=10_000 * SECOND)


def used(host: Host) -> Lease:
    """A lease with the attached process 50."""
    return host.attach(host.grant(Request(A)), 50)


def state(host: Host, lease: Lease) -> tuple[LeaseState, EndReason | None]:
    """Where a lease is now, and why."""
    now = host.lease(lease.id)
    return now.state, now.reason


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(A, attach_deadline=60 * SECOND), R.ATTACH_DEADLINE),
        (Request(A, keepalive=60 * SECOND), R.KEEPALIVE),
        (Request(A, time_limit=60 * SECOND), R.TIME_LIMIT),
    ],
)
def test_a_deadline_ends_a_lease_when_it_is_reached(request_: Request, reason: EndReason) -> None:
    """A lease lives until its deadline and ends at it, for that reason."""
    host = Host(GPU, policy=LONG)
    lease = host.grant(request_)
    host.later(59.999)
    assert changed_leases(host.tick()) == []
    host.later(0.001)
    decision = host.tick()
    assert state(host, lease) == (S.ENDED, reason)
    assert decision.actions == ()
    assert len(sentences(decision)) == 1
    assert sentences(decision)[0].startswith("ended because")


def test_a_used_lease_settles_after_its_deadline() -> None:
    """A lease with a process is RELEASING at its time limit, and a sample is asked for."""
    host = Host(GPU, policy=LONG)
    lease = host.attach(host.grant(Request(A, time_limit=60 * SECOND)), 50)
    host.later(60)
    decision = host.tick()
    assert state(host, lease) == (S.RELEASING, R.TIME_LIMIT)
    assert decision.actions == (TakeSample(),)
    assert sentences(decision) == ["ends because its time limit was reached"]


def test_an_attached_lease_outlives_its_attach_deadline() -> None:
    """Whoever came in time stays."""
    host = Host(GPU, policy=LONG)
    lease = host.attach(host.grant(Request(A, attach_deadline=60 * SECOND)), 50)
    host.later(61)
    host.tick()
    assert state(host, lease) == (S.ACTIVE, None)


def test_a_lease_ends_with_its_last_process() -> None:
    """A look that finds none of a lease's processes ends it."""
    host = Host(GPU)
    lease = used(host)
    host.later(1)
    host.tick(members={lease.id: frozenset({process(50)})})
    assert state(host, lease) == (S.ACTIVE, None)
    host.tick(members={lease.id: frozenset()})
    assert state(host, lease) == (S.RELEASING, R.EMPTY)


def test_a_lease_that_nobody_looked_at_is_not_empty() -> None:
    """Missing is never zero: a lease without a look keeps its devices."""
    host = Host(GPU)
    lease = used(host)
    host.later(1)
    host.tick()
    assert state(host, lease) == (S.ACTIVE, None)


def test_a_look_begun_before_the_attach_finds_nothing_out() -> None:
    """A sample that began before the process entered does not end the lease."""
    host = Host(GPU)
    lease = used(host)
    host.tick(members={lease.id: frozenset()})
    assert state(host, lease) == (S.ACTIVE, None)


def test_a_lease_that_waits_for_its_first_process_is_not_empty() -> None:
    """A reserved lease without processes waits for its attach deadline."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    host.later(1)
    host.tick(members={lease.id: frozenset()})
    assert state(host, lease) == (S.RESERVED, None)


def test_a_host_that_slept_gives_every_lease_its_time_back() -> None:
    """A gap between ticks extends every running clock by the gap and expires nothing."""
    host = Host(GPU, OTHER)
    waiting = host.grant(Request(A, attach_deadline=60 * SECOND, time_limit=90 * SECOND))
    settling = host.release(host.attach(host.grant(Request(B)), 50))
    host.later(3600)
    decision = host.tick()
    clocks = host.lease(waiting.id).clocks
    assert clocks == waiting.clocks.extended(3600 * SECOND)
    assert changed_leases(decision) == [host.lease(waiting.id)]
    assert state(host, settling) == (S.RELEASING, R.RELEASED)
    assert sentences(decision) == ["every lease has 3600 s more: the host slept"]
    host.later(60)
    assert host.lease(waiting.id).state is S.RESERVED


def test_a_lease_from_after_a_sleep_has_not_missed_it() -> None:
    """What is granted between the end of a sleep and the next tick lasts no longer for it."""
    host = Host(GPU)
    host.later(3600)
    lease = host.grant(Request(A, count=0, time_limit=90 * SECOND))
    host.later(2)
    host.tick()
    assert host.lease(lease.id).clocks == lease.clocks.extended(2 * SECOND)


def test_a_host_that_slept_without_leases_has_nothing_to_tell() -> None:
    """Where no clock runs, sleep is no news."""
    host = Host(GPU)
    host.later(3600)
    decision = host.tick()
    assert [type(one) for one in decision.changes] == [SampleTaken]


def test_a_gap_as_long_as_the_limit_is_no_sleep() -> None:
    """Ticks exactly the limit apart are late, not asleep: clocks run on."""
    host = Host(GPU)
    lease = host.grant(Request(A, attach_deadline=30 * SECOND))
    host.later(30)
    host.tick()
    assert state(host, lease) == (S.ENDED, R.ATTACH_DEADLINE)


def test_a_lease_that_is_being_prepared_is_left_alone() -> None:
    """Its outcome is on its way: neither a clock nor an empty look ends it."""
    host = Host(GPU, policy=LONG)
    lease = host.grant(Request(A, time_limit=60 * SECOND))
    host.apply([AbilityFound(MASKING)])
    host.do(AttachRequested(ADA, lease.id, process(50), standing(50, cgroup="/home")))
    host.later(61)
    decision = host.tick(members={lease.id: frozenset()})
    assert state(host, lease) == (S.PREPARING, None)
    assert changed_leases(decision) == []


def test_a_denied_open_is_told_under_the_lease_of_its_cgroup() -> None:
    """What the kernel denied is told with node and lease, also after a sleep of the host."""
    node = DeviceNode("/dev/nvidia1", 195, 1)
    host = Host(GPU, replace(OTHER, nodes=(node,)))
    cgroup = LeaseCgroup("/gpusched/lease-1", 7, made=True)
    lease = host.enter(host.grant(Request(A)), 50, cgroup)
    for seconds in (1, 3600):
        host.later(seconds)
        opens = (DeniedOpen(51, 7, 195, 1), DeniedOpen(None, 8, 195, 9))
        decision = host.do(Ticked(sample(reading(GPU), at=host.now), opens))
        told = [one.line for one in decision.changes if isinstance(one, StoryTold)]
        denied = [one for one in told if one.kind is StoryKind.DENIED_OPEN]
        assert [one.entity for one in denied] == [lease.id, "daemon"]
        assert denied[0].sentence == "process 51 was denied /dev/nvidia1"
        assert denied[1].sentence == "a process was denied device 195:9"


def test_the_kernel_is_looked_at_when_it_is_time() -> None:
    """Where leases have cgroups, each recheck asks for a look, and so does another device."""
    host = Host(GPU, policy=Policy(recheck=10 * SECOND, max_tick_gap=100 * SECOND))
    assert host.tick().actions == ()
    host.apply([AbilityFound(MASKING)])
    assert host.tick().actions == (Observe(),)
    host.apply([ObservationTaken(host.now.instant)])
    host.later(9)
    assert host.tick().actions == ()
    host.devices = (GPU, OTHER)
    assert host.tick().actions == (Observe(),)
    assert host.tick().actions == ()
    host.devices = (GPU, replace(OTHER, nodes=(DeviceNode("/dev/nvidia1", 195, 1),)))
    assert host.tick().actions == (Observe(),)
    host.later(1)
    assert host.tick().actions == (Observe(),)
    assert host.do(Ticked(NodeSample(host.now.instant, UNREADABLE))).actions == ()


def test_a_sample_is_taken_into_the_ledger() -> None:
    """After a tick the ledger has the sample, what it shows, and when it came."""
    host = Host(GPU)
    now = host.later(1)
    taken = sample(reading(GPU, context(7)), at=moment(1000.5))
    host.do(Ticked(taken))
    assert (host.ledger.sample, host.ledger.ticked_at) == (taken, now.instant)
    assert taken.begun_at < Instant(now.instant)
    assert len(host.ledger.uses[GPU.uuid].strangers) == 1


def ended_one_by_one(host: Host, names: str) -> list[Lease]:
    """Leases that ended in this order."""
    leases = []
    for letter in names:
        host.later(1)
        leases.append(host.release(host.grant(Request(RequestId(letter)))))
    return leases


def forgotten(decision: Decision) -> list[str]:
    """The leases that a decision forgets."""
    return [one.lease for one in decision.changes if isinstance(one, LeaseForgotten)]


def test_the_history_is_trimmed_by_age() -> None:
    """An ended lease is forgotten when it has been over for the configured time; unset: never."""
    for time, left in ((60 * SECOND, 0), (None, 1)):
        host = Host(GPU, policy=Policy(history_time=time))
        host.release(host.grant(Request(A)))
        host.tick()
        assert host.ledger.ended_count() == 1
        for _ in range(3):
            host.later(25)
            host.tick()
        assert host.ledger.ended_count() == left


def test_the_history_is_trimmed_to_what_the_operator_keeps() -> None:
    """The leases that ended first are forgotten first; the policy's number is kept."""
    host = Host(GPU, policy=Policy(history=2))
    leases = ended_one_by_one(host, "abcd")
    assert forgotten(host.tick()) == [leases[0].id, leases[1].id]
    assert host.ledger.get(leases[0].id) is None
    assert [one.id for one in host.ledger.ended()] == [leases[2].id, leases[3].id]
    assert forgotten(host.tick()) == []


def test_live_leases_are_never_forgotten() -> None:
    """Only ended leases count for the history."""
    host = Host(GPU, OTHER, policy=Policy(history=1))
    lease = host.grant(Request(A))
    assert forgotten(host.tick()) == []
    assert host.lease(lease.id).live


def test_a_story_is_told_of_each_change() -> None:
    """Whatever a tick ends is told, in the order in which it ends."""
    host = Host(GPU, OTHER, policy=LONG)
    host.grant(Request(A, attach_deadline=SECOND))
    host.grant(Request(B, time_limit=SECOND))
    host.later(5)
    told = [one.line.kind for one in host.tick().changes if isinstance(one, StoryTold)]
    assert told == [StoryKind.ENDED, StoryKind.ENDED]
