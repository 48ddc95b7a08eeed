"""The verbs of a holder: attach, renew, release, cancel; who may, and what a repetition does."""

from dataclasses import replace

import pytest

from gpusched.core.actions import TakeSample, WatchExit
from gpusched.core.enforcement import Mode
from gpusched.core.events import (
    AttachRequested,
    CancelRequested,
    Event,
    ReleaseRequested,
    RenewRequested,
)
from gpusched.core.ids import SECOND, Caller, Instant, LeaseId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.replies import Attachment, Done, Refusal, Rejected
from gpusched.core.request import Owner, Request
from tests.fakes.builders import ADA, BOB, ROOT, A, B, C, caller, device, process, standing
from tests.fakes.host import Host, changed_leases, sentences

GPU, OTHER = device(0), device(1)
NO_LEASE = LeaseId("lease-none")


def attaching(lease: Lease, pid: int, uids: tuple[int, int, int], by: Caller) -> AttachRequested:
    """A wish to attach a process that has these uids."""
    return AttachRequested(by, lease.id, process(pid), standing(pid, uids=uids))


def refused(host: Host, event: Event) -> Rejected:
    """The refusal of an event, which must change nothing."""
    decision = host.do(event)
    assert isinstance(decision.reply, Rejected)
    assert (decision.changes, decision.actions) == ((), ())
    return decision.reply


def test_attaching_makes_a_lease_active() -> None:
    """A process joins the lease, its end is watched, and a sample is taken at once."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    decision = host.do(attaching(lease, 50, (1000, 1000, 1000), ADA))
    entered = host.lease(lease.id)
    assert (entered.state, entered.processes) == (LeaseState.ACTIVE, (process(50),))
    done = Attachment(Mode.RECORD, (process(50),))
    assert decision.reply == Done((entered,), attachment=done)
    assert decision.actions == (WatchExit(process(50)), TakeSample())
    assert sentences(decision) == ["process 50 attached"]


def test_attaching_again_changes_nothing() -> None:
    """A process that is in the lease already is a success that says so."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A)), 50)
    decision = host.do(attaching(lease, 50, (1000, 1000, 1000), ADA))
    assert decision.reply == Done((lease,), "process 50 is attached already")
    assert (decision.changes, decision.actions) == ((), ())


@pytest.mark.parametrize("uids", [(1001, 1000, 1000), (1000, 0, 1000), (1000, 1000, 0)])
def test_only_ones_own_processes_may_be_attached(uids: tuple[int, int, int]) -> None:
    """A process of which any uid is another's is not attached, except by an administrator."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    no = refused(host, attaching(lease, 50, uids, ADA))
    assert no.why is Refusal.NOT_ALLOWED
    assert no.sentence == (
        f"process 50 has uids {uids[0]}, {uids[1]}, {uids[2]};"
        " uid 1000 may attach only its own processes"
    )
    assert isinstance(host.do(attaching(lease, 50, uids, ROOT)).reply, Done)


def test_a_lease_belongs_to_its_user() -> None:
    """Nobody but its user and an administrator may attach to, renew or release a lease."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    events = (
        attaching(lease, 50, (1001, 1001, 1001), BOB),
        RenewRequested(BOB, lease.id),
        ReleaseRequested(BOB, lease.id),
    )
    for event in events:
        no = refused(host, event)
        assert no.why is Refusal.NOT_ALLOWED
        assert no.sentence == f"{lease.id} belongs to user1000, not to uid 1001"
    assert host.release(lease, ROOT).state is LeaseState.ENDED


def test_an_owner_without_a_name_is_told_by_uid() -> None:
    """Where the user's name is unknown, the uid stands for it."""
    host = Host(GPU)
    lease = host.grant(Request(A), replace(ADA, user=""))
    no = refused(host, RenewRequested(BOB, lease.id))
    assert no.sentence == f"{lease.id} belongs to 1000, not to uid 1001"


def test_an_unknown_lease_is_not_found() -> None:
    """A lease that never was, or is forgotten, is not found."""
    host = Host(GPU)
    events = (
        AttachRequested(ADA, NO_LEASE, process(50), standing(50)),
        RenewRequested(ADA, NO_LEASE),
        ReleaseRequested(ADA, NO_LEASE),
    )
    for event in events:
        no = refused(host, event)
        assert no.why is Refusal.NOT_FOUND
        assert no.sentence == "there is no lease lease-none; see `gpusched leases`"


def test_a_lease_that_is_over_is_neither_attached_to_nor_renewed() -> None:
    """Whoever comes too late is told why the lease ended."""
    host = Host(GPU, OTHER)
    ended = host.release(host.grant(Request(A)))
    ending = host.release(host.attach(host.grant(Request(B)), 50))
    for lease, how in ((ended, "has ended"), (ending, "ends")):
        for event in (
            attaching(lease, 51, (1000, 1000, 1000), ADA),
            RenewRequested(ADA, lease.id),
        ):
            no = refused(host, event)
            assert no.why is Refusal.WRONG_STATE
            assert no.sentence == f"{lease.id} {how}: its holder released it"


def test_renewing_starts_the_keepalive_anew() -> None:
    """The keepalive runs from the renewal, by the request or else by the policy."""
    host = Host(GPU, OTHER, policy=Policy(keepalive=9 * SECOND))
    own, default = host.grant(Request(A, keepalive=7 * SECOND)), host.grant(Request(B))
    now = host.later(5)
    for lease, seconds in ((own, 7), (default, 9)):
        decision = host.do(RenewRequested(ADA, lease.id))
        renewed = host.lease(lease.id)
        assert renewed.clocks.keepalive == Instant(now.instant + seconds * SECOND)
        assert renewed.clocks.attach == lease.clocks.attach
        assert decision.reply == Done((renewed,))
        assert changed_leases(decision) == [renewed]


@pytest.mark.parametrize("policy", [Policy(), Policy(keepalive=9 * SECOND)])
def test_a_lease_without_keepalive_needs_no_renewal(policy: Policy) -> None:
    """Renewing what has no keepalive succeeds and changes nothing, whatever the policy is now."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    host.ledger.policy = policy
    decision = host.do(RenewRequested(ADA, lease.id))
    assert decision.reply == Done((lease,), f"{lease.id} needs no renewal: it has no keepalive")
    assert decision.changes == ()


def test_releasing_a_lease_that_nobody_entered_ends_it() -> None:
    """A reserved lease ends at once; there is nothing to wait for."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    decision = host.do(ReleaseRequested(ADA, lease.id))
    ended = host.lease(lease.id)
    assert (ended.state, ended.reason) == (LeaseState.ENDED, EndReason.RELEASED)
    assert (decision.reply, decision.actions) == (Done((ended,)), ())
    assert sentences(decision) == ["ended because its holder released it"]


def test_releasing_a_used_lease_asks_for_a_sample() -> None:
    """A used lease settles until a sample confirms, and one is taken at once."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A)), 50)
    decision = host.do(ReleaseRequested(ADA, lease.id))
    assert host.lease(lease.id).state is LeaseState.RELEASING
    assert decision.actions == (TakeSample(),)
    assert sentences(decision) == ["ends because its holder released it"]


def test_releasing_the_released_succeeds() -> None:
    """Releasing again changes nothing and says how the lease stands."""
    host = Host(GPU, OTHER)
    ended = host.release(host.grant(Request(A)))
    ending = host.release(host.attach(host.grant(Request(B)), 50))
    for lease, how in ((ended, "has ended"), (ending, "ends")):
        decision = host.do(ReleaseRequested(ADA, lease.id))
        assert decision.reply == Done((lease,), f"{lease.id} {how} already")
        assert (decision.changes, decision.actions) == ((), ())


def test_a_lease_in_use_is_not_released() -> None:
    """While processes of the lease live, it is not released; they are named by pid."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A)), 50)
    living = frozenset({process(52), process(51), process(50)})
    host.tick(members={lease.id: living})
    no = refused(host, ReleaseRequested(ADA, lease.id))
    assert no.why is Refusal.WRONG_STATE
    assert no.sentence == (
        f"{lease.id} is in use by 50, 51, 52; it ends by itself with the last of them"
    )


def test_the_last_process_may_release_its_own_lease() -> None:
    """The process that asks does not count as use."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A)), 50)
    host.tick(members={lease.id: frozenset({process(50)})})
    assert host.release(lease, caller(1000, pid=50)).state is LeaseState.RELEASING


def test_releasing_again_succeeds_though_processes_still_end() -> None:
    """A lease that ends already is not hindered by processes that are still there."""
    host = Host(GPU)
    lease = host.release(host.attach(host.grant(Request(A)), 50))
    host.tick(members={lease.id: frozenset({process(50)})})
    assert host.release(lease) == host.lease(lease.id)


def test_before_the_first_sample_nothing_hinders_a_release() -> None:
    """A lease can be released on a host that has not been read yet."""
    host = Host()
    lease = host.grant(Request(A, count=0))
    assert host.release(host.attach(lease, 50)).state is LeaseState.RELEASING


def test_an_owner_of_another_system_releases_all_its_leases() -> None:
    """Release by owner ends all leases of that owner, and only the caller's."""
    host = Host(*(device(n) for n in range(4)))
    job = Owner("slurm:1")
    mine = [host.grant(Request(name, owner=job)) for name in (A, B)]
    others = [host.grant(Request(A, owner=job), BOB), host.grant(Request(C))]
    decision = host.do(ReleaseRequested(ADA, owner="slurm:1"))
    assert isinstance(decision.reply, Done)
    assert [one.id for one in decision.reply.leases] == [one.id for one in mine]
    assert [host.lease(one.id).live for one in mine + others] == [False, False, True, True]
    host.do(ReleaseRequested(ROOT, owner="slurm:1"))
    assert not host.lease(others[0].id).live


def test_an_owner_whose_lease_is_in_use_releases_none() -> None:
    """One lease in use keeps all leases of the owner."""
    host = Host(GPU, OTHER)
    job = Owner("slurm:1")
    one, two = (host.grant(Request(name, owner=job)) for name in (A, B))
    host.attach(two, 50)
    host.tick(members={two.id: frozenset({process(50)})})
    no = refused(host, ReleaseRequested(ADA, owner="slurm:1"))
    assert no.sentence.startswith(f"{two.id} is in use by 50")
    assert host.lease(one.id).usable


@pytest.mark.parametrize("owner", ["slurm:9", None])
def test_an_owner_without_leases_has_released_all(owner: str | None) -> None:
    """Releasing what an owner does not have is a success that says so."""
    host = Host(GPU)
    host.grant(Request(A))
    decision = host.do(ReleaseRequested(ADA, owner=owner))
    assert decision.reply == Done((), "there is no such lease: nothing to release")
    assert decision.changes == ()


def test_releasing_several_says_how_each_stands() -> None:
    """Leases of an owner that end already are all named."""
    host = Host(GPU, OTHER)
    job = Owner("slurm:1")
    one, two = (host.attach(host.grant(Request(name, owner=job)), 50) for name in (A, B))
    host.do(ReleaseRequested(ADA, owner="slurm:1"))
    again = host.do(ReleaseRequested(ADA, owner="slurm:1")).reply
    assert isinstance(again, Done)
    assert again.sentence == f"{one.id} ends already; {two.id} ends already"


def test_cancelling_ends_a_lease_that_nobody_entered() -> None:
    """A cancelled request gives back what it was granted."""
    host = Host(GPU)
    lease = host.grant(Request(A))
    host.do(CancelRequested(ADA, A))
    assert host.lease(lease.id).reason is EndReason.CANCELLED
    assert not host.lease(lease.id).live


def test_a_request_in_use_is_not_cancelled() -> None:
    """A request whose lease has a process is released, not cancelled."""
    host = Host(GPU)
    lease = host.attach(host.grant(Request(A)), 50)
    no = refused(host, CancelRequested(ADA, A))
    assert no.why is Refusal.WRONG_STATE
    assert no.sentence == (
        f"'a' was granted and is in use as {lease.id}; `gpusched release {lease.id}` ends it"
    )


def test_a_request_of_another_user_is_not_found() -> None:
    """A request that is not the caller's own is not found by its id."""
    host = Host(GPU)
    host.grant(Request(A))
    no = refused(host, CancelRequested(BOB, A))
    assert no.why is Refusal.NOT_FOUND
    assert no.sentence == (
        "no request 'a' of uid 1001 waits or holds a lease; `gpusched leases` lists who waits"
    )
