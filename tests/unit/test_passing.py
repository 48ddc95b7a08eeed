"""How short a request has to be to pass those who wait."""

from dataclasses import replace

import pytest

from gpusched.core import keeping
from gpusched.core.changes import HoldsFound
from gpusched.core.ids import SECOND, RequestId
from gpusched.core.outlook import outlook_of
from gpusched.core.passing import short_enough
from gpusched.core.policy import Policy
from gpusched.core.preferences import Topology
from gpusched.core.quota import UNBOUNDED, Quotas
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.verdicts import judge
from gpusched.core.waiting import Waiting
from tests.fakes.bounding import together, user
from tests.fakes.builders import ADA, BOB, ROOT, device
from tests.fakes.host import Host
from tests.fakes.queued_host import host_of, wish
from tests.fakes.topologies import paired

MINUTE = 60 * SECOND
NOW = Request(RequestId("now"))


def held(*limits: int | None, free: int = 1) -> Host:
    """Devices with leases of so many minutes, and free ones; somebody waits for all of them."""
    host = host_of(*(device(place) for place in range(len(limits) + free)))
    for place, limit in enumerate(limits):
        time = None if limit is None else limit * MINUTE
        named = (device(place).uuid,)
        host.grant(Request(RequestId(f"held-{place}"), devices=named, time_limit=time))
    host.queue(wish("all", len(limits) + free))
    return host


def judged(host: Host) -> tuple[Verdict, ...]:
    """What speaks against each device, as if nobody waited."""
    return judge(host.ledger, NOW, host.now.instant)


@pytest.mark.parametrize(
    ("limits", "count", "expected"),
    [
        ((90,), 1, 90 * MINUTE),
        ((90, 20), 1, 90 * MINUTE),
        ((None,), 1, None),
        ((90,), 2, None),
    ],
)
def test_the_longest_that_passes_is_told(
    limits: tuple[int | None, ...], count: int, expected: int | None
) -> None:
    """A free device that is kept may be had for as long as it is not needed, where that is known;
    the refusal says for how long, and then it is so.
    """
    host = held(*limits)
    nearest = host.refusal(Request(RequestId("now"), count=count), BOB).nearest
    limit = None if nearest is None else nearest.time_limit
    assert limit == expected
    assert nearest is None or expected is None or host.would_grant(nearest, BOB)


def test_less_than_a_minute_is_not_told() -> None:
    """Who reads it would come too late."""
    host = held(1)
    host.later(0.5)
    assert host.refusal(Request(RequestId("now")), BOB).nearest is None


def test_a_shorter_time_is_no_help_where_devices_lie_apart() -> None:
    """What is kept may be had for a while, and does not lie as the request demands."""
    four = [device(place) for place in range(4)]
    host = Host(*four, topology=paired(four))
    for place in (0, 2):
        named = (four[place].uuid,)
        host.grant(Request(RequestId(f"{place}"), devices=named, time_limit=90 * MINUTE))
    host.queue(wish("all", 4))
    pair = Request(RequestId("pair"), 2, topology=Topology.NVLINK, topology_required=True)
    nearest = host.refusal(pair, BOB).nearest
    assert nearest is None or nearest.time_limit is None
    assert host.would_grant(replace(pair, topology_required=False, time_limit=MINUTE), BOB)


def test_what_is_kept_for_nobody_any_more_says_no_time() -> None:
    """Between a request's end and the next turn of the queue its devices are kept on."""
    host = held(90)
    kept = [replace(one, obstacle=Obstacle.KEPT) for one in judged(host)]
    assert short_enough(host.ledger, NOW, kept, host.now.instant) is not None
    host.apply([HoldsFound({})])
    assert short_enough(host.ledger, NOW, kept, host.now.instant) is None


def behind(*wishes: Request, quotas: Quotas = UNBOUNDED) -> tuple[Host, list[Waiting]]:
    """One of two devices is free and kept for who wants both; before him somebody waits for the
    other one, for a time that is known; behind him those of *wishes*.
    """
    host = Host(device(0), device(1), policy=Policy(quotas=quotas))
    held = host.grant(Request(RequestId("held"), devices=(device(1).uuid,)), ROOT)
    first = replace(wish("first", devices=(device(1).uuid,)), time_limit=90 * MINUTE)
    host.queue(first, ROOT)
    host.queue(wish("both", 2), ROOT)
    waiting = [host.queue(one, BOB) for one in wishes]
    host.release(held, ROOT)
    return host, waiting


@pytest.mark.parametrize(("limit", "passes"), [(90, True), (91, False), (None, False)])
def test_who_waits_passes_once_he_can(limit: int | None, *, passes: bool) -> None:
    """A request that waits is let past as soon as it is known that it delays nobody."""
    time = None if limit is None else limit * MINUTE
    host, (short,) = behind(replace(wish("short"), time_limit=time))
    assert host.waits(short) is not passes


def test_who_waits_passes_though_others_before_him_cannot() -> None:
    """Of those behind who is short enough passes, and no other: the next one has to wait."""
    wishes = [
        wish("long"),
        replace(wish("two", 2), time_limit=2 * MINUTE),
        replace(wish("as-long", 2), time_limit=3 * MINUTE),
        replace(wish("two-again", 2), time_limit=MINUTE),
        replace(wish("short"), time_limit=MINUTE),
        replace(wish("next"), time_limit=MINUTE),
    ]
    host, waiting = behind(*wishes)
    assert [host.waits(one) for one in waiting] == [True] * 4 + [False, True]
    outlook = outlook_of(host.ledger, waiting[-1], host.now.instant)
    assert (outlook.position, outlook.count) == (6, 6)


def test_a_quota_of_time_lets_pass_who_names_no_time() -> None:
    """Who gets the longest time that his quota allows is over by then, now and after a wait."""
    bound = user(BOB.uid, time_limit=60 * MINUTE)
    host, (mine, other) = behind(wish("mine"), wish("other"), quotas=bound)
    assert not host.waits(mine)
    assert host.waits(other)
    host.release(host.served(mine), BOB)
    again = host.served(other)
    assert again.clocks.time_limit == host.now.instant + 60 * MINUTE
    host.release(again, BOB)
    assert host.would_grant(Request(RequestId("new")), BOB)
    assert host.refusal(Request(RequestId("new")), ADA).nearest is not None
    assert host.grant(Request(RequestId("new")), BOB).shares[0].device == device(0).uuid


def test_nobody_passes_whom_a_quota_keeps() -> None:
    """A request that is short enough and over its quota waits on."""
    bound = together(user(BOB.uid, leases=1))
    host = Host(device(0), device(1), policy=Policy(quotas=bound))
    host.grant(Request(RequestId("none"), count=0), BOB)
    held = host.grant(Request(RequestId("held"), devices=(device(1).uuid,)), ROOT)
    first = replace(wish("first", devices=(device(1).uuid,)), time_limit=90 * MINUTE)
    host.queue(first, ROOT)
    host.queue(wish("both", 2), ROOT)
    short = host.queue(replace(wish("short"), time_limit=MINUTE), BOB)
    host.release(held, ROOT)
    assert host.waits(short)


def test_of_very_many_behind_the_first_ones_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn does not go through everybody for one who may pass."""
    monkeypatch.setattr(keeping, "MOST_PASSING", 1)
    wishes = [wish("long"), replace(wish("short"), time_limit=MINUTE)]
    host, (_, short) = behind(*wishes)
    assert host.waits(short)
