"""Requests: what is wrong with one whatever the host, and which field is named for it."""

from collections.abc import Callable

import pytest

from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.preferences import Sharing, Topology
from gpusched.core.request import MAX_COUNT, MAX_LABELS, MAX_TEXT, Owner, Request
from tests.fakes.builders import A, labelled

GPU, OTHER, MIG = DeviceUuid("GPU-1"), DeviceUuid("GPU-2"), DeviceUuid("MIG-1")
LONG = "x" * (MAX_TEXT + 1)
MANY = {f"key{n}": "" for n in range(MAX_LABELS + 1)}

WRONG: dict[str, tuple[Callable[[], Request], str, str]] = {
    "negative": (lambda: Request(A, count=-1), "count", "-1 is not between 0 and 1024"),
    "huge": (lambda: Request(A, count=1025), "count", "1025 is not between 0 and 1024"),
    "count": (
        lambda: Request(A, count=2, devices=(GPU,)),
        "count",
        "2 devices asked for, 1 named",
    ),
    "no_memory": (
        lambda: Request(A, memory=0),
        "memory_bytes",
        "must be more than 0; leave it out for whole devices",
    ),
    "attach": (
        lambda: Request(A, attach_deadline=0),
        "attach_deadline",
        "must be more than 0 seconds",
    ),
    "keepalive": (lambda: Request(A, keepalive=-1), "keepalive", "must be more than 0 seconds"),
    "limit": (lambda: Request(A, time_limit=0), "time_limit", "must be more than 0 seconds"),
    "twice": (
        lambda: Request(A, count=2, devices=(GPU, GPU)),
        "device_uuids",
        "names a device twice",
    ),
    "included_twice": (
        lambda: Request(A, count=2, must_include=(GPU, GPU)),
        "must_include_uuids",
        "names a device twice",
    ),
    "mixed": (
        lambda: Request(A, count=2, devices=(GPU, MIG)),
        "device_uuids",
        "mixes MIG instances with whole GPUs",
    ),
    "too_many_included": (
        lambda: Request(A, count=1, must_include=(GPU, OTHER)),
        "must_include_uuids",
        "names more devices than `count` asks for",
    ),
    "least": (lambda: Request(A, min_count=2), "min_count", "2 is not between 1 and `count`, 1"),
    "most": (
        lambda: Request(A, count=3, max_count=2),
        "max_count",
        "2 is not between `count`, 3, and 1024",
    ),
    "part": (
        lambda: Request(A, memory_fraction=1.5),
        "memory_fraction",
        "1.5 is not more than 0 and at most 1",
    ),
    "part_and_size": (
        lambda: Request(A, memory=1, memory_fraction=0.5),
        "memory_fraction",
        "stands beside `memory_bytes`; leave out one",
    ),
    "fewer_than_named": (
        lambda: Request(A, count=2, devices=(GPU, OTHER), min_count=1),
        "min_count",
        "stands beside `device_uuids`, which wants exactly these",
    ),
    "more_than_named": (
        lambda: Request(A, devices=(GPU,), max_count=2),
        "max_count",
        "stands beside `device_uuids`, which wants exactly these",
    ),
    "share_of_nothing": (
        lambda: Request(A, sharing=Sharing.OWN),
        "sharing",
        "a share needs a size: set `memory_bytes`",
    ),
    "larger_than_nothing": (
        lambda: Request(A, allow_larger_mig=True),
        "allow_larger_mig_profile",
        "larger than what? set `mig_profile`",
    ),
    "lies_anyhow": (
        lambda: Request(A, topology=Topology.ANY, topology_required=True),
        "topology_required",
        "which? set `topology`",
    ),
    "no_wait": (lambda: Request(A, wait=0), "wait", "must be more than 0 seconds"),
    "waits": (
        lambda: Request(A, wait=1, wait_without_limit=True),
        "wait_without_limit",
        "stands beside `wait`; leave out one",
    ),
    "key": (
        lambda: Request(A, affinity_key=LONG),
        "affinity_key",
        "has more than 256 characters",
    ),
    "no_id": (lambda: Request(RequestId("")), "request_id", "must have 1 to 256 characters"),
    "long_id": (lambda: Request(RequestId(LONG)), "request_id", "must have 1 to 256 characters"),
    "labels": (lambda: Request(A, labels=MANY), "labels", "more than 64"),
    "no_key": (
        lambda: Request(A, labels={"": "v"}),
        "labels",
        "'': not 1 to 256 characters",
    ),
    "long_key": (
        lambda: Request(A, labels={LONG: "v"}),
        "labels",
        f"{'x' * 40!r}: not 1 to 256 characters",
    ),
    "long_value": (
        lambda: Request(A, labels=labelled(team=LONG)),
        "labels",
        "'team': not 1 to 256 characters",
    ),
    "confined": (
        lambda: Request(A, confines_itself=True),
        "confines_itself",
        "only with `attach_caller`",
    ),
    "no_owner": (
        lambda: Request(A, owner=Owner("")),
        "owner.reference",
        "must have 1 to 256 characters",
    ),
    "long_owner": (
        lambda: Request(A, owner=Owner(LONG)),
        "owner.reference",
        "must have 1 to 256 characters",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_malformed_request_names_its_field(case: str) -> None:
    """A request that is wrong whatever the host cannot be made; the error names the field."""
    make, field, why = WRONG[case]
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert (caught.value.field, caught.value.why) == (field, why)
    assert str(caught.value) == f"{field}: {why}"


def test_a_request_says_little_by_default() -> None:
    """A request that says nothing but its id asks for one whole device of any type."""
    asked = Request(A)
    assert asked.exclusive
    assert (asked.count, asked.memory, asked.gpu_types) == (1, None, ())


def test_a_request_for_memory_shares_its_devices() -> None:
    """Whoever names memory gets a share, not the whole device, unless it is to be exclusive."""
    assert not Request(A, memory=1).exclusive
    assert not Request(A, memory_fraction=0.5).exclusive
    assert not Request(A, memory=1, sharing=Sharing.OWN).exclusive
    assert Request(A, memory=1, sharing=Sharing.EXCLUSIVE).exclusive


def test_a_range_of_devices() -> None:
    """Without a least and a most exactly `count` devices will do."""
    assert (Request(A, count=3).least, Request(A, count=3).most) == (3, 3)
    range_ = Request(A, count=3, min_count=1, max_count=5)
    assert (range_.least, range_.most) == (1, 5)
    assert Request(A, devices=(GPU,), min_count=1, max_count=1).most == 1


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(Request(A), False), (Request(A, wait=1), True), (Request(A, wait_without_limit=True), True)],
)
def test_a_request_waits_where_it_says_so(asked: Request, *, waits: bool) -> None:
    """Nothing waits unless it is asked for."""
    assert asked.waits is waits


def test_the_limits_themselves_are_allowed() -> None:
    """A request may be as large as the limits say."""
    most = {f"key{n}": "" for n in range(MAX_LABELS - 1)} | {"x" * MAX_TEXT: "y" * MAX_TEXT}
    longest = "x" * MAX_TEXT
    asked = Request(RequestId(longest), count=MAX_COUNT, labels=most, owner=Owner(longest))
    assert len(asked.labels) == MAX_LABELS
    assert Request(A, count=0).count == 0
    assert Request(A, count=2, devices=(GPU, OTHER), must_include=(OTHER, GPU)).count == 2
