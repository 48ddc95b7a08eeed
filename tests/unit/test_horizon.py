"""How far a device is from serving a request, by what is in the way."""

import pytest

from gpusched.core.horizon import horizon
from gpusched.core.ids import SECOND, RequestId
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.stray import StrayPolicy, StrayRules
from gpusched.core.verdicts import judge
from tests.fakes.builders import context, device, facts, reading
from tests.fakes.host import Host

ONE = device(0)
WHOLE = Request(RequestId("wanted"))


def ends_in(host: Host, request: Request) -> int | None:
    """In how many seconds the device serves *request*; None: nothing says so."""
    (verdict,) = judge(host.ledger, request, host.now.instant)
    found = horizon(host.ledger, verdict, request, host.now.instant)
    return None if found.at is None else (found.at - host.now.instant) // SECOND


def shares(*limits: tuple[int, int | None]) -> Host:
    """A host with shares of so many GiB, each ending in so many seconds, or never."""
    host = Host(ONE)
    for number, (size, limit) in enumerate(limits):
        time = None if limit is None else limit * SECOND
        host.grant(Request(RequestId(str(number)), memory=size * GIB, time_limit=time))
    return host


def test_a_free_device_serves_now() -> None:
    """Where nothing is in the way the device serves now."""
    assert ends_in(Host(ONE), WHOLE) == 0


@pytest.mark.parametrize(
    ("limits", "whole", "share"),
    [
        ([(40, 50), (30, 20)], 50, 20),
        ([(30, 50), (40, 20)], 50, 20),
        ([(40, 50), (10, 20), (20, None)], None, 50),
        ([(40, None), (10, 20), (20, None)], None, None),
        ([(40, None), (30, None)], None, None),
    ],
)
def test_shares_end_one_by_one(
    limits: list[tuple[int, int | None]], whole: int | None, share: int | None
) -> None:
    """A whole device is free with the last of its shares; 30 GiB more of it with the first that
    gives enough back. A share without a limit ends nobody knows when.
    """
    host = shares(*limits)
    assert ends_in(host, WHOLE) == whole
    assert ends_in(host, Request(RequestId("wanted"), memory=30 * GIB)) == share


def test_a_share_of_a_whole_device_waits_for_its_end() -> None:
    """A device that one lease has for itself serves nobody before that ends."""
    host = Host(ONE)
    host.grant(Request(RequestId("held"), time_limit=70 * SECOND))
    assert ends_in(host, Request(RequestId("wanted"), memory=GIB)) == 70


def test_a_device_that_settles_is_near_and_promises_nothing() -> None:
    """A device whose lease ends is nearer than one that is held, and says no time."""
    host = Host(ONE, device(1))
    lease = host.grant(Request(RequestId("held")))
    host.grant(Request(RequestId("other"), time_limit=SECOND))
    host.attach(lease, 7)
    host.release(lease)
    settling, held = (
        horizon(host.ledger, one, WHOLE, host.now.instant)
        for one in judge(host.ledger, WHOLE, host.now.instant)
    )
    assert settling.at is None
    assert settling.distance < held.distance


def test_what_is_not_read_serves_nobody_knows_when() -> None:
    """A device that is not read is the farthest, and says no time."""
    host = Host(ONE)
    host.later(60)
    (verdict,) = judge(host.ledger, WHOLE, host.now.instant)
    found = horizon(host.ledger, verdict, WHOLE, host.now.instant)
    assert (found.at, found.distance[0]) == (None, 4)


def test_a_stray_beside_a_lease_makes_no_promise() -> None:
    """That a lease ends in time says nothing where somebody without one is on the device, too."""
    host = Host(ONE, policy=Policy(strays=StrayRules(StrayPolicy.AVOID)))
    host.grant(Request(RequestId("held"), memory=40 * GIB, time_limit=50 * SECOND))
    host.tick(reading(ONE, context(7, 60 * GIB)), known=[facts(7)])
    assert ends_in(host, WHOLE) is None
    assert ends_in(host, Request(RequestId("much"), memory=30 * GIB)) is None
    assert ends_in(host, Request(RequestId("little"), memory=10 * GIB)) == 50
