"""Where something may be free: the index names too many devices, never too few."""

from itertools import chain

import pytest

from gpusched.core import openings
from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid, LeaseId, RequestId
from gpusched.core.lease_table import NOTHING_HELD, Holding
from gpusched.core.openings import Openings
from gpusched.core.request import Request
from gpusched.core.share import Share
from gpusched.core.sizes import GIB
from tests.fakes.builders import L4, device

ONE, TWO, SMALL = device(0), device(1), device(2, L4, 24 * GIB)
WHOLE, PART = Request(RequestId("whole")), Request(RequestId("part"), memory=GIB)


def index(*devices: Device) -> Openings:
    return Openings(devices, lambda _: NOTHING_HELD)


def held(one: Device, *, whole: bool) -> Holding:
    """What is promised of a device to one lease: all of it, or a share."""
    lease, share = LeaseId("lease-1"), Share(one.uuid, one.memory_domain, None if whole else GIB)
    return Holding({(lease, one.uuid): share}, GIB, lease if whole else None)


def open_to(request: Request, found: Openings) -> list[DeviceUuid]:
    return [one.uuid for one in chain.from_iterable(found.to(request))]


@pytest.mark.parametrize("request_", [WHOLE, PART])
def test_all_is_open_at_first(request_: Request) -> None:
    """Where nothing is promised, something may be free for everybody, in the order of the bus."""
    assert open_to(request_, index(ONE, TWO)) == [ONE.uuid, TWO.uuid]


def test_what_is_held_whole_is_open_to_nobody() -> None:
    """A device that a lease has for itself is not named; when it is let go it is in its place."""
    found = index(ONE, TWO)
    found.follow(ONE.memory_domain, held(ONE, whole=True))
    assert (open_to(WHOLE, found), open_to(PART, found)) == ([TWO.uuid], [TWO.uuid])
    found.follow(ONE.memory_domain, NOTHING_HELD)
    assert open_to(WHOLE, found) == [ONE.uuid, TWO.uuid]


def test_beside_a_share_there_may_be_room() -> None:
    """A device with a share is open to shares only."""
    found = index(ONE)
    found.follow(ONE.memory_domain, held(ONE, whole=False))
    assert (open_to(WHOLE, found), open_to(PART, found)) == ([], [ONE.uuid])
    kind = next(iter(found.kinds(PART)))
    assert [one.uuid for one in found.of_kind(kind)] == [ONE.uuid]


def test_only_kinds_that_can_be_meant() -> None:
    """A type that is asked for leaves out all others."""
    asked = Request(RequestId("a"), gpu_types=("nvidia-l4",))
    found = index(ONE, SMALL)
    assert open_to(asked, found) == [SMALL.uuid]
    assert len(found.kinds(WHOLE)) == 2


def test_a_named_device_means_its_kind() -> None:
    """The kind of the devices that are named is what a request can mean."""
    asked = Request(RequestId("a"), devices=(TWO.uuid,))
    assert open_to(asked, index(ONE, TWO, SMALL)) == [ONE.uuid, TWO.uuid]


def test_no_more_than_so_many_selections_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that ask for ever other devices do not fill the memory."""
    monkeypatch.setattr(openings, "MOST_SELECTIONS", 2)
    found = index(ONE, TWO)
    for asked in ((ONE,), (TWO,), (ONE, TWO)):
        names = tuple(one.uuid for one in asked)
        request = Request(RequestId("a"), count=len(names), devices=names)
        assert len(found.kinds(request)) == 1
    assert len(found._kinds) == 1
