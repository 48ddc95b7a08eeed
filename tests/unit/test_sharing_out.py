"""The part of a lease that one of its workers gets."""

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.client.errors import BadRequest
from gpusched.client.sharing_out import part_of

_NAMES = ("GPU-a", "GPU-b", "GPU-c")


def _grant(*names: str) -> lease_pb2.Grant:
    return lease_pb2.Grant(
        lease=lease_pb2.Lease(id="lease-x"),
        devices=[lease_pb2.GrantedDevice(uuid=one) for one in names],
        environment={
            "CUDA_VISIBLE_DEVICES": ",".join(str(4 + place) for place in range(len(names))),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "NVIDIA_VISIBLE_DEVICES": ",".join(names),
            "GPUSCHED_DEVICES": ",".join(names),
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": ",".join(
                f"{place}=100M" for place in range(len(names))
            ),
        },
        container_environment={"GPUSCHED_DEVICES": ",".join(names)},
    )


@pytest.mark.parametrize(
    ("index", "gpus", "mask", "devices"),
    [
        (0, 1, "4", "GPU-a"),
        (2, 1, "6", "GPU-c"),
        (3, 1, "4", "GPU-a"),
        (0, 2, "4,5", "GPU-a,GPU-b"),
        (1, 2, "4,5", "GPU-a,GPU-b"),
        (5, 3, "4,5,6", "GPU-a,GPU-b,GPU-c"),
    ],
)
def test_workers_get_devices_one_after_another(
    index: int, gpus: int, mask: str, devices: str
) -> None:
    """After the last whole part it begins again; devices that make no whole part are nobody's."""
    part = part_of(_grant(*_NAMES), index, gpus)
    assert ",".join(one.uuid for one in part.devices) == devices
    environment = dict(part.environment)
    assert environment["CUDA_VISIBLE_DEVICES"] == mask
    assert environment["GPUSCHED_DEVICES"] == environment["NVIDIA_VISIBLE_DEVICES"] == devices
    assert part.container_environment["GPUSCHED_DEVICES"] == devices
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_limits_by_ordinal_are_those_of_the_part() -> None:
    """CUDA counts a worker's devices from 0, and so does MPS its limits."""
    part = part_of(_grant(*_NAMES), 1, 1)
    assert part.environment["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=100M"


def test_the_grant_stays_as_it_was() -> None:
    """A part is a message of its own; without limits there are none in it."""
    grant = _grant(*_NAMES)
    del grant.environment["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"]
    before = grant.SerializeToString(deterministic=True)
    assert len(part_of(grant, 0, 1).devices) == 1
    assert grant.SerializeToString(deterministic=True) == before


def test_a_variable_that_a_lease_has_not_is_not_made() -> None:
    """An empty mask would hide every device: what the lease leaves unset stays unset."""
    part = part_of(_grant("GPU-a"), 0, 1)
    assert dict(part.container_environment) == {"GPUSCHED_DEVICES": "GPU-a"}


@pytest.mark.parametrize(("have", "gpus"), [(0, 1), (1, 2), (3, 4), (3, 0), (3, "1"), (3, 1.5)])
def test_more_than_the_lease_has(have: int, gpus: int) -> None:
    """A worker that wants more than there is, nothing, or what is no number, is refused."""
    with pytest.raises(BadRequest) as refused:
        part_of(_grant(*_NAMES[:have]), 0, gpus)
    assert refused.value.field == "gpus"
