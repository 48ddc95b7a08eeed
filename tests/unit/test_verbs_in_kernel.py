"""The verbs on a host with cgroups: what is under way, and what cannot be done meanwhile."""

from dataclasses import replace

from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import NOT_PROBED
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    ReleaseRequested,
    RevokeRequested,
)
from gpusched.core.ids import Caller, Instant, LeaseId, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.replies import Done, Refusal, Rejected, Underway
from gpusched.core.request import Request
from gpusched.core.standing import Standing
from gpusched.core.ticking import next_deadline
from tests.fakes.builders import ADA, ROOT, process
from tests.fakes.kernel_builders import (
    GPUS,
    SERVICE,
    held,
    host_of,
    own_cgroup,
    service,
    standing,
)

P = process(50)
BY = Caller(ADA.uid, ADA.gid, P, ADA.user)
CPU_ONLY = Request(RequestId("9"), count=0, attach_caller=True)
COMING = replace(held(None, GPUS[0]), state=LeaseState.PREPARING, entered=None)


def asked(place: Standing | None, *leases: Lease) -> Decision:
    """Ask for a lease without devices, for a process that is in this place."""
    return host_of(*leases).do(AllocateRequested(BY, CPU_ONLY, LeaseId("lease-9"), place))


def refused(decision: Decision) -> Rejected:
    """A refusal, by which nothing has changed."""
    assert isinstance(decision.reply, Rejected)
    assert (decision.changes, decision.actions) == ((), ())
    return decision.reply


def test_a_caller_that_cannot_be_attached_is_granted_nothing() -> None:
    """It has ended, is somebody else's, or is in a cgroup inside another lease's."""
    assert refused(asked(None)).why is Refusal.BAD_REQUEST
    assert refused(asked(standing(P, uid=7))).why is Refusal.NOT_ALLOWED
    inside = standing(P, path=SERVICE + "/worker")
    assert refused(asked(inside, held(service(), GPUS[0]))).why is Refusal.WRONG_STATE


def test_a_request_that_is_repeated_meanwhile_waits_for_the_same_outcome() -> None:
    """While its lease is prepared, the answer is that it is."""
    for processes, waits in (((P,), P), ((), None)):
        lease = replace(COMING, request=CPU_ONLY, processes=processes)
        assert asked(standing(P), lease).reply == Underway(lease, waits)


def test_a_lease_that_is_being_prepared_is_neither_ended_nor_attached() -> None:
    """Whoever wants to is told to come back in a moment."""
    host = host_of(COMING)
    for event in (
        RevokeRequested(ROOT, COMING.id, "so"),
        ReleaseRequested(ADA, COMING.id),
        AttachRequested(ADA, COMING.id, P, standing(P)),
    ):
        assert (
            refused(host.do(event)).sentence == "lease-1 is being prepared; repeat it in a moment"
        )


def test_a_whole_cgroup_joins_no_lease_that_is_elsewhere() -> None:
    """The one that it has already is a success."""
    host = host_of(held(service(), GPUS[0]))
    there = AttachRequested(ADA, LeaseId("lease-1"), None, standing(P, path=SERVICE))
    again = host.do(there)
    assert isinstance(again.reply, Done)
    assert again.changes == ()
    elsewhere = replace(there, standing=standing(P, path="/system.slice/b.service"))
    assert refused(host.do(elsewhere)).why is Refusal.WRONG_STATE


def test_a_container_is_not_moved_into_a_lease_that_is_elsewhere() -> None:
    """Out of its own cgroup its engine would lose it: it does not start with a lease in use."""
    host = host_of(held(own_cgroup(), GPUS[0]))
    path = "/docker/" + "ab" * 32
    other = process(51)
    event = AttachRequested(ADA, LeaseId("lease-1"), other, standing(other, path=path))
    assert refused(host.do(event)) == Rejected(
        Refusal.WRONG_STATE,
        f"lease-1 is in use elsewhere; allocate another lease for {path}",
    )
    inside = standing(other, path=own_cgroup().path + path)
    assert isinstance(host.do(replace(event, standing=inside)).reply, Underway)
    session = standing(other)
    assert isinstance(host.do(replace(event, standing=session)).reply, Underway)
    again = replace(event, process=P, standing=standing(P, path=path))
    assert isinstance(host.do(again).reply, Done)


def test_a_whole_cgroup_is_attached_only_where_there_are_cgroups() -> None:
    """By name only a process can be attached."""
    host = host_of(held(None, GPUS[0], state=LeaseState.RESERVED), ability=NOT_PROBED)
    event = AttachRequested(ADA, LeaseId("lease-1"), None, standing(P, path=SERVICE))
    assert refused(host.do(event)).why is Refusal.NEVER_HERE


def test_a_lease_that_nobody_has_sampled_is_released() -> None:
    """Before the first sample nobody is known to use it."""
    host = host_of(held(service(), GPUS[0]), sampled=False)
    assert isinstance(host.do(ReleaseRequested(ADA, LeaseId("lease-1"))).reply, Done)


def test_the_next_deadline_is_the_earliest_of_all_clocks() -> None:
    """Where none runs there is none; what had run out by the last tick hides no other."""
    assert next_deadline(host_of(held(None, GPUS[0])).ledger) is None
    clocks = Clocks(Instant(5), Instant(4), Instant(3), Instant(2), Instant(6))
    some = replace(held(None, GPUS[0]), clocks=clocks)
    ledger = host_of(some, sampled=False).ledger
    assert next_deadline(ledger) == 2
    ledger.ticked_at = Instant(4)
    assert next_deadline(ledger) == 5
    ledger.ticked_at = Instant(6)
    assert next_deadline(ledger) is None
