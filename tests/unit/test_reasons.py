"""What is in the way of many that wait is found out once, and is as true as for one alone."""

import pytest

from gpusched.core.events import PolicyRead
from gpusched.core.ids import SECOND
from gpusched.core.policy import Policy
from gpusched.core.replies import Obstacle, Rejected
from gpusched.core.reserving import why_waits
from gpusched.core.waiting import Waiting
from gpusched.rpc import reasons
from gpusched.rpc.reasons import Reasons
from tests.fakes.builders import BOB
from tests.fakes.host import Host
from tests.fakes.queued_host import RULES, busy, let_go, wish


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Waiting]:
    """For whom it was found out, one after the other."""
    found: list[Waiting] = []

    def count(ledger: object, waiting: Waiting, now: object) -> Rejected:
        found.append(waiting)
        return why_waits(ledger, waiting, now)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(reasons, "why_waits", count)
    return found


def obstacles(host: Host, found: Reasons, waiting: Waiting) -> list[Obstacle | None]:
    """What is in the way of a request, device by device."""
    told = found.of(host.ledger, waiting, host.now.instant)
    return [one.obstacle for one in told.verdicts]


def test_it_is_found_out_once_for_all_who_ask_for_the_same(counted: list[Waiting]) -> None:
    """Of a thousand that ask for the same, one is looked into where nothing free is kept."""
    host, found = busy(1), Reasons()
    waiting = [host.queue(wish(f"w{number}")) for number in range(5)]
    other = host.queue(wish("other"), by=BOB)
    for one in (*waiting, other, *waiting):
        assert obstacles(host, found, one) == [Obstacle.HELD]
    assert [one.request.request_id for one in counted] == ["w0", "other"]


def test_what_is_kept_parts_those_before_from_those_behind(counted: list[Waiting]) -> None:
    """Where a free device is kept, the first of a shape and one of the others are looked into."""
    host, found = busy(2), Reasons()
    waiting = [host.queue(wish(f"w{number}", 2)) for number in range(4)]
    let_go(host, "held-0")
    for one in (*waiting, *waiting):
        obstacles(host, found, one)
    assert [one.request.request_id for one in counted] == ["w0", "w1"]


def test_what_is_kept_for_the_first_is_in_nobody_s_way_but_the_later_ones() -> None:
    """Who asks before the first does not have it told that others come before it."""
    host, found = busy(2), Reasons()
    first, second = (host.queue(wish(name, 2)) for name in ("first", "second"))
    let_go(host, "held-0")
    for _ in range(2):
        assert obstacles(host, found, second) == [Obstacle.KEPT, Obstacle.HELD]
        assert obstacles(host, found, first) == [None, Obstacle.HELD]


def test_a_change_is_heard_at_once(counted: list[Waiting]) -> None:
    """What was found out is forgotten with the next change of the ledger."""
    host, found = busy(1), Reasons()
    waiting = host.queue(wish("w"))
    assert obstacles(host, found, waiting) == [Obstacle.HELD]
    host.queue(wish("another"))
    assert obstacles(host, found, waiting) == [Obstacle.HELD]
    assert len(counted) == 2


def test_it_is_found_out_again_after_a_second(counted: list[Waiting]) -> None:
    """Readings grow old though the ledger does not change."""
    host, found = busy(1), Reasons()
    waiting = host.queue(wish("w"))
    for seconds, times in ((0, 1), (0.5, 1), (0.5, 2)):
        host.later(seconds)
        obstacles(host, found, waiting)
        assert len(counted) == times
    assert reasons.VALID == SECOND


def test_another_configuration_is_heard_at_once(counted: list[Waiting]) -> None:
    """What was found out under other rules is forgotten."""
    host, found = busy(1), Reasons()
    waiting = host.queue(wish("w"))
    obstacles(host, found, waiting)
    host.do(PolicyRead(Policy(queue=RULES), {}))
    obstacles(host, found, waiting)
    assert len(counted) == 2
