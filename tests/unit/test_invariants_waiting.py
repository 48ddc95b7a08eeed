"""What must hold of those who wait: each contradiction is named, and nothing else is."""

from dataclasses import replace

from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.invariants import faults_of_waiting
from gpusched.core.request import Request
from gpusched.core.waiting import Waiting
from tests.fakes.builders import moment

FIRST = Waiting(
    request=Request(RequestId("a"), wait_without_limit=True),
    uid=1000,
    gid=1000,
    user="ada",
    admin=False,
    lease_id=LeaseId("lease-1"),
    arrived=moment(),
    number=0,
    rank=5,
    priority="normal",
)
SECOND = replace(FIRST, uid=1001, number=1, lease_id=LeaseId("lease-2"))


def faults(*waiting: Waiting, answered: bool = False) -> list[str]:
    return list(faults_of_waiting(waiting, lambda _: answered))


def test_nothing_is_wrong_with_an_order() -> None:
    """Requests in the order of service, none of them answered, contradict nothing."""
    assert faults(FIRST, SECOND) == []


def test_a_wrong_order_is_named() -> None:
    """One that stands behind a later one is named, and so is a place that two have."""
    assert faults(SECOND, FIRST) == ["a of 1000 does not wait behind lease-2"]
    assert len(faults(FIRST, FIRST)) == 1


def test_one_that_is_answered_does_not_wait() -> None:
    """A request that a lease is the answer to does not wait."""
    assert faults(FIRST, answered=True) == ["a of 1000 waits and holds a lease"]
