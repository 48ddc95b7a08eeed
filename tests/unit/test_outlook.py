"""What is said of a request that waits, or would: its place, when it begins, and who gives way."""

from dataclasses import replace

from gpusched.core.changes import PolicyChanged, WaitingGone
from gpusched.core.events import ExplainRequested
from gpusched.core.ids import SECOND, Caller, RequestId
from gpusched.core.outlook import Outlook, outlook_of
from gpusched.core.policy import Policy
from gpusched.core.preferences import Topology
from gpusched.core.priority import QueueRules
from gpusched.core.replies import Explained, Obstacle, Refusal
from gpusched.core.request import Request
from gpusched.core.reserving import verdicts_for
from gpusched.core.waiting import Waiting
from tests.fakes.bounding import bounded, each
from tests.fakes.builders import ADA, BOB, device
from tests.fakes.host import Host
from tests.fakes.queued_host import busy, host_of, wish
from tests.fakes.topologies import paired

ONE, TWO = device(0), device(1)


def limited(*minutes: int | None) -> Host:
    """A device for each lease of Ada, which ends by its limit after so many minutes, or never."""
    host = host_of(*(device(place) for place in range(len(minutes))))
    for place, limit in enumerate(minutes):
        time = None if limit is None else limit * 60 * SECOND
        named = (device(place).uuid,)
        host.grant(Request(RequestId(f"held-{place}"), devices=named, time_limit=time))
    return host


def outlook(host: Host, waiting: Waiting) -> Outlook:
    """What is said now."""
    return outlook_of(host.ledger, waiting, host.now.instant)


def begins_in(host: Host, waiting: Waiting) -> int | None:
    """In how many minutes at the latest it begins; None: nothing says so."""
    by = outlook(host, waiting).by
    return None if by is None else (by - host.now.instant) // (60 * SECOND)


def explained(host: Host, request: Request, by: Caller = BOB) -> Explained:
    """What would be answered to a request."""
    reply = host.do(ExplainRequested(by, request)).reply
    assert isinstance(reply, Explained)
    return reply


def would(host: Host, request: Request, by: Caller = BOB) -> Outlook:
    """What is said of a request that does not wait yet, and would."""
    arriving = explained(host, request, by).arriving
    assert arriving is not None
    return outlook(host, arriving)


def test_who_waits_has_a_place() -> None:
    """The place counts from 1, among all who wait; why is what is in the way of this one."""
    host = busy(1)
    host.queue(wish("first"))
    second = outlook(host, host.queue(wish("second")))
    assert (second.position, second.count, second.place) == (2, 2, "in place 2 of 2")
    assert second.why.why is Refusal.LATER
    assert second.preempted == ()


def test_who_would_wait_has_one_too() -> None:
    """It counts itself, and comes where its class would put it; nothing is changed by asking."""
    host = busy(1)
    host.queue(wish("first"))
    assert would(host, wish("last")).place == "in place 2 of 2"
    assert would(host, wish("urgent", priority="high")).place == "in place 1 of 2"
    assert len(host.ledger.waiting) == 1


def test_who_would_not_wait_has_none() -> None:
    """Without a wait, for what can never be had, and where it would be granted at once."""
    host = busy(1)
    assert explained(host, Request(RequestId("now"))).arriving is None
    assert explained(host, wish("many", 2)).arriving is None
    assert explained(host_of(ONE), wish("free")).arriving is None


def test_who_may_wait_no_more_is_told_so() -> None:
    """A quota of waiting requests is in the way before the queue is."""
    host = Host(ONE, policy=bounded(each(waiting=1)))
    host.grant(wish("held"))
    host.queue(wish("first"), BOB)
    reply = explained(host, wish("second"))
    assert reply.arriving is None
    assert reply.rejection is not None
    assert reply.rejection.sentence.startswith("quota of each user: waiting requests: 1 of 1 used")


def test_it_begins_when_enough_has_ended() -> None:
    """By the time limits of the nearest devices; later ones do not matter."""
    host = limited(60, 90, None)
    assert begins_in(host, host.queue(wish("one"))) == 60
    assert begins_in(limited(60, 90, None), host.queue(wish("other", 1))) == 60
    pair = limited(60, 90, None)
    assert begins_in(pair, pair.queue(wish("pair", 2))) == 90
    three = limited(60, 90, None)
    assert begins_in(three, three.queue(wish("three", 3))) is None


def test_what_is_kept_for_others_says_nothing() -> None:
    """Of who waits behind, a device of those before has no time; the next one has."""
    host = limited(60, 90)
    host.queue(wish("first"))
    assert begins_in(host, host.queue(wish("second"))) == 90
    assert begins_in(host, host.queue(wish("third"))) is None


def test_what_is_kept_for_itself_is_not_in_its_way() -> None:
    """A free device that waits for the rest of the request is free, as far as that goes."""
    host = host_of(ONE, TWO)
    host.grant(Request(RequestId("held"), devices=(ONE.uuid,)))
    waiting = host.queue(wish("pair", 2))
    why = outlook(host, waiting).why
    assert [one.obstacle for one in why.verdicts] == [Obstacle.HELD, None]
    assert why.nearest is None, "another request of its user would not get that device"


def test_what_would_do_instead_is_had_at_once() -> None:
    """A request that waits is told what its user could have now, beside it."""
    host = host_of(ONE, TWO)
    host.grant(Request(RequestId("held"), devices=(ONE.uuid,), time_limit=3600 * SECOND))
    host.queue(wish("pair", 2))
    nearest = outlook(host, host.queue(wish("single"), BOB)).why.nearest
    assert nearest is not None
    assert nearest.time_limit == 3600 * SECOND
    assert host.would_grant(replace(nearest, request_id=RequestId("now")), BOB)


def test_a_device_that_must_be_there_sets_the_time() -> None:
    """A nearer one is no help."""
    host = limited(60, 90)
    must = replace(wish("must"), must_include=(TWO.uuid,))
    assert begins_in(host, host.queue(must)) == 90
    behind = replace(wish("behind"), must_include=(TWO.uuid,))
    assert begins_in(host, host.queue(behind)) is None


def test_devices_that_lie_as_is_demanded_set_the_time() -> None:
    """The nearest pair, not the nearest two; none where such a pair is kept for others."""
    four = [device(place) for place in range(4)]
    host = Host(*four, topology=paired(four))
    for place, minutes in enumerate((10, 90, 60, 20)):
        named, limit = (four[place].uuid,), minutes * 60 * SECOND
        host.grant(Request(RequestId(f"{place}"), devices=named, time_limit=limit))
    pair = replace(wish("pair", 2), topology=Topology.NVLINK, topology_required=True)
    assert begins_in(host, host.queue(pair)) == 60
    host.queue(wish("two", 2))
    assert begins_in(host, host.queue(replace(pair, request_id=RequestId("last")))) is None


def test_who_waits_for_his_quota_is_told_no_time() -> None:
    """Which of his leases ends is his own choice."""
    host = Host(ONE, TWO, policy=bounded(each(devices=1)))
    host.grant(wish("held"), BOB)
    found = outlook(host, host.queue(wish("more"), BOB))
    assert (found.by, found.preempted) == (None, ())
    assert found.why.excess is not None


def test_those_who_give_way_are_named() -> None:
    """Before it waits those who would; then those who have been told, and no others."""
    host = Host(ONE, TWO)
    low = Request(RequestId("low"), priority="low")
    first, second = host.grant(low), host.grant(replace(low, request_id=RequestId("2")))
    wanted = wish("wanted")
    assert [one.id for one in would(host, wanted).preempted] == [second.id]
    waiting = host.queue(wanted, BOB)
    host.queue(wish("more"))
    assert [one.id for one in outlook(host, waiting).preempted] == [second.id]
    assert host.lease(first.id).giving_way is not None
    off = QueueRules(preemption=False)
    host.apply([PolicyChanged(Policy(queue=off))])
    assert would(host, wish("last")).preempted == ()


def test_a_device_says_for_whom_it_is_kept() -> None:
    """Whose request, in which class, and since when; before the next turn it may be kept on."""
    host = host_of(ONE, TWO)
    host.grant(Request(RequestId("held"), devices=(ONE.uuid,)))
    waiting = host.queue(wish("pair", 2, priority="high"))
    host.later(60)
    host.tick()

    def said() -> str:
        now = host.now.instant
        verdict = verdicts_for(host.ledger, Request(RequestId("now")), now, None)[1]
        assert verdict.obstacle is Obstacle.KEPT
        return verdict.sentence

    assert said() == "kept for a request of user1000 in the class high that has waited for 1m"
    host.ledger.apply(WaitingGone(waiting.key))
    assert said() == "kept for a request that waits longer"
    assert waiting.uid == ADA.uid
