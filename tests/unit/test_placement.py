"""The choice of devices: which of those that serve is taken, and in which order."""

from dataclasses import replace

import pytest

from gpusched.core.ids import DeviceUuid
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice
from gpusched.core.sizes import GIB
from tests.fakes.builders import A100, L4, UNREADABLE, A, B, C, context, device, mig, reading
from tests.fakes.host import Host, places

FIRST, SECOND, THIRD = device(0), device(1), device(2)
PARENT = replace(device(0), mig_enabled=True)
SPREAD = Policy(placement="spread")


def on(lease: Lease) -> list[int]:
    """The places on the bus of whole GPUs that a lease has."""
    return [int(uuid.removeprefix("GPU-")) for uuid in places(lease)]


def test_pack_takes_the_device_with_the_least_room_that_is_enough() -> None:
    """A share goes where it leaves the other devices whole: to the one already in use."""
    host = Host(FIRST, SECOND, THIRD)
    host.grant(Request(A, memory=60 * GIB, devices=(SECOND.uuid,)))
    assert on(host.grant(Request(B, memory=20 * GIB))) == [1]
    assert on(host.grant(Request(C, memory=20 * GIB))) == [0]


def test_spread_takes_the_device_with_the_most_room() -> None:
    """Under `spread` a share goes to the device that has the most room."""
    host = Host(FIRST, SECOND, policy=SPREAD)
    assert on(host.grant(Request(A, memory=20 * GIB))) == [0]
    assert on(host.grant(Request(B, memory=10 * GIB))) == [1]
    assert on(host.grant(Request(C, memory=10 * GIB))) == [1]


@pytest.mark.parametrize("rule", ["pack", "spread"])
def test_devices_with_equal_room_go_by_the_order_of_the_bus(rule: str) -> None:
    """Nothing but the bus decides between devices that are alike."""
    host = Host(THIRD, SECOND, FIRST, policy=Policy(placement=rule))
    assert on(host.grant(Request(A, count=2, memory=GIB))) == [0, 1]


@pytest.mark.parametrize("rule", ["pack", "spread"])
def test_whole_devices_go_by_the_order_of_the_bus(rule: str) -> None:
    """Room plays no part for whole devices: the first on the bus are taken."""
    small = device(2, memory=40 * GIB)
    host = Host(small, SECOND, FIRST, policy=Policy(placement=rule))
    assert on(host.grant(Request(A, count=2))) == [0, 1]


def test_several_devices_are_of_one_type_where_that_is_possible() -> None:
    """Two devices of one type go before two that come first on the bus."""
    host = Host(device(0, L4, 24 * GIB), device(1, A100), device(2, A100))
    assert on(host.grant(Request(A, count=2))) == [1, 2]


def test_several_devices_are_of_several_types_where_one_type_has_too_few() -> None:
    """A host with one device of each type still grants two devices."""
    host = Host(device(0, L4, 24 * GIB), device(1, A100))
    assert on(host.grant(Request(A, count=2))) == [0, 1]


def test_among_types_with_enough_devices_the_best_ranked_wins() -> None:
    """Where two types have enough devices, the one whose first device ranks first is taken."""
    tight, roomy = [device(n, L4, 24 * GIB) for n in (2, 3)], [device(n) for n in (0, 1)]
    host = Host(*tight, *roomy)
    assert on(host.grant(Request(A, count=2))) == [0, 1]
    host = Host(*tight, *roomy)
    assert on(host.grant(Request(A, count=2, memory=8 * GIB))) == [2, 3]


def test_a_request_may_accept_several_types() -> None:
    """A device of any of the types that a request names serves it."""
    host = Host(device(0, "Tesla T4", 16 * GIB), device(1, L4, 24 * GIB), device(2, A100))
    asked = Request(A, count=2, gpu_types=("nvidia-l4", "a100"))
    assert on(host.grant(asked)) == [1, 2]


def test_must_include_is_in_the_choice() -> None:
    """A device that must be included is chosen before those that rank higher."""
    host = Host(FIRST, SECOND, THIRD)
    assert on(host.grant(Request(A, count=2, must_include=(THIRD.uuid,)))) == [0, 2]


def test_must_include_decides_the_type() -> None:
    """The type that has all devices that must be included is the type of the choice."""
    host = Host(*(device(n, A100) for n in (0, 1)), *(device(n, L4, 24 * GIB) for n in (2, 3)))
    asked = Request(A, count=2, must_include=(device(3).uuid,))
    assert on(host.grant(asked)) == [2, 3]


def test_must_include_of_two_types_gives_both() -> None:
    """Devices that must be included are included though they differ in type."""
    host = Host(device(0, L4, 24 * GIB), device(1, A100), device(2, A100))
    asked = Request(A, count=2, must_include=(device(0).uuid, device(2).uuid))
    assert on(host.grant(asked)) == [0, 2]


def test_available_narrows_the_choice() -> None:
    """Only devices among the available ones are chosen."""
    host = Host(FIRST, SECOND, THIRD)
    asked = Request(A, count=2, available=(THIRD.uuid, SECOND.uuid))
    assert on(host.grant(asked)) == [1, 2]


def test_exactly_named_devices_keep_their_order() -> None:
    """An engine that chose already gets its devices in the order it named them."""
    host = Host(FIRST, SECOND, THIRD)
    asked = Request(A, count=2, devices=(THIRD.uuid, FIRST.uuid))
    assert on(host.grant(asked)) == [2, 0]


def test_exactly_named_devices_are_granted_all_or_none() -> None:
    """If one of the named devices is held, none is granted."""
    host = Host(FIRST, SECOND)
    host.grant(Request(A, devices=(SECOND.uuid,)))
    host.refusal(Request(B, count=2, devices=(FIRST.uuid, SECOND.uuid)))
    assert on(host.grant(Request(C))) == [0]


def test_a_profile_is_served_by_instances_of_that_profile() -> None:
    """A request for a MIG profile gets such instances and nothing else."""
    small, large = mig(PARENT, 1, memory=10 * GIB), mig(PARENT, 2)
    host = Host(PARENT, small, large, SECOND)
    assert places(host.grant(Request(A, mig_profile="4g.40gb"))) == [large.uuid]
    assert places(host.grant(Request(B, mig_profile="1g.10gb"))) == [small.uuid]


def test_a_request_without_profile_is_not_given_an_instance() -> None:
    """Whoever asks for a GPU gets a whole one, though an instance has memory enough."""
    host = Host(PARENT, mig(PARENT), SECOND)
    assert places(host.grant(Request(A, memory=GIB))) == [SECOND.uuid]


def test_a_named_instance_needs_no_profile() -> None:
    """Whoever names a MIG instance has said enough."""
    host = Host(PARENT, mig(PARENT))
    assert places(host.grant(Request(A, devices=(mig(PARENT).uuid,)))) == [mig(PARENT).uuid]


def test_instances_of_one_parent_are_ordered_by_their_index() -> None:
    """Instances follow one another as NVML counts them."""
    instances = [mig(PARENT, n) for n in (2, 1)]
    host = Host(PARENT, *instances)
    granted = host.grant(Request(A, count=2, mig_profile="4g.40gb"))
    assert places(granted) == [mig(PARENT, 1).uuid, mig(PARENT, 2).uuid]


def test_a_busy_device_does_not_hinder_the_choice_of_others() -> None:
    """A stranger on one device leaves the others to be granted."""
    host = Host(FIRST, SECOND)
    host.tick(reading(FIRST, context(99)))
    assert on(host.grant(Request(A))) == [1]


def test_no_devices_are_granted_to_whoever_wants_none() -> None:
    """A lease for CPU work holds no device, and needs none to be there."""
    assert places(Host().grant(Request(A, count=0))) == []


def test_the_order_is_that_of_the_bus_and_not_of_names() -> None:
    """Devices are granted in the order of the bus, however their UUIDs sort."""
    first = replace(FIRST, uuid=DeviceUuid("GPU-z"))
    host = Host(first, SECOND)
    assert places(host.grant(Request(A, count=2))) == [first.uuid, SECOND.uuid]


def test_a_device_that_was_not_read_does_not_hinder_shares_of_others() -> None:
    """Shares of two devices are granted beside one whose memory is unknown."""
    host = Host(FIRST, SECOND, THIRD)
    host.tick(replace(reading(FIRST), memory=UNREADABLE))
    assert on(host.grant(Request(A, count=2, memory=GIB))) == [1, 2]
    host.tick(lost=(LostDevice(1, SECOND.uuid, "GPU is lost"),))
    assert on(host.grant(Request(B, count=2, memory=GIB))) == [0, 2]
