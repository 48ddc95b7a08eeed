"""Quotas of requests that may get fewer devices, or more, than they would like."""

import pytest

from gpusched.core.entitlement import hindrance, narrowed
from gpusched.core.ids import DeviceUuid
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.bounding import bounded, user
from tests.fakes.builders import ADA, A, device
from tests.fakes.host import Host

FOUR = tuple(device(at) for at in range(4))


@pytest.mark.parametrize(
    ("least", "count", "most", "expected"),
    [
        (None, 2, None, (2, None)),
        (1, 4, None, (3, None)),
        (1, 2, 4, (2, 3)),
        (1, 2, 3, (2, 3)),
        (None, 2, 4, (2, 3)),
    ],
)
def test_flexible_requests_get_what_is_left(
    least: int | None, count: int, most: int | None, expected: tuple[int, int | None]
) -> None:
    """Of a number of devices between a least and a most one no more is had than quotas leave."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, devices=3, leases=9)))
    request = Request(A, count=count, min_count=least, max_count=most)
    assert hindrance(host.ledger, ADA, request, host.now.instant) is None
    after = narrowed(host.ledger, ADA, request)
    assert (after.count, after.max_count) == expected


def test_flexible_requests_get_what_memory_is_left() -> None:
    """A bound on memory leaves as many devices as it pays for."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, memory=200 * GIB)))
    request = Request(A, count=4, min_count=1)
    assert narrowed(host.ledger, ADA, request).count == 2
    unknown = Request(A, count=4, min_count=1, gpu_types=("h100",))
    assert narrowed(host.ledger, ADA, unknown) == unknown


def _named(*at: int) -> tuple[DeviceUuid, ...]:
    return tuple(FOUR[one].uuid for one in at)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (Request(A, count=3, min_count=1), 1),
        (Request(A, count=3, min_count=1, must_include=_named(0, 1)), 2),
    ],
)
def test_the_least_number_counts(request_: Request, wanted: int) -> None:
    """A flexible request is hindered where its least number, or what it names, is too much."""
    host = Host(*FOUR, policy=bounded(user(ADA.uid, devices=0)))
    no = hindrance(host.ledger, ADA, request_, host.now.instant)
    assert no is not None
    assert no.excess is not None
    assert no.excess.wanted == wanted
