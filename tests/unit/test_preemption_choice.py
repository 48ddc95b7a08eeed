"""Which leases are worth ending for a request of a higher class, and which are the youngest."""

from dataclasses import replace

import pytest

from gpusched.core.changes import MarksChanged
from gpusched.core.events import PolicyRead
from gpusched.core.ids import SECOND, RequestId
from gpusched.core.marks import Cordon, Marks
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import Unavailable
from gpusched.core.sizes import GIB
from gpusched.core.stray import StrayPolicy, StrayRules
from tests.fakes.bounding import bounded, user
from tests.fakes.builders import BOB, context, facts, reading
from tests.fakes.host import Host
from tests.fakes.preempting import ONE, RULES, TWO, giving_way, hosting
from tests.fakes.queued_host import wish


def test_the_youngest_is_the_one_that_began_last() -> None:
    """A clock on the wall that is put back makes no lease older."""
    host, _ = hosting("low")
    host.devices = (ONE, TWO)
    host.now = replace(host.now, wall=host.now.wall - 3600 * SECOND)
    host.later(1)
    host.tick()
    host.grant(Request(RequestId("held-1"), priority="low"))
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["held-1"]


def strange(*leases: Request) -> Host:
    """A host of a device on which a stray has 60 GiB beside these leases."""
    rules = StrayRules(StrayPolicy.AVOID)
    host = Host(ONE, policy=Policy(queue=RULES, strays=rules))
    for one in leases:
        host.grant(replace(one, priority="low"))
    host.tick(reading(ONE, context(7, 60 * GIB)), known=[facts(7)])
    return host


def test_nobody_ends_for_a_device_that_a_stray_keeps() -> None:
    """A whole device on which somebody without a lease is would not be free even then."""
    host = strange(Request(RequestId("held")))
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == []
    host.tick()
    assert giving_way(host) == ["held"]


@pytest.mark.parametrize(("wanted", "expected"), [(10, ["held"]), (30, [])])
def test_nobody_ends_for_memory_that_a_stray_has(wanted: int, expected: list[str]) -> None:
    """A share ends only where its memory is enough beside what strays use of the device."""
    host = strange(Request(RequestId("held"), memory=40 * GIB))
    host.queue(wish("urgent", memory=wanted * GIB), BOB)
    assert giving_way(host) == expected


def test_who_would_end_for_nothing_stays() -> None:
    """Where a device is taken out of service, its lease does not end for who cannot have it; one
    that helps does instead.
    """
    host, (_, second) = hosting("low", "low")
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["held-1"]
    host.apply([MarksChanged(TWO.uuid, Marks(cordon=Cordon("dust", 0, "root", host.now)))])
    host.tick()
    assert giving_way(host) == ["held-0"]
    host.later(20)
    host.tick()
    assert host.lease(second.id).usable
    assert [one.uid for one in host.ledger.live()] == [second.uid, BOB.uid]


def test_who_is_not_read_for_a_moment_still_gives_way() -> None:
    """A reading that fails changes nothing of who ends, and when."""
    host, _ = hosting("low", "low")
    host.queue(wish("urgent"), BOB)
    (before,) = [one.giving_way for one in host.ledger.live() if one.giving_way]
    host.later(5)
    unread = replace(reading(TWO), contexts=Unavailable("a test"))
    host.tick(unread)
    assert [one.giving_way for one in host.ledger.live()] == [None, before]


def test_what_the_configuration_forbids_ends_nobody() -> None:
    """Where preemption is switched off, or a quota is exceeded, those who were told stay."""
    host, _ = hosting("low")
    host.queue(wish("urgent"), BOB)
    for policy in (
        Policy(queue=replace(RULES, preemption=False)),
        replace(bounded(user(BOB.uid, devices=0)), queue=RULES),
    ):
        host.do(PolicyRead(Policy(queue=RULES), {}))
        assert giving_way(host) == ["held-0"]
        host.do(PolicyRead(policy, {}))
        assert giving_way(host) == []
