"""What is kept for a request that waits for devices that lie as it demands."""

from dataclasses import replace

from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.preferences import Topology
from gpusched.core.replies import Granted, Queued
from gpusched.core.request import Request
from gpusched.core.unjoined import arranged
from tests.fakes.builders import BOB, A, B, device
from tests.fakes.host import Host, places
from tests.fakes.topologies import paired

EIGHT = [replace(device(place), numa_node=place // 4) for place in range(8)]
JOINED = Request(
    A, count=2, topology=Topology.NVLINK, topology_required=True, wait_without_limit=True
)


def uuids(*at: int) -> list[DeviceUuid]:
    """The GPUs at these places."""
    return [EIGHT[one].uuid for one in at]


def test_a_pair_is_kept_for_who_waits_for_one() -> None:
    """Where no pair is free one is kept whole: the free half of it goes to nobody else."""
    host = Host(*EIGHT, topology=paired(EIGHT))
    halves = [
        host.grant(Request(RequestId(f"half {place}"), devices=(EIGHT[place].uuid,)))
        for place in (0, 2, 4, 6)
    ]
    reply = host.ask(JOINED, BOB).reply
    assert isinstance(reply, Queued)
    assert sorted(host.ledger.holds) == uuids(0, 1)
    assert places(host.grant(Request(B))) == uuids(3)
    host.release(halves[0])
    answer = host.answers[reply.waiting.key]
    assert isinstance(answer, Granted)
    assert places(answer.lease) == uuids(0, 1)


def test_the_nearest_that_lie_so_are_chosen() -> None:
    """Out of as few of the nearest as can be; nothing where nothing is demanded, or can be had."""
    ledger = Host(*EIGHT, topology=paired(EIGHT)).ledger
    assert arranged(ledger, JOINED, uuids(7, 5, 3, 4, 2)) == tuple(uuids(4, 5))
    assert arranged(ledger, JOINED, uuids(7, 5, 3)) == ()
    assert arranged(ledger, replace(JOINED, topology_required=False), uuids(0, 1)) == ()


def test_all_that_must_be_included_are_waited_for() -> None:
    """Who would do with one device gets none before both are free that must be among them."""
    host = Host(*EIGHT, topology=paired(EIGHT))
    held = host.grant(Request(RequestId("held"), devices=(EIGHT[1].uuid,)))
    asked = replace(JOINED, min_count=1, must_include=tuple(uuids(0, 1)))
    reply = host.ask(asked, BOB).reply
    assert isinstance(reply, Queued)
    host.release(held)
    answer = host.answers[reply.waiting.key]
    assert isinstance(answer, Granted)
    assert places(answer.lease) == uuids(0, 1)
