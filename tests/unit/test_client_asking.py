"""What a user says, as the API wants it."""

import math

import pytest

from gpusched.client.asking import duration, present_devices, request_of
from gpusched.client.errors import BadRequest


def test_the_shape_of_a_wish() -> None:
    """How many, how much of each, beside whom and how they lie: each word is a field."""
    wish = {
        "gpus": 2,
        "min_gpus": 1,
        "max_gpus": 4,
        "memory": "37.5 %",
        "sharing": "own",
        "mig": "1g.10gb",
        "allow_larger_mig": True,
        "topology": "same-numa-node",
        "topology_required": True,
        "placement": "spread",
        "affinity": "worker-1",
    }
    assert request_of(wish) == {
        "count": 2,
        "min_count": 1,
        "max_count": 4,
        "memory_fraction": 0.375,
        "sharing": "SHARING_OWN",
        "mig_profile": "1g.10gb",
        "allow_larger_mig_profile": True,
        "topology": "TOPOLOGY_SAME_NUMA_NODE",
        "topology_required": True,
        "placement": "PLACEMENT_SPREAD",
        "affinity_key": "worker-1",
    }


def test_every_word_has_its_field() -> None:
    """Each wish becomes the field of the request that means it."""
    wish = {
        "gpus": 2,
        "devices": ["0", "GPU-a"],
        "memory": "4GiB",
        "gpu_types": ["nvidia-l4"],
        "mig": "1g.10gb",
        "wait": "90s",
        "time_limit": "1h30m",
        "attach_deadline": 2.5,
        "keepalive": 30,
        "pool": "training",
        "priority": "batch",
        "enforce": "required",
        "mask_format": "uuid",
        "labels": {"team": "vision"},
        "owner": "ray:1",
        "request_id": "key",
        "attach_caller": True,
    }
    assert request_of(wish) == {
        "count": 2,
        "device_uuids": ["0", "GPU-a"],
        "memory_bytes": "4294967296",
        "gpu_types": ["nvidia-l4"],
        "mig_profile": "1g.10gb",
        "wait": "90s",
        "time_limit": "5400s",
        "attach_deadline": "2.500000000s",
        "keepalive": "30s",
        "pool": "training",
        "priority": "batch",
        "enforce": "ENFORCE_REQUIRED",
        "mask_format": "MASK_FORMAT_UUID",
        "labels": {"team": "vision"},
        "owner": {"reference": "ray:1"},
        "request_id": "key",
        "attach_caller": True,
    }


def test_what_is_not_said_is_not_asked() -> None:
    """None leaves the daemon its default; 0 devices are 0, not none."""
    assert request_of({"gpus": None, "memory": None}) == {}
    assert request_of({"gpus": 0}) == {"count": 0}


def test_indices_may_be_numbers() -> None:
    """A device may be an index or a list of indices and UUIDs."""
    assert request_of({"devices": [0, "GPU-a"]}) == {"device_uuids": ["0", "GPU-a"]}
    assert request_of({"devices": 3}) == {"device_uuids": ["3"]}
    assert request_of({"devices": "GPU-a"}) == {"device_uuids": ["GPU-a"]}
    assert request_of({"gpu_types": "nvidia-l4"}) == {"gpu_types": ["nvidia-l4"]}
    assert request_of({"memory": 4 << 30}) == {"memory_bytes": "4294967296"}


@pytest.mark.parametrize(
    ("word", "value", "field"),
    [
        ("gpus", -1, "count"),
        ("gpus", 1 << 32, "count"),
        ("min_gpus", "1", "min_count"),
        ("max_gpus", True, "max_count"),
        ("memory", "0%", "memory_fraction"),
        ("memory", "101%", "memory_fraction"),
        ("memory", "half%", "memory_fraction"),
        ("memory", "nan%", "memory_fraction"),
        ("sharing", "all", "sharing"),
        ("topology", "numa", "topology"),
        ("placement", "heap", "placement"),
        ("topology_required", "yes", "topology_required"),
        ("allow_larger_mig", 1, "allow_larger_mig_profile"),
        ("affinity", "", "affinity_key"),
        ("gpus", True, "count"),
        ("gpus", "2", "count"),
        ("memory", "4", "memory_bytes"),
        ("memory", 4000, "memory_bytes"),
        ("memory", True, "memory_bytes"),
        ("memory", 1 << 63, "memory_bytes"),
        ("memory", "", "memory_bytes"),
        ("time_limit", "1", "time_limit"),
        ("time_limit", 0, "time_limit"),
        ("time_limit", math.inf, "time_limit"),
        ("time_limit", math.nan, "time_limit"),
        ("time_limit", 1e300, "time_limit"),
        ("time_limit", 101 * 365 * 86400, "time_limit"),
        ("time_limit", 1e-10, "time_limit"),
        ("time_limit", True, "time_limit"),
        ("devices", {"0"}, "device_uuids"),
        ("devices", [None], "device_uuids"),
        ("gpu_types", 4, "gpu_types"),
        ("gpu_types", [""], "gpu_types"),
        ("enforce", "hard", "enforce"),
        ("labels", "team=vision", "labels"),
        ("labels", {"\udcff": ""}, "labels"),
        ("labels", {"team": "\udcff"}, "labels"),
        ("pool", "\udcff", "pool"),
        ("attach_caller", 1, "attach_caller"),
        ("gpu", 1, "gpu"),
    ],
)
def test_a_wrong_value_names_its_field(word: str, value: object, field: str) -> None:
    """What is wrong whatever the host is refused before anybody is asked."""
    with pytest.raises(BadRequest) as caught:
        request_of({word: value})
    assert caught.value.field == field
    assert caught.value.sentence.startswith(f"{field}: ")
    assert "\n" not in caught.value.sentence


def test_a_part_of_a_second() -> None:
    """Times go down to nanoseconds."""
    assert duration("wait", "500ms") == "0.500000000s"


def test_present_devices() -> None:
    """`env` means the devices of the present mask, and is refused where it names none."""
    assert present_devices({"CUDA_VISIBLE_DEVICES": "2, GPU-a,"}) == ["2", "GPU-a"]
    for environment in ({}, {"CUDA_VISIBLE_DEVICES": ""}):
        with pytest.raises(BadRequest) as caught:
            present_devices(environment)
        assert caught.value.field == "device_uuids"
