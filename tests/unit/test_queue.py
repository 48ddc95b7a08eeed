"""Who of those that wait is served, and what is kept for whom until then."""

from dataclasses import replace

import pytest

from gpusched.core.ids import SECOND, RequestId
from gpusched.core.keeping import kept_in_full
from gpusched.core.replies import Granted, Obstacle, Queued, Refusal
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, BOB, L4, device
from tests.fakes.host import places, sentences
from tests.fakes.queued_host import busy, host_of, let_go, order, wish

ONE, TWO, THREE, FOUR = (device(place) for place in range(4))


def test_what_is_not_free_is_waited_for() -> None:
    """A request that may wait, and could be granted later, is queued; nothing is granted."""
    host = busy(1)
    decision = host.ask(wish("a"))
    assert isinstance(decision.reply, Queued)
    assert sentences(decision) == ["user1000 waits for 1 device"]
    assert host.ledger.waiting.position(decision.reply.waiting) == 1


def test_who_does_not_wait_is_refused() -> None:
    """Without a wait the answer is what is in the way, and nothing is left behind."""
    host = busy(1)
    assert host.refusal(Request(RequestId("a"))).why is Refusal.LATER
    assert len(host.ledger.waiting) == 0


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (wish("a", count=2), Refusal.NEVER_HERE),
        (wish("a", gpu_types=("nvidia-h100",)), Refusal.BAD_REQUEST),
    ],
)
def test_what_can_never_be_is_not_waited_for(request_: Request, why: Refusal) -> None:
    """A request that this host can never serve is refused at once, however long it would wait."""
    assert busy(1).refusal(request_).why is why


def test_the_first_is_served_with_the_release() -> None:
    """A release serves whoever came first; the lease is the one that was promised."""
    host = busy(1)
    first, second = host.queue(wish("a")), host.queue(wish("b"), BOB)
    host.later(90)
    host.tick()
    let_go(host, "held-0")
    lease = host.served(first)
    assert (lease.id, lease.uid) == (first.lease_id, ADA.uid)
    assert lease.created == host.now
    assert host.waits(second)
    assert host.ledger.stories[-1].sentence.endswith("exclusively, after 1m30s")


def test_all_who_can_be_are_served_at_once() -> None:
    """What comes free in one step is given out in one step, in the order of service."""
    host = busy(2)
    waiting = [host.queue(wish(name)) for name in "abc"]
    let_go(host, "held-0")
    let_go(host, "held-1")
    assert [host.waits(one) for one in waiting] == [False, False, True]


def test_what_comes_free_is_kept_for_the_first() -> None:
    """Two devices for the first: the one that is free is not given to who came later."""
    host = busy(2)
    pair, single = host.queue(wish("pair", 2)), host.queue(wish("single"))
    let_go(host, "held-0")
    assert host.waits(pair)
    assert host.waits(single)
    refusal = host.refusal(Request(RequestId("now")))
    verdict = next(one for one in refusal.verdicts if one.device == ONE.uuid)
    assert verdict.obstacle is Obstacle.KEPT
    assert verdict.sentence == "kept for a request of user1000 that waits"
    let_go(host, "held-1")
    assert places(host.served(pair)) == [ONE.uuid, TWO.uuid]
    assert host.waits(single)


def test_who_cannot_delay_the_first_passes() -> None:
    """What the first cannot use is given to who comes later."""
    host = host_of(device(0), device(1), device(2, L4, 24 * GIB))
    for place in range(2):
        host.grant(Request(RequestId(f"held-{place}"), gpu_types=("nvidia-a100-80gb",)))
    pair = host.queue(wish("pair", 2, gpu_types=("nvidia-a100-80gb",)))
    assert places(host.grant(Request(RequestId("l4")))) == [device(2).uuid]
    assert host.waits(pair)


def test_others_than_those_kept_are_given() -> None:
    """Only as many devices are kept as the first needs."""
    host = busy(4)
    pair = host.queue(wish("pair", 2, devices=(ONE.uuid, TWO.uuid)))
    let_go(host, "held-0")
    let_go(host, "held-2")
    assert places(host.grant(Request(RequestId("now")))) == [THREE.uuid]
    assert host.waits(pair)


def test_who_ends_in_time_passes() -> None:
    """A request that ends before the first can begin may use what is kept for it meanwhile."""
    host = host_of(ONE, TWO)
    host.grant(Request(RequestId("long"), time_limit=600 * SECOND))
    pair = host.queue(wish("pair", 2))
    late = Request(RequestId("late"), time_limit=601 * SECOND)
    assert host.refusal(late).why is Refusal.LATER
    short = host.grant(Request(RequestId("short"), time_limit=600 * SECOND))
    assert places(short) == [TWO.uuid]
    assert host.waits(pair)


def test_nobody_passes_where_nothing_says_how_long() -> None:
    """Where what is in the way of the first has no end, who ends soon does not pass either."""
    host = host_of(ONE, TWO)
    host.grant(Request(RequestId("endless")))
    host.queue(wish("pair", 2))
    short = Request(RequestId("short"), time_limit=SECOND)
    assert host.refusal(short).why is Refusal.LATER


def test_the_second_s_devices_are_kept_too() -> None:
    """What the second waits for is not given to the third."""
    host = busy(3)
    host.queue(wish("one", devices=(ONE.uuid,)))
    pair = host.queue(wish("pair", 2, devices=(TWO.uuid, THREE.uuid)))
    single = host.queue(wish("single"))
    let_go(host, "held-1")
    assert host.waits(pair)
    assert host.waits(single)
    let_go(host, "held-2")
    assert places(host.served(pair)) == [TWO.uuid, THREE.uuid]


def test_a_share_waits_for_room() -> None:
    """The device that lacks least is kept for a share; shares elsewhere go on."""
    host = host_of(ONE, TWO)
    big = host.grant(Request(RequestId("big"), memory=60 * GIB, devices=(ONE.uuid,)))
    host.grant(Request(RequestId("bigger"), memory=70 * GIB, devices=(TWO.uuid,)))
    waiting = host.queue(wish("a", memory=40 * GIB))
    small = host.grant(Request(RequestId("b"), memory=5 * GIB))
    assert host.waits(waiting)
    host.release(big)
    assert places(host.served(waiting)) == [ONE.uuid]
    assert places(small) in ([ONE.uuid], [TWO.uuid])


def test_the_same_request_has_its_place_back() -> None:
    """A client that asks again with the same id waits where it waited, however long it says."""
    host = busy(1)
    first = host.queue(wish("a"))
    host.queue(wish("b"), BOB)
    host.later(5)
    again = host.queue(replace(wish("a"), wait_without_limit=False, wait=SECOND))
    assert again == first
    assert order(host) == ["a", "b"]


def test_another_request_with_the_id_of_one_that_waits() -> None:
    """An id that waits for one thing cannot ask for another."""
    host = busy(1)
    host.queue(wish("a"))
    refusal = host.refusal(wish("a", memory=GIB))
    assert (refusal.why, refusal.field) == (Refusal.BAD_REQUEST, "request_id")


def test_of_two_users_with_one_id_both_wait() -> None:
    """Ids are each user's own."""
    host = busy(1)
    assert host.queue(wish("a"), ADA).key != host.queue(wish("a"), BOB).key
    assert len(host.ledger.waiting) == 2


def test_what_was_waited_for_is_granted_again() -> None:
    """Who comes back after the grant gets it."""
    host = busy(1)
    waiting = host.queue(wish("a"))
    let_go(host, "held-0")
    again = host.ask(wish("a")).reply
    assert again == Granted(host.served(waiting), repeated=True)


def test_nothing_is_kept_once_nobody_waits() -> None:
    """With the last that waits, everything that was kept is free."""
    host = busy(2)
    pair = host.queue(wish("pair", 2))
    let_go(host, "held-0")
    assert host.ledger.holds
    let_go(host, "held-1")
    assert not host.waits(pair)
    assert not host.ledger.holds


def test_nothing_is_kept_for_who_can_never_be_served() -> None:
    """A request that the host cannot serve any more keeps nobody from what is free."""
    host = busy(2)
    pair = host.queue(wish("pair", 2))
    named = host.queue(wish("named", 2, devices=(ONE.uuid, TWO.uuid)))
    single = host.queue(wish("single"), BOB)
    host.devices = (ONE, replace(TWO, mig_enabled=True))
    host.tick()
    let_go(host, "held-0")
    assert places(host.served(single)) == [ONE.uuid]
    assert host.waits(pair)
    assert host.waits(named)


def test_the_same_wish_twice_keeps_two_devices() -> None:
    """What the second of two like requests is to get is kept for it, too, and no more."""
    host = busy(3)
    host.queue(wish("a"))
    host.queue(wish("b"), BOB)
    assert [one.key[0] for one in kept_in_full(host.ledger, host.now.instant).values()] == [
        ADA.uid,
        BOB.uid,
    ]
    let_go(host, "held-2")
    assert host.ledger.by_request(ADA.uid, RequestId("a")) is not None
    assert [one.key[0] for one in kept_in_full(host.ledger, host.now.instant).values()] == [
        BOB.uid
    ]


def test_many_who_want_one_device_keep_one() -> None:
    """However many wait for a device, it is kept once, and others stay free."""
    host = busy(2)
    for name in "abc":
        host.queue(wish(name, devices=(ONE.uuid,)))
    let_go(host, "held-1")
    assert list(host.ledger.holds) == [ONE.memory_domain]
    assert places(host.grant(Request(RequestId("d")))) == [TWO.uuid]


def test_an_old_reading_serves_nobody() -> None:
    """What is not known now is given to nobody; the next reading serves who waits."""
    host = busy(1)
    waiting = host.queue(wish("a"))
    host.later(90)
    let_go(host, "held-0")
    assert host.waits(waiting)
    host.tick()
    assert places(host.served(waiting)) == [ONE.uuid]
