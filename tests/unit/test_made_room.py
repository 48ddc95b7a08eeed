"""For whom a device is that leases were told to end for: nobody else of their class gets it."""

from dataclasses import replace

import pytest

from gpusched.core.changes import LeaseChanged, LeaseForgotten
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import CancelRequested, PolicyRead, Recovered
from gpusched.core.giving_way import GivingWay
from gpusched.core.ids import SECOND, BootId, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.quota import Bounds, Exempt, Quotas, Resource
from gpusched.core.replies import Obstacle, Refusal
from gpusched.core.request import Request
from gpusched.core.reserving import why_waits
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, BOB, ROOT, device, process
from tests.fakes.host import Host, places
from tests.fakes.queued_host import order, wish

NOTICE = 20
CLASSES = {
    "high": PriorityClass(10),
    "normal": PriorityClass(),
    "low": PriorityClass(-10, preemptible=True),
}
RULES = QueueRules(classes=CLASSES, notice=NOTICE * SECOND)
POLICY = Policy(queue=RULES)
ONE, TWO = (device(place) for place in range(2))
AGES = 3 * 3600
BOOT = BootId("boot")


def waiting_low(count: int = 2, *, policy: Policy = POLICY) -> Host:
    """A host that leases of the class low have, for which another one has waited for ages."""
    host = Host(*(device(place) for place in range(count)), policy=policy)
    for place in range(count):
        host.later(1)
        host.grant(Request(RequestId(f"held-{place}"), priority="low"))
    host.queue(wish("old", priority="low"))
    for _ in range(2):
        host.later(AGES)
        host.tick()
    return host


def told(host: Host) -> list[str]:
    """The requests whose leases were told that they end."""
    return [one.request.request_id for one in host.ledger.live() if one.usable and one.giving_way]


def held(host: Host) -> list[str]:
    """The requests that have leases, in the order of their devices."""
    leases = sorted(host.ledger.live(), key=places)
    return [one.request.request_id for one in leases]


def release(host: Host, name: str) -> Lease:
    """Release the lease of one of Ada's requests."""
    lease = host.ledger.by_request(ADA.uid, RequestId(name))
    assert lease is not None
    host.release(lease)
    return lease


def pass_notice(host: Host) -> None:
    """Let the time of the notice pass."""
    host.later(NOTICE)
    host.tick()


def test_nobody_ends_for_one_of_its_own_class() -> None:
    """Who was told to end for a higher class ends for it, though one of the own class is the
    first in the order of service.
    """
    host = waiting_low()
    host.queue(wish("urgent"), BOB)
    assert (order(host), told(host)) == (["old", "urgent"], ["held-1"])
    pass_notice(host)
    assert (held(host), order(host)) == (["held-0", "urgent"], ["old"])


def test_what_comes_free_otherwise_is_the_first_s() -> None:
    """Only what somebody ends for is kept from who came first."""
    host = waiting_low()
    host.queue(wish("urgent"), BOB)
    release(host, "held-0")
    assert (held(host), order(host)) == (["old", "held-1"], ["urgent"])


def test_who_leaves_when_told_leaves_it_to_the_same() -> None:
    """A lease that is given back upon the notice is given back for whom the notice told of."""
    host = waiting_low()
    host.queue(wish("urgent"), BOB)
    lease = release(host, "held-1")
    assert (held(host), order(host)) == (["held-0", "urgent"], ["old"])
    assert host.lease(lease.id).giving_way is None


def test_who_comes_in_between_keeps_it_from_the_same() -> None:
    """What a lease ended for, and somebody of a higher class who came before keeps, is nothing
    that one of its own class could have, whoever asks.
    """
    host = Host(*(device(place) for place in range(4)), policy=POLICY)
    host.grant(Request(RequestId("held-0"), priority="low"))
    host.grant(Request(RequestId("long"), count=2))
    host.grant(Request(RequestId("held-1"), priority="low"))
    first, old = (host.queue(wish(name, priority="low")) for name in ("first", "old"))
    for _ in range(2):
        host.later(AGES)
        host.tick()
    host.queue(wish("pair", 2), BOB)
    host.queue(wish("urgent"), BOB)
    host.do(CancelRequested(ADA, first.request.request_id))
    assert (order(host), told(host)) == (["old", "pair", "urgent"], ["held-1"])
    pass_notice(host)
    assert (held(host), order(host)) == (["held-0", "long"], ["old", "pair", "urgent"])
    verdicts = why_waits(host.ledger, old, host.now.instant).verdicts
    assert [one.obstacle for one in verdicts] == [Obstacle.HELD] * 3 + [Obstacle.KEPT]


@pytest.mark.parametrize("again", [False, True])
def test_one_after_the_other_is_kept_until_there_are_enough(*, again: bool) -> None:
    """Where several end for one request, what the first of them had waits for the last; also
    where the daemon is started anew meanwhile.
    """
    host = waiting_low(3)
    host.queue(wish("urgent", 2), BOB)
    assert told(host) == ["held-1", "held-2"]
    release(host, "held-1")
    host = restarted(host) if again else host
    assert (held(host), order(host)) == (["held-0", "held-2"], ["old", "urgent"])
    assert host.refusal(Request(RequestId("now"), priority="low")).why is Refusal.LATER
    pass_notice(host)
    assert (held(host), order(host)) == (["held-0", "urgent"], ["old"])


def test_a_restart_gives_no_new_notice() -> None:
    """Who was told ends at the time that he was told, also where a daemon starts meanwhile."""
    host = waiting_low(3)
    host.queue(wish("urgent", 2), BOB)
    before = [one.giving_way for one in host.ledger.live()]
    host.later(5)
    host.tick()
    assert [one.giving_way for one in restarted(host).ledger.live()] == before


def restarted(host: Host) -> Host:
    """The daemon again, with what it had stored."""
    after = Host(policy=host.ledger.policy)
    after.devices, after.now, after.granted_count = host.devices, host.now, host.granted_count
    leases = [*host.ledger.live(), *host.ledger.ended()]
    after.ledger.restore(leases, (), host.ledger.generation)
    after.ledger.restore_waiting(host.ledger.waiting)
    after.do(Recovered(BOOT, BOOT, after.now.instant, "1"))
    after.tick()
    return after


def test_where_it_waits_no_longer_the_first_gets_it() -> None:
    """With the request the reason is gone: what ended for it already is the first one's."""
    host = waiting_low(3)
    host.queue(wish("urgent", 2), BOB)
    lease = release(host, "held-1")
    host.do(CancelRequested(BOB, RequestId("urgent")))
    assert (held(host), told(host), order(host)) == (["held-0", "old", "held-2"], [], [])
    assert host.lease(lease.id).giving_way is None


def test_a_class_above_may_have_it() -> None:
    """Who could have asked the same of those who end, and comes first, gets what they had."""
    host = waiting_low()
    host.queue(wish("urgent"), BOB)
    host.queue(wish("most urgent", priority="high"), ROOT)
    pass_notice(host)
    assert (held(host), order(host)) == (["held-0", "most urgent"], ["old", "urgent"])


def test_who_is_over_his_quota_has_no_claim() -> None:
    """What somebody ends for is kept for nobody who could not have it: he waits for himself."""
    host = waiting_low(3)
    host.queue(wish("urgent", 2), BOB)
    quotas = Quotas(each=Bounds("each user", {Resource.DEVICES: 1}), exempt=Exempt.ADMINS)
    release(host, "held-1")
    host.do(PolicyRead(replace(POLICY, quotas=quotas), {}))
    assert (told(host), host.ledger.holds) == ([], {})
    host.do(PolicyRead(POLICY, {}))
    assert host.ledger.holds[TWO.uuid].key == (BOB.uid, "urgent")


def test_while_its_memory_comes_back_nobody_else_is_told() -> None:
    """A lease that was told has not ended before its memory is confirmed back: it is enough."""
    host = Host(ONE, TWO, policy=POLICY)
    for place in range(2):
        host.later(1)
        host.grant(Request(RequestId(f"held-{place}"), priority="low"))
    lease = host.ledger.by_request(ADA.uid, RequestId("held-1"))
    assert lease is not None
    host.enter(lease, 7, LeaseCgroup("/gpusched/a", 70, made=True))
    members = {lease.id: frozenset({process(7)})}
    host.later(1)
    host.tick(members=members)
    host.queue(wish("urgent"), BOB)
    host.later(NOTICE)
    host.tick(members=members)
    assert host.lease(lease.id).state is LeaseState.RELEASING
    assert told(host) == []
    assert host.ledger.gives_way_to((BOB.uid, RequestId("urgent")))


def test_of_two_on_one_device_the_first_has_it() -> None:
    """Where shares of one device end for several requests it is kept for the first of them."""
    host = Host(ONE, TWO, policy=POLICY)
    for number in range(4):
        memory = (30 if number % 2 else 40) * GIB
        where = ((ONE, TWO)[number // 2].uuid,)
        asked = Request(RequestId(f"held-{number}"), memory=memory, devices=where, priority="low")
        host.grant(asked)
    host.queue(wish("a", 2, memory=30 * GIB), BOB)
    host.queue(wish("b", devices=(ONE.uuid,)), BOB)
    assert {one.key[1] for one in host.ledger.holds.values()} == {"a"}
    pass_notice(host)
    assert "a" in held(host)


def test_a_lease_that_is_forgotten_has_made_room_for_nobody() -> None:
    """That a lease gave way is known as long as the lease is, also when it has ended."""
    host = Host(ONE, policy=POLICY)
    lease = host.release(host.grant(Request(RequestId("held"), priority="low")))
    way = GivingWay((BOB.uid, RequestId("urgent")), host.now.instant)
    ended = replace(lease, giving_way=way)
    host.apply([LeaseChanged(ended)])
    assert [*host.ledger.making_way()] == [ended]
    host.apply([LeaseForgotten(lease.id)])
    assert [*host.ledger.making_way()] == []
