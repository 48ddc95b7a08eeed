"""The nearest request that fits what quotas leave."""

from dataclasses import replace

import pytest

from gpusched.core.ids import SECOND
from gpusched.core.outlook import outlook_of
from gpusched.core.quota import Quotas
from gpusched.core.replies import Refusal
from gpusched.core.request import Request
from gpusched.core.sizes import GIB, MIB
from tests.fakes.bounding import bounded, user
from tests.fakes.builders import ADA, BOB, A, device
from tests.fakes.host import Host
from tests.fakes.queued_host import wish

FOUR = tuple(device(place) for place in range(4))


def quoted(quotas: Quotas, count: int, memory: int | None = None) -> Host:
    """A host of four devices, so many of which ada has."""
    host = Host(*FOUR, policy=bounded(quotas))
    if count:
        host.grant(replace(wish("held", count), memory=memory))
    return host


@pytest.mark.parametrize(
    ("quotas", "held", "memory", "asked", "nearest"),
    [
        (user(1000, devices=3), 1, None, {"count": 3}, {"count": 2}),
        (user(1000, devices=3), 0, None, {"count": 4, "min_count": 4}, {"count": 3}),
        (user(1000, memory=200 * GIB), 1, None, {"count": 2}, {"count": 1}),
        (
            user(1000, memory=50 * GIB),
            1,
            20 * GIB,
            {"count": 3, "memory": 20 * GIB},
            {"count": 1, "memory": 20 * GIB},
        ),
        (
            user(1000, memory=50 * GIB + 1),
            1,
            20 * GIB,
            {"count": 1, "max_count": 2, "memory": 40 * GIB},
            {"count": 1, "memory": 30 * GIB},
        ),
        (
            user(1000, memory=800 * MIB + 1),
            0,
            None,
            {"count": 1, "memory": 40 * GIB},
            {"count": 1, "memory": 800 * MIB},
        ),
        (user(1000, time_limit=60 * SECOND), 0, None, {"time_limit": 61 * SECOND}, None),
    ],
)
def test_what_a_quota_leaves_is_named(
    quotas: Quotas,
    held: int,
    memory: int | None,
    asked: dict[str, int],
    nearest: dict[str, int] | None,
) -> None:
    """A refusal for a quota names the nearest request within it, which is granted then."""
    host = quoted(quotas, held, memory)
    found = host.refusal(Request(A, **asked)).nearest  # type: ignore[arg-type]  # its fields
    expected = nearest or {"time_limit": 60 * SECOND}
    assert found == Request(A, **expected)  # type: ignore[arg-type]  # as above
    host.grant(found)


@pytest.mark.parametrize(
    ("quotas", "held", "memory", "asked"),
    [
        (user(1000, devices=1), 1, None, Request(A)),
        (user(1000, leases=1), 1, None, Request(A)),
        (user(1000, memory=40 * GIB), 0, None, Request(A)),
        (user(1000, memory=MIB - 1), 0, None, Request(A, memory=GIB)),
        (user(1000, devices=1), 0, None, Request(A, 2, devices=(FOUR[0].uuid, FOUR[1].uuid))),
        (
            user(1000, devices=1),
            0,
            None,
            Request(A, 3, must_include=(FOUR[0].uuid, FOUR[1].uuid)),
        ),
    ],
)
def test_where_nothing_less_would_do_nothing_is_named(
    quotas: Quotas, held: int, memory: int | None, asked: Request
) -> None:
    """No request is named that the quota, or what was named, leaves no room for."""
    assert quoted(quotas, held, memory).refusal(asked).nearest is None


def test_what_others_have_or_a_second_quota_forbids_is_not_named() -> None:
    """The nearest is granted now, or it is not named."""
    host = quoted(user(1000, devices=1), 0)
    host.grant(wish("all", 4), BOB)
    assert host.refusal(Request(A, 2)).nearest is None
    both = quoted(user(1000, devices=1, memory=GIB), 0)
    assert both.refusal(Request(A, 2)).nearest is None


def test_who_waits_for_his_quota_hears_of_it_too() -> None:
    """What somebody who waits would be granted now within his quota is in his explanation."""
    host = quoted(user(ADA.uid, devices=2), 1)
    waiting = host.queue(wish("mine", 2))
    why = outlook_of(host.ledger, waiting, host.now.instant).why
    assert why.why is Refusal.LATER
    assert why.nearest is not None
    assert why.nearest.count == 1


def test_the_time_that_a_quota_gives_is_not_asked_for() -> None:
    """Who names no time limit is named none with fewer devices, for his quota gives it anyway; one
    that lets him pass those before him is named.
    """
    host = quoted(user(ADA.uid, time_limit=3600 * SECOND), 0)
    host.grant(replace(wish("theirs", 3), time_limit=1800 * SECOND), BOB)
    assert host.refusal(Request(A, 2)).nearest == Request(A, 1)
    assert host.refusal(Request(A, 5)).nearest == Request(A, 4)
    assert host.refusal(Request(A, 2, time_limit=SECOND)).nearest == Request(
        A, 1, time_limit=SECOND
    )
    host.queue(wish("first", 4), BOB)
    shorter = host.refusal(Request(A)).nearest
    assert shorter is not None
    assert shorter.time_limit == 1800 * SECOND
