"""Grants: what a lease begins with, repetition, and refusals before any device is looked at."""

from dataclasses import replace

import pytest

from gpusched.core.actions import WatchExit
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import Level
from gpusched.core.ids import SECOND, Instant, LeaseId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.replies import Granted, Refusal
from gpusched.core.request import Enforce, Request
from gpusched.core.share import Share
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, BOB, A, B, caller, device, process
from tests.fakes.host import Host, changed_leases, sentences

GPU, OTHER = device(0), device(1)


def test_a_grant_is_a_reserved_lease_of_the_caller() -> None:
    """A lease begins RESERVED, in the caller's name, with the shares that were asked for."""
    host = Host(GPU)
    decision = host.ask(Request(A, memory=4 * GIB))
    assert isinstance(decision.reply, Granted)
    lease = decision.reply.lease
    assert (lease.id, lease.state) == (LeaseId("lease-0000000001"), LeaseState.RESERVED)
    assert (lease.uid, lease.gid, lease.user) == (ADA.uid, ADA.gid, ADA.user)
    share = Share(GPU.uuid, GPU.memory_domain, 4 * GIB, baseline=0, total=80 * GIB)
    assert lease.shares == (share,)
    assert (lease.created, lease.level) == (host.now, Level.ADVISORY)
    assert not decision.reply.repeated
    assert changed_leases(decision) == [lease]
    assert sentences(decision) == [f"granted to user1000: {GPU.uuid} with 4 GiB each"]
    assert decision.actions == ()


def test_clocks_run_by_the_request() -> None:
    """A request that names durations has them."""
    host = Host(GPU, policy=Policy(keepalive=7 * SECOND))
    asked = Request(A, attach_deadline=SECOND, keepalive=2 * SECOND, time_limit=3 * SECOND)
    begin = host.now.instant
    assert host.grant(asked).clocks == Clocks(
        *(Instant(begin + n * SECOND) for n in (1, 2, 3)),
    )


def test_clocks_run_by_the_policy_where_the_request_is_silent() -> None:
    """Attach deadline and keepalive have the operator's defaults; a time limit has none."""
    host = Host(GPU, OTHER, policy=Policy(attach_deadline=9 * SECOND, keepalive=7 * SECOND))
    begin = host.now.instant
    expected = Clocks(Instant(begin + 9 * SECOND), Instant(begin + 7 * SECOND), None)
    assert host.grant(Request(A)).clocks == expected
    assert Host(GPU).grant(Request(A)).clocks == Clocks(attach=Instant(begin + 300 * SECOND))


def test_a_repeated_request_gets_the_same_grant() -> None:
    """The same request by the same user gives the same lease, and nothing changes."""
    host = Host(GPU, OTHER)
    first = host.grant(Request(A))
    again = host.ask(Request(A))
    assert again.reply == Granted(first, repeated=True)
    assert (again.changes, again.actions) == ((), ())


def test_a_repeated_request_gets_the_lease_as_it_is_now() -> None:
    """A repetition answers with the present version of the lease."""
    host = Host(GPU)
    active = host.attach(host.grant(Request(A)), 50)
    assert host.ask(Request(A)).reply == Granted(active, repeated=True)


def test_a_request_id_means_one_request() -> None:
    """One request id with another request is refused, naming the lease it has."""
    host = Host(GPU, OTHER)
    first = host.grant(Request(A))
    no = host.refusal(Request(A, count=2))
    assert (no.why, no.field) == (Refusal.BAD_REQUEST, "request_id")
    assert no.sentence == f"request_id: 'a' was used for another request ({first.id})"


def test_request_ids_belong_to_their_user() -> None:
    """Two users may use the same request id."""
    host = Host(GPU, OTHER)
    assert host.grant(Request(A), ADA).id != host.grant(Request(A), BOB).id


def test_a_request_id_may_be_used_again_after_the_end() -> None:
    """Once its lease has ended, a request is a new one."""
    host = Host(GPU)
    first = host.grant(Request(A))
    host.release(first)
    assert host.grant(Request(A)).id != first.id


def test_a_request_id_may_be_used_again_while_its_lease_settles() -> None:
    """A lease that ends does not answer its request any more."""
    host = Host(GPU, OTHER)
    first = host.attach(host.grant(Request(A)), 50)
    assert host.release(first).state is LeaseState.RELEASING
    again = host.grant(Request(A))
    assert again.id != first.id
    assert again.shares[0].device == OTHER.uuid


def test_the_caller_is_attached_in_the_same_commit() -> None:
    """A caller that attaches itself gets an ACTIVE lease: the reserved one is never stored."""
    host = Host(GPU)
    decision = host.ask(Request(A, attach_caller=True), caller(1000, pid=77))
    assert isinstance(decision.reply, Granted)
    lease = decision.reply.lease
    assert (lease.state, lease.processes) == (LeaseState.ACTIVE, (process(77),))
    assert lease.clocks.attach is None
    assert changed_leases(decision) == [lease]
    assert sentences(decision) == [
        f"granted to user1000: {GPU.uuid} exclusively",
        "process 77 attached",
    ]
    assert decision.actions == (WatchExit(process(77)),)


def test_a_caller_that_is_known_is_not_attached_unasked() -> None:
    """Whoever does not ask to be attached is not."""
    assert Host(GPU).grant(Request(A), caller(1000, pid=77)).processes == ()


def test_a_caller_that_is_gone_gets_nothing() -> None:
    """A caller that cannot be attached leaves no half-granted lease."""
    no = Host(GPU).refusal(Request(A, attach_caller=True), caller(1000))
    assert (no.why, no.field) == (Refusal.BAD_REQUEST, "attach_caller")
    assert no.sentence == ("attach_caller: the calling process ended before it could be attached")


@pytest.mark.parametrize("count", [0, 1])
def test_enforcement_that_cannot_be_had_is_refused(count: int) -> None:
    """A request that requires enforcement is refused where there is none, not weakened."""
    no = Host(GPU).refusal(Request(A, count=count, enforce=Enforce.REQUIRED))
    assert (no.why, no.field) == (Refusal.NEVER_HERE, "enforce")
    assert no.sentence == (
        "the mask cannot be held, and it is required: it has not been found out yet what this"
        " host can enforce; ask with `preferred` (the default) or `advisory`"
    )


def test_a_lease_without_devices_is_a_lease() -> None:
    """A CPU-only lease lives like any other, without shares."""
    host = Host(GPU)
    decision = host.ask(Request(B, count=0))
    assert isinstance(decision.reply, Granted)
    assert decision.reply.lease.shares == ()
    assert sentences(decision) == ["granted to user1000: no device"]
    host.release(decision.reply.lease)
    ended = host.lease(decision.reply.lease.id)
    assert (ended.state, ended.reason) == (LeaseState.ENDED, EndReason.RELEASED)


def test_a_refused_request_may_be_granted_later() -> None:
    """A refusal leaves no trace: the same request is granted once there is room."""
    host = Host(GPU)
    first = host.grant(Request(A))
    before = replace(first)
    host.refusal(Request(B))
    assert host.lease(first.id) == before
    host.release(first)
    assert host.grant(Request(B)).shares[0].device == GPU.uuid
