"""Requests that wait no longer, and clients that go and come back."""

from dataclasses import replace

import pytest

from gpusched.core.events import CancelRequested, Recovered
from gpusched.core.ids import SECOND, BootId, RequestId
from gpusched.core.lease import EndReason
from gpusched.core.policy import Policy
from gpusched.core.priority import QueueRules
from gpusched.core.queue_events import ClientLeft
from gpusched.core.replies import Done, Refusal, Rejected
from gpusched.core.request import Owner, Request
from gpusched.core.ticking import next_deadline
from gpusched.core.waiting import Waiting
from tests.fakes.builders import ADA, BOB, device, process
from tests.fakes.host import Host, sentences
from tests.fakes.queued_host import let_go

BOOT, OTHER_BOOT = BootId("1"), BootId("2")
A = RequestId("a")
GRACE = 60
HERE = replace(ADA, process=process(7))


@pytest.fixture
def host() -> Host:
    """A host whose only device is taken."""
    found = Host(device(0), policy=Policy(queue=QueueRules(grace=GRACE * SECOND)))
    found.grant(Request(RequestId("held")))
    return found


def queued(host: Host, wait: int | None = 30) -> Waiting:
    """A request that waits so many seconds; None: for ever."""
    asked = Request(A, wait_without_limit=True)
    if wait is not None:
        asked = Request(A, wait=wait * SECOND)
    return host.queue(asked)


def wait(host: Host, seconds: int) -> None:
    """Let time pass, with ticks: a longer gap between two would be taken for a sleep."""
    while seconds > 0:
        host.later(min(seconds, 20))
        host.tick()
        seconds -= 20


def refusal(host: Host, waiting: Waiting) -> Rejected:
    """What somebody who waited in vain is told."""
    reply = host.answers[waiting.key]
    assert isinstance(reply, Rejected)
    return reply


def test_the_time_to_wait_is_over(host: Host) -> None:
    """Who has waited long enough is told what is still in the way."""
    waiting = queued(host)
    assert next_deadline(host.ledger) == waiting.deadline
    host.later(29)
    host.tick()
    assert host.waits(waiting)
    host.later(1)
    told = sentences(host.tick())
    assert told == ["waits no longer: its time to wait is over"]
    found = refusal(host, waiting)
    assert found.why is Refusal.LATER
    assert found.sentence.startswith("waited 30s: 1 device wanted, 0 free now: 0: held by")
    assert len(host.ledger.waiting) == 0


def test_who_leaves_together_is_told_of_his_own_request(host: Host) -> None:
    """What is in the way is found out once for those that ask for the same; each is answered with
    the nearest of his own request.
    """
    two = Host(device(0), device(1), policy=host.ledger.policy)
    two.grant(Request(RequestId("held"), time_limit=7200 * SECOND), BOB)
    two.queue(Request(RequestId("both"), count=2, wait_without_limit=True), BOB)
    some = [
        Request(RequestId(name), wait=30 * SECOND, owner=Owner(f"slurm:{name}"))
        for name in ("a", "b")
    ]
    waiting = [two.queue(one) for one in some]
    wait(two, 30)
    told = [refusal(two, one) for one in waiting]
    limit = 119 * 60 * SECOND
    assert [one.nearest for one in told] == [replace(one, time_limit=limit) for one in some]
    assert told[0].sentence == told[1].sentence


def test_a_client_that_is_gone_keeps_its_place_for_a_while(host: Host) -> None:
    """The place is kept for the grace time, and then given up."""
    waiting = queued(host, None)
    assert next_deadline(host.ledger) is not None
    host.do(ClientLeft(waiting.key))
    wait(host, GRACE - 1)
    assert host.waits(waiting)
    host.later(1)
    assert sentences(host.tick()) == ["waits no longer: its client is gone"]
    assert refusal(host, waiting).sentence == "waited 1m: its client is gone"
    assert not host.waits(waiting)


def test_a_client_that_comes_back_has_its_place_back(host: Host) -> None:
    """With the same id it waits on where it was, and no clock of its absence runs."""
    waiting = queued(host, None)
    host.do(ClientLeft(waiting.key))
    wait(host, GRACE - 1)
    again = host.queue(waiting.request)
    assert again == waiting
    wait(host, GRACE)
    assert host.waits(waiting)


def test_a_client_leaves_what_does_not_wait(host: Host) -> None:
    """That the client of a request goes that waits no longer is no matter."""
    decision = host.do(ClientLeft((ADA.uid, A)))
    assert decision.changes == ()


def test_cancelled(host: Host) -> None:
    """A request is withdrawn by its id; whoever waits for it is told by whom."""
    waiting = queued(host)
    decision = host.do(CancelRequested(ADA, A))
    assert decision.reply == Done((), "a waits no longer: user1000 cancelled it")
    assert refusal(host, waiting).sentence == "a waits no longer: user1000 cancelled it"
    assert sentences(decision) == ["waits no longer: user1000 cancelled it"]
    again = host.do(CancelRequested(ADA, A)).reply
    assert isinstance(again, Rejected)
    assert again.why is Refusal.NOT_FOUND


def test_of_another_user_is_not_cancelled(host: Host) -> None:
    """The id of a request means that of who says it."""
    waiting = queued(host)
    reply = host.do(CancelRequested(BOB, A)).reply
    assert isinstance(reply, Rejected)
    assert host.waits(waiting)


def test_a_host_that_slept_ends_no_wait(host: Host) -> None:
    """A suspended host expires nothing: every clock has the time that it was away."""
    waiting = queued(host)
    host.ask(Request(RequestId("b"), wait_without_limit=True))
    host.later(3600)
    host.tick()
    assert host.waits(waiting)
    wait(host, 29)
    assert host.waits(waiting)
    wait(host, 1)
    assert not host.waits(waiting)
    assert len(host.ledger.waiting) == 1


def test_who_comes_after_a_sleep_waits_no_longer_for_it(host: Host) -> None:
    """A request from between the end of a sleep and the next tick has not missed it."""
    host.later(3600)
    waiting = queued(host)
    assert waiting.deadline is not None
    host.later(2)
    host.tick()
    found = host.ledger.waiting.get(waiting.key)
    assert found is not None
    assert found.deadline == waiting.deadline + 2 * SECOND


def restarted(host: Host, boot: BootId, away: int) -> Host:
    """The next daemon, with what the first one stored."""
    after = Host(policy=host.ledger.policy)
    after.devices = host.devices
    after.ledger.restore(list(host.ledger.live()), host.ledger.stories, 0)
    after.ledger.restore_waiting(host.ledger.waiting)
    after.now = host.now
    alive_at = after.now.instant
    after.later(away)
    after.do(Recovered(BOOT, boot, alive_at, "1"))
    if after.devices:
        after.tick()
    return after


def test_a_restart_keeps_place_and_arrival(host: Host) -> None:
    """After a restart everybody waits where it was, with the time that the daemon was away."""
    first, second = queued(host), host.queue(Request(A, wait_without_limit=True), BOB)
    after = restarted(host, BOOT, away=50)
    found = list(after.ledger.waiting)
    assert [one.key for one in found] == [first.key, second.key]
    assert [one.arrived for one in found] == [first.arrived, second.arrived]
    assert first.deadline is not None
    assert found[0].deadline == first.deadline + 50 * SECOND
    assert after.queue(Request(RequestId("c"), wait_without_limit=True)).number == 2


def test_after_a_restart_clients_have_to_come_back(host: Host) -> None:
    """Who does not come back to the new daemon in time leaves."""
    waiting = host.queue(Request(A, wait_without_limit=True))
    after = restarted(host, BOOT, away=5)
    other = after.queue(Request(RequestId("b"), wait_without_limit=True))
    wait(after, GRACE)
    assert not after.waits(waiting)
    assert after.waits(other)


def test_a_boot_ends_every_wait(host: Host) -> None:
    """No client of another boot is there: all requests leave, and the history says why."""
    waiting = queued(host)
    after = restarted(host, OTHER_BOOT, away=5)
    assert not after.waits(waiting)
    told = [one.sentence for one in after.ledger.stories]
    assert "waits no longer: the host was started anew" in told


def test_a_lease_waits_for_a_client_that_is_gone_no_longer_than_its_place(host: Host) -> None:
    """Where nobody but the client can enter it, the next one has the devices after the grace."""
    waiting = host.queue(Request(A, wait_without_limit=True, attach_caller=True), by=HERE)
    behind = host.queue(Request(RequestId("b"), wait_without_limit=True))
    host.do(ClientLeft(waiting.key))
    wait(host, GRACE - 20)
    let_go(host, "held")
    assert host.served(waiting).clocks.attach == host.now.instant + 20 * SECOND
    wait(host, 20)
    assert host.lease(waiting.lease_id).reason is EndReason.ATTACH_DEADLINE
    assert not host.waits(behind)


@pytest.mark.parametrize(("attaches", "gone"), [(True, False), (False, True)])
def test_other_leases_are_there_as_long_as_was_asked(
    host: Host, *, attaches: bool, gone: bool
) -> None:
    """Who is there, or may come by another call, has the time that every lease gives."""
    waiting = host.queue(
        Request(A, wait_without_limit=True, attach_caller=attaches, attach_deadline=300 * SECOND),
        by=HERE,
    )
    if gone:
        host.do(ClientLeft(waiting.key))
    let_go(host, "held")
    assert host.served(waiting).clocks.attach == host.now.instant + 300 * SECOND


def test_a_short_time_to_come_stays_short(host: Host) -> None:
    """The grace gives nobody more time than the request did."""
    waiting = host.queue(
        Request(A, wait_without_limit=True, attach_caller=True, attach_deadline=5 * SECOND),
        by=HERE,
    )
    host.do(ClientLeft(waiting.key))
    let_go(host, "held")
    assert host.served(waiting).clocks.attach == host.now.instant + 5 * SECOND
