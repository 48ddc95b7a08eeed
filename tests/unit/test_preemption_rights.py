"""What gives no right to a preemption, and who gives way that lets nobody in beside him."""

from dataclasses import replace

from gpusched.core.events import CancelRequested, PolicyRead
from gpusched.core.ids import SECOND, RequestId
from gpusched.core.policy import Policy
from gpusched.core.preferences import Sharing
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import BOB
from tests.fakes.host import Host
from tests.fakes.preempting import ONE, RULES, TWO, giving_way, hosting
from tests.fakes.queued_host import wish


def test_another_default_class_marks_nobody() -> None:
    """Who named no class has the one that was the default when he asked: a reload that makes a
    class with the mark the default gives the mark to no lease, nor a right to who waits.
    """
    host, (held, _) = hosting(None, "low")
    host.queue(wish("waits", devices=(ONE.uuid,)))
    low, high = (Policy(queue=replace(RULES, default=name)) for name in ("low", "high"))
    host.do(PolicyRead(low, {}))
    host.queue(wish("urgent", devices=(ONE.uuid,), priority="high"), BOB)
    assert giving_way(host) == []
    host.do(CancelRequested(BOB, RequestId("urgent")))
    host.release(held)
    (served,) = (one for one in host.ledger.live() if one.request.request_id == "waits")
    assert (held.priority, served.priority, served.request.priority) == ("normal", "normal", None)
    other, _ = hosting("low", "normal", rules=replace(RULES, default="low"))
    other.queue(wish("waits", devices=(ONE.uuid,)), BOB)
    other.queue(wish("urgent", devices=(TWO.uuid,), priority="high"), BOB)
    other.do(PolicyRead(high, {}))
    assert giving_way(other) == []


def test_a_clock_that_jumps_makes_nobody_younger() -> None:
    """Who is youngest is told by the clock that does not jump."""
    host = Host(ONE, TWO, policy=Policy(queue=RULES))
    for name in ("old", "young"):
        host.grant(Request(RequestId(name), priority="low"))
        later = host.later(1)
        host.now = replace(later, wall=later.wall - 3600 * SECOND)
    host.tick()
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["young"]


def sharing(how: Sharing, size: int, priority: str = "low") -> Request:
    """A request for a share."""
    words = f"{how.value} {size} {priority}"
    return replace(wish(words, memory=size * GIB, priority=priority), sharing=how)


def test_who_lets_nobody_else_in_gives_way() -> None:
    """A lease of the class with the mark that is there beside its holder's own only gives way to
    who may not be beside it, however much room there is; with it all such leases, and no others.
    """
    host = Host(ONE, policy=Policy(queue=RULES))
    host.grant(sharing(Sharing.OWN, 10))
    host.grant(sharing(Sharing.ANY, 20))
    host.queue(sharing(Sharing.ANY, 30, "high"), BOB)
    assert giving_way(host) == ["own 10 low"]
    firm = Host(ONE, policy=Policy(queue=RULES))
    firm.grant(sharing(Sharing.OWN, 10, "normal"))
    firm.grant(sharing(Sharing.OWN, 10))
    firm.queue(sharing(Sharing.ANY, 30, "high"), BOB)
    assert giving_way(firm) == []


def test_all_others_give_way_to_who_wants_nobody_beside() -> None:
    """Who shares with his own leases only needs all leases of others gone, and room enough."""
    host = Host(ONE, policy=Policy(queue=RULES))
    host.grant(sharing(Sharing.ANY, 30), BOB)
    host.grant(sharing(Sharing.ANY, 10))
    host.grant(sharing(Sharing.ANY, 20))
    host.queue(sharing(Sharing.OWN, 40, "high"), BOB)
    assert giving_way(host) == ["any 10 low", "any 20 low"]
    both = Host(ONE, policy=Policy(queue=RULES))
    both.grant(sharing(Sharing.ANY, 30), BOB)
    both.grant(sharing(Sharing.ANY, 20))
    both.queue(sharing(Sharing.OWN, 60, "high"), BOB)
    assert giving_way(both) == ["any 30 low", "any 20 low"]
    full = Host(ONE, policy=Policy(queue=RULES))
    full.grant(sharing(Sharing.ANY, 70, "normal"), BOB)
    full.grant(sharing(Sharing.ANY, 5))
    full.queue(sharing(Sharing.OWN, 20, "high"), BOB)
    assert giving_way(full) == []
