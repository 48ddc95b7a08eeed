"""Ends that somebody orders: revoked, released with its processes, memory forgotten."""

import pytest

from gpusched.core.actions import TakeSample, Terminate, Unprepare
from gpusched.core.changes import AbilityFound, GhostChanged
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.events import (
    AttachRequested,
    ForgetRequested,
    ReleaseRequested,
    RevokeRequested,
)
from gpusched.core.ghost import Ghost
from gpusched.core.ids import SECOND, Instant, LeaseId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.replies import NOT_ADMIN, Done, Obstacle, Refusal, Rejected
from gpusched.core.request import Enforce, Owner, Request
from gpusched.core.sizes import GIB
from gpusched.core.verdicts import judge
from tests.fakes.builders import ADA, ROOT, A, B, device, process, standing
from tests.fakes.host import Host, sentences
from tests.fakes.kernel_builders import host_of

GPU, OTHER = device(0), device(1)
MADE = LeaseCgroup("/gpusched/lease-1", 7, made=True)
UNIT = LeaseCgroup("/system.slice/x.service", 8, made=False)
GRACE = Policy(grace=9 * SECOND)


def in_use(host: Host, lease: Lease) -> None:
    """The process that was attached is seen to live."""
    host.later(1)
    host.tick(members={lease.id: frozenset(lease.processes)})


def killing(host: Host, seconds: int) -> Clocks:
    """The clocks of a lease whose processes are to be gone *seconds* from now."""
    return Clocks(kill=Instant(host.now.instant + seconds * SECOND))


def test_only_an_administrator_revokes_and_forgets() -> None:
    """A holder releases what is his; the verbs of an operator are refused, changing nothing."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    for event in (RevokeRequested(ADA, lease.id, "mine"), ForgetRequested(ADA, GPU.uuid)):
        decision = host.do(event)
        assert (decision.reply, decision.changes, decision.actions) == (NOT_ADMIN, (), ())


@pytest.mark.parametrize(("grace", "seconds"), [(None, 9), (3 * SECOND, 3), (0, 0)])
def test_a_revoked_lease_ends_with_its_processes(grace: int | None, seconds: int) -> None:
    """In a cgroup that gpusched made, processes get SIGTERM and the grace that was said."""
    host = Host(GPU, policy=GRACE)
    lease = host.enter(host.grant(Request(A)), 50, MADE)
    decision = host.do(RevokeRequested(ROOT, lease.id, "maintenance", grace))
    ending = host.lease(lease.id)
    assert (ending.state, ending.reason) == (LeaseState.RELEASING, EndReason.REVOKED)
    assert (ending.detail, ending.clocks) == ("maintenance", killing(host, seconds))
    assert decision.actions == (Terminate(MADE), TakeSample())
    assert sentences(decision) == [
        "ends because it was revoked: maintenance",
        "SIGTERM was sent to its processes",
    ]


@pytest.mark.parametrize("signalled", [True, False])
def test_a_revoked_lease_in_place_is_unmasked(*, signalled: bool) -> None:
    """Somebody else's cgroup gets its processes back unmasked, and SIGTERM only if asked for."""
    host = Host(GPU)
    lease = host.enter(host.grant(Request(A)), 50, UNIT)
    decision = host.do(RevokeRequested(ROOT, lease.id, "x", signal_in_place=signalled))
    expected = (Unprepare(UNIT), TakeSample())
    assert decision.actions == ((Terminate(UNIT), *expected) if signalled else expected)
    assert host.lease(lease.id).clocks == Clocks()


def test_revoking_the_revoked_succeeds() -> None:
    """Revoking again changes nothing; nobody has been told of a lease that never was."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    host.do(RevokeRequested(ROOT, lease.id, "x"))
    again = host.do(RevokeRequested(ROOT, lease.id, "y"))
    assert again.reply == Done((host.lease(lease.id),), f"{lease.id} has ended already")
    assert again.changes == ()
    none = host.do(RevokeRequested(ROOT, LeaseId("lease-none"), "x")).reply
    assert isinstance(none, Rejected)
    assert none.why is Refusal.NOT_FOUND


def test_a_lease_in_use_says_how_it_is_released() -> None:
    """Where gpusched may end the processes, the refusal names the command; with it they end."""
    host = Host(GPU, policy=GRACE)
    lease = host.enter(host.grant(Request(A)), 50, MADE)
    in_use(host, lease)
    no = host.do(ReleaseRequested(ADA, lease.id)).reply
    assert isinstance(no, Rejected)
    assert no.sentence == (
        f"{lease.id} is in use by 50; it ends by itself with the last of them,"
        f" `gpusched release {lease.id} --kill` ends them"
    )
    decision = host.do(ReleaseRequested(ADA, lease.id, kill=True, grace=2 * SECOND))
    assert decision.actions == (Terminate(MADE), TakeSample())
    assert host.lease(lease.id).clocks == killing(host, 2)


def test_processes_that_are_known_by_name_are_not_ended() -> None:
    """Where they are in no cgroup of the lease, `--kill` is refused with the reason."""
    host = Host(GPU)
    named = host.attach(host.grant(Request(B)), 51)
    in_use(host, named)
    no = host.do(ReleaseRequested(ADA, named.id, kill=True)).reply
    assert isinstance(no, Rejected)
    assert no.sentence == (
        f"{named.id} is in use by 51, which are known by name only and not in a cgroup of"
        " gpusched's; end them yourself"
    )


def test_a_unit_is_unmasked_and_left_alone() -> None:
    """Of a lease in place `--kill` takes the mask off, and nobody in the unit is signalled."""
    host = Host(GPU)
    unit = host.enter(host.grant(Request(A)), 50, UNIT)
    in_use(host, unit)
    no = host.do(ReleaseRequested(ADA, unit.id)).reply
    assert isinstance(no, Rejected)
    assert no.sentence.endswith("--kill` takes its mask off and leaves them alone")
    decision = host.do(ReleaseRequested(ADA, unit.id, kill=True))
    assert decision.actions == (Unprepare(UNIT), TakeSample())
    assert host.lease(unit.id).state is LeaseState.RELEASING


def test_a_record_is_no_mask() -> None:
    """A daemon that can make no cgroups attaches nobody to a lease that requires its mask."""
    host = host_of()
    lease = host.grant(Request(A, count=0, enforce=Enforce.REQUIRED))
    host.apply((AbilityFound(Ability(Level.ADVISORY, "no root")),))
    no = host.do(AttachRequested(ADA, lease.id, process(50), standing(50))).reply
    assert isinstance(no, Rejected)
    assert (no.why, no.sentence) == (
        Refusal.NEVER_HERE,
        f"the mask of {lease.id} cannot be held: no root",
    )


def two_in_one(host: Host) -> tuple[Lease, Lease]:
    """Two leases of one owner whose processes are in one made cgroup."""
    job = Owner("slurm:1")
    one = host.enter(host.grant(Request(A, owner=job)), 50, MADE)
    two = host.enter(host.grant(Request(B, owner=job)), 50, MADE)
    alive = frozenset({process(50)})
    host.later(1)
    host.tick(members={one.id: alive, two.id: alive})
    return one, two


def test_a_process_of_two_leases_is_not_ended_for_one() -> None:
    """While another lease has the same processes, one of them cannot be killed for itself."""
    host = Host(GPU, OTHER)
    one, two = two_in_one(host)
    no = host.do(ReleaseRequested(ADA, one.id, kill=True)).reply
    assert isinstance(no, Rejected)
    assert f"which {two.id} have too; end them yourself" in no.sentence


def test_a_process_of_two_leases_is_ended_with_both() -> None:
    """Leases that end together do not keep each other's processes alive; one SIGTERM is sent."""
    host = Host(GPU, OTHER)
    two_in_one(host)
    decision = host.do(ReleaseRequested(ADA, owner="slurm:1", kill=True))
    assert decision.actions == (Terminate(MADE), TakeSample())
    assert [one.clocks.kill is None for one in host.ledger.live()] == [False, False]


def test_leases_whose_time_is_up_together_end_together() -> None:
    """Two leases in one cgroup that reach their limits in one tick are killed by that tick."""
    host = Host(GPU, OTHER, policy=Policy(max_tick_gap=10_000 * SECOND))
    for name in (A, B):
        host.enter(host.grant(Request(name, time_limit=60 * SECOND)), 50, MADE)
    host.later(60)
    actions = host.tick().actions
    assert [one for one in actions if isinstance(one, Terminate)] == [Terminate(MADE)]
    assert [one.clocks.kill is None for one in host.ledger.live()] == [False, False]


def test_ghost_memory_keeps_a_device_from_being_had_whole_until_forgotten() -> None:
    """The verdict tells figure, lease and the command; a share of the rest is not hindered."""
    host = Host(GPU)
    host.apply([GhostChanged(GPU.uuid, Ghost(4 * GIB, 0, LeaseId("lease-9"), host.now))])
    (found,) = judge(host.ledger, Request(A), host.now.instant)
    assert found.obstacle is Obstacle.GHOST
    assert found.sentence == (
        f"4 GiB of lease-9 did not come back;"
        f" `gpusched forget {GPU.uuid}` when that does not matter"
    )
    (found,) = judge(host.ledger, Request(A, memory=GIB), host.now.instant)
    assert found.obstacle is None
    decision = host.do(ForgetRequested(ROOT, GPU.uuid))
    assert decision.reply == Done(())
    assert sentences(decision) == ["no ghost memory: user0 forgot it"]
    (found,) = judge(host.ledger, Request(A), host.now.instant)
    assert found.obstacle is None


def test_forgetting_where_there_is_nothing_succeeds() -> None:
    """A device without ghost memory is as it was."""
    decision = Host(GPU).do(ForgetRequested(ROOT, GPU.uuid))
    assert (decision.reply, decision.changes) == (Done((), "there is no ghost memory"), ())
