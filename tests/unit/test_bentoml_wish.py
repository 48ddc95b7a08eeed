"""What a service of a bento asks for, from the `resources` that it declares."""

import pytest

from gpusched.client.errors import BadRequest
from gpusched.integrations.bentoml.wish import request_of


def _wanted(**resources: object) -> dict[str, object]:
    """The part of the request that follows from the resources."""
    request = request_of("Svc", resources, "41.7")
    common = {"request_id", "affinity_key", "owner", "labels"}
    return {name: value for name, value in request.items() if name not in common}


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, {"count": 0}),
        ({"cpu": "2"}, {"count": 0}),
        ({"gpu": 0}, {"count": 0}),
        ({"gpu": 0, "gpu_type": "nvidia-l4"}, {"count": 0}),
        ({"gpu": 1}, {"count": 1}),
        ({"gpu": 2.0}, {"count": 2}),
        ({"gpu": "2"}, {"count": 2}),
        ({"gpu": 0.5}, {"count": 1, "memory_fraction": 0.5}),
        ({"gpu": 2, "gpu_type": "nvidia-l4"}, {"count": 2, "gpu_types": ["nvidia-l4"]}),
        ({"gpu_type": "nvidia-l4"}, {"count": 1, "gpu_types": ["nvidia-l4"]}),
    ],
)
def test_resources_are_a_request(resources: dict[str, object], wanted: dict[str, object]) -> None:
    """A number is so many devices, a part is of one's memory, a type alone is one; else none."""
    assert _wanted(**resources) == wanted


@pytest.mark.parametrize("gpu", [-1, 1.5, "many", "nan", [1, 2]])
def test_what_is_no_number_of_devices(gpu: object) -> None:
    """What is neither a number of devices nor a part of one is refused, and named."""
    with pytest.raises(BadRequest) as refused:
        _wanted(gpu=gpu)
    assert refused.value.field == "gpu"
    assert repr(gpu) in refused.value.sentence


def test_all_workers_of_a_service_ask_alike() -> None:
    """A request is of one service of one server, and gets the same devices again."""
    one, again = (request_of("Svc", {"gpu": 1}, "41.7") for _ in range(2))
    assert one == again
    assert one["request_id"] == one["affinity_key"] == "bento:41.7/Svc"
    assert one["request_id"] != request_of("Other", {"gpu": 1}, "41.7")["request_id"]
    assert one["request_id"] != request_of("Svc", {"gpu": 1}, "42.8")["request_id"]
