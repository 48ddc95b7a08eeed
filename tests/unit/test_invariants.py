"""What must hold of the leases together: each contradiction is named, and nothing else is."""

from dataclasses import replace

import pytest

from gpusched.core.device import Device
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.invariants import faults_of
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import BOB, A, B, device, lease, mig, moment, process, share

GPU, OTHER = device(0), device(1)
S = LeaseState
NOW = moment()
CGROUP = LeaseCgroup("/unit", 7, made=False)


def faults(*leases: Lease, devices: tuple[Device, ...] = (GPU, OTHER)) -> list[str]:
    """The contradictions among these leases on a host with these devices."""
    return list(faults_of(leases, {one.uuid: one for one in devices}))


ALONE: dict[str, tuple[Lease, list[str]]] = {
    "end without ENDED": (
        replace(lease(S.RELEASING), ended=NOW),
        ["lease-1 is releasing and its end says otherwise"],
    ),
    "ENDED without end": (
        replace(lease(S.ENDED), ended=None),
        ["lease-1 is ended and its end says otherwise"],
    ),
    "ending while ACTIVE": (
        replace(lease(S.ACTIVE), ending=NOW, reason=EndReason.EMPTY),
        ["lease-1 is active and its ending says otherwise"],
    ),
    "RELEASING without ending": (
        replace(lease(S.RELEASING), ending=None, reason=None),
        ["lease-1 is releasing and its ending says otherwise"],
    ),
    "ending without reason": (
        replace(lease(S.RELEASING), reason=None),
        ["lease-1 has an ending without a reason, or a reason without an ending"],
    ),
    "reason without ending": (
        replace(lease(S.ACTIVE), reason=EndReason.EMPTY),
        ["lease-1 has an ending without a reason, or a reason without an ending"],
    ),
    "RESERVED with process": (
        replace(lease(S.RESERVED), processes=(process(1),)),
        ["lease-1 is reserved and has processes"],
    ),
    "ACTIVE without process": (
        replace(lease(S.ACTIVE), processes=()),
        ["lease-1 is active and has no process"],
    ),
    "RESERVED with cgroup": (
        replace(lease(S.RESERVED), cgroup=CGROUP),
        ["lease-1 is reserved and has a cgroup"],
    ),
    "one device twice": (
        lease(S.RESERVED, share(GPU, GIB), share(GPU, GIB)),
        ["lease-1 has two shares of one device"],
    ),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_lease_that_contradicts_itself_is_named(case: str) -> None:
    """State, end, ending, reason, processes and shares of a lease have to agree."""
    one, found = ALONE[case]
    assert faults(one) == found


def test_a_cgroup_stands_for_the_processes_in_it() -> None:
    """A lease that has a whole cgroup needs no process by name."""
    assert faults(replace(lease(S.ACTIVE), processes=(), cgroup=CGROUP)) == []


@pytest.mark.parametrize("state", LeaseState)
def test_a_consistent_lease_has_no_fault(state: LeaseState) -> None:
    """In every state there is a lease without fault."""
    assert faults(lease(state, share(GPU))) == []


def two(first: Lease, second: Lease) -> tuple[Lease, Lease]:
    """Two leases of different requests."""
    return replace(first, request=Request(A)), replace(second, request=Request(B))


def test_a_whole_device_has_one_lease() -> None:
    """A device that one lease has whole is not shared by another."""
    pair = two(lease(S.ACTIVE, share(GPU)), lease(S.ACTIVE, share(GPU, GIB), name="2"))
    assert faults(*pair) == [f"{GPU.uuid} is exclusive and shared by lease-1, lease-2"]


def test_a_lease_that_settles_still_has_its_device() -> None:
    """Until its end is confirmed, a lease keeps others out; then it does not."""
    for state, count in ((S.RELEASING, 1), (S.ENDED, 0)):
        pair = two(lease(state, share(GPU)), lease(S.ACTIVE, share(GPU), name="2"))
        assert len(faults(*pair)) == count


def test_two_leases_may_have_a_device_each() -> None:
    """Whole devices of different leases do not hinder one another."""
    assert faults(*two(lease(S.ACTIVE, share(GPU)), lease(S.ACTIVE, share(OTHER), name="2"))) == []


def test_a_lease_may_have_both_instances_of_one_memory() -> None:
    """A lease with two compute instances of one GPU instance has the memory for itself."""
    left, right = mig(GPU, 1, 0), mig(GPU, 1, 1)
    assert faults(lease(S.ACTIVE, share(left), share(right)), devices=(left, right)) == []


def test_no_byte_is_promised_twice() -> None:
    """The shares of a device add up to no more than it has."""
    full = two(
        lease(S.ACTIVE, share(GPU, 50 * GIB)), lease(S.ACTIVE, share(GPU, 30 * GIB), name="2")
    )
    assert faults(*full) == []
    over = two(full[0], lease(S.ACTIVE, share(GPU, 30 * GIB + 1), name="2"))
    assert faults(*over) == [f"{GPU.uuid} has {80 * GIB} bytes and {80 * GIB + 1} are promised"]


@pytest.mark.parametrize("devices", [(), (replace(GPU, memory_total=None),)])
def test_an_absent_device_contradicts_nothing(devices: tuple[Device, ...]) -> None:
    """The leases of a device that is not there, or has no known size, are kept."""
    assert faults(lease(S.ACTIVE, share(GPU, 999 * GIB)), devices=devices) == []


def test_a_request_is_answered_by_one_lease() -> None:
    """Two usable leases of one user do not answer one request."""
    one, other = lease(S.ACTIVE), lease(S.RESERVED, name="2")
    same = replace(other, request=one.request)
    assert faults(one, same) == ["lease-2 and lease-1 answer one request"]
    assert faults(one, replace(same, uid=BOB.uid)) == []
    assert faults(replace(lease(S.RELEASING), request=one.request), same) == []
    assert faults(same, replace(lease(S.RELEASING), request=one.request)) == []
