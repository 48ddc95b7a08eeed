"""Specification: the number that CUDA gives to a device of a lease is known without CUDA."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from gpusched.api.v1 import device_pb2, lease_pb2, request_pb2
from gpusched.client.errors import GpuschedError, NoSuchDevice, WrongState
from gpusched.client.held import HeldLease
from gpusched.client.ordinals import LeasedDevice, alone
from gpusched.client.sharing_out import part_of
from gpusched.client.worker import WorkerLease

KERNEL = lease_pb2.ENFORCEMENT_LEVEL_DEVICE_PROGRAM
ADVISORY = lease_pb2.ENFORCEMENT_LEVEL_ADVISORY
INDEX, RELATIVE, UUID = (
    request_pb2.MASK_FORMAT_INDEX,
    request_pb2.MASK_FORMAT_RELATIVE,
    request_pb2.MASK_FORMAT_UUID,
)
A, B, C = "GPU-aaaa", "GPU-bbbb", "GPU-cccc"
PLACES = {A: 0, B: 2, C: 5}
MIG = ("MIG-1111", "MIG-2222")


def held(
    mask: str,
    *uuids: str,
    form: "request_pb2.MaskFormat.ValueType" = INDEX,
    level: "lease_pb2.EnforcementLevel.ValueType" = ADVISORY,
) -> HeldLease:
    """A lease of these devices, whose places on the host are `PLACES`."""
    devices = [
        lease_pb2.GrantedDevice(
            uuid=one,
            index=PLACES.get(one, 0),
            pci_bus_id=f"00000000:0{PLACES.get(one, 0)}:00.0",
            nodes=[device_pb2.DeviceNode(path=f"/dev/none/nvidia{PLACES.get(one, 0)}")],
        )
        for one in uuids
    ]
    grant = lease_pb2.Grant(
        lease=lease_pb2.Lease(id="lease-1"),
        devices=devices,
        environment={"CUDA_VISIBLE_DEVICES": mask},
        mask_format=form,
        enforcement=lease_pb2.Enforcement(level=level),
    )
    return HeldLease(grant)


def names(lease: HeldLease) -> list[str]:
    """What torch calls each device of a lease; empty where it cannot."""
    found: list[str] = []
    for place in range(len(lease.devices)):
        try:
            found.append(lease.torch_device(place))
        except NoSuchDevice:
            found.append("")
    return found


@pytest.mark.parametrize(
    ("lease", "wanted"),
    [
        (held("2", B), ["cuda:0"]),
        (held("5,0", C, A), ["cuda:0", "cuda:1"]),
        (held(f"{C},{A}", C, A, form=UUID), ["cuda:0", "cuda:1"]),
        (held("1,0", C, A, form=RELATIVE, level=KERNEL), ["cuda:0", "cuda:1"]),
        (held(f"{C},{A}", C, A, form=UUID, level=KERNEL), ["cuda:0", "cuda:1"]),
        # Host indices where CUDA counts the lease's devices only: 5 is none, 0 is the first.
        (held("5,0", C, A, level=KERNEL), ["", ""]),
        (held("0,5", A, C, level=KERNEL), ["cuda:0", ""]),
        # Places in the lease where CUDA counts all of the host's.
        (held("0,1", A, B, form=RELATIVE), ["cuda:0", ""]),
        # One MIG instance is all that CUDA shows.
        (held(",".join(MIG), *MIG, form=UUID, level=KERNEL), ["cuda:0", ""]),
    ],
)
def test_a_device_has_the_name_that_torch_gives_it(lease: HeldLease, wanted: list[str]) -> None:
    """It is the place in what CUDA shows by the mask, whatever its format, and none where CUDA
    shows the device not at all.
    """
    assert names(lease) == wanted


@pytest.mark.parametrize(
    ("lease", "place", "why"),
    [
        (held("2", B), 1, "there is no device 1: those of the lease are 0 to 0"),
        (held("2", B), -1, "there is no device -1: "),
        (held(""), 0, "there is no device 0: the lease has none; ask for one with gpus=1"),
        (held("2", B, level=KERNEL), 0, "is of host indices, and the other devices are hidden"),
        (held("0,1", A, B, form=RELATIVE), 1, "counts only devices of the lease"),
        (held(",".join(MIG), *MIG, form=UUID), 1, "it shows a process one MIG instance"),
    ],
)
def test_what_has_no_name_is_an_index_error_with_a_sentence(
    lease: HeldLease, place: int, why: str
) -> None:
    """Beyond the lease, or where CUDA shows nothing, the error says why and what to do."""
    with pytest.raises(NoSuchDevice) as caught:
        lease.torch_device(place)
    assert why in caught.value.sentence
    assert isinstance(caught.value, IndexError)
    assert isinstance(caught.value, GpuschedError)


def test_a_container_hides_the_others(tmp_path: Path) -> None:
    """Where no other GPU's node is there, CUDA counts from the lease's devices."""
    own, other = tmp_path / "nvidia3", tmp_path / "nvidia0"
    device = LeasedDevice(A, 3, "nvidia-l4", None, (str(own),), exclusive=True, pci_bus_id="")
    assert not alone([device])  # nor is its own
    own.touch()
    (tmp_path / "nvidiactl").touch()
    assert alone([device])
    other.touch()
    assert not alone([device])


def test_a_lease_without_a_block_has_no_listener() -> None:
    """Who makes a `HeldLease` of a grant by himself is told how to hear its notices."""
    with pytest.raises(WrongState, match=r"Client\.notices"):
        held("2", B).on_notice(print)


def test_a_device_is_a_record() -> None:
    """The devices of a lease are values with names; none is changed."""
    (device,) = held("2", B).devices
    assert (device.uuid, device.index, device.memory_limit) == (B, 2, None)
    assert device.nodes == ("/dev/none/nvidia2",)
    with pytest.raises(AttributeError):
        device.index = 3  # type: ignore[misc]  # that is what is refused


def test_the_limit_of_a_lease_is_right_on_each_device() -> None:
    """Where parts of unlike devices differ it is the least of them, as in the environment."""
    sizes = (40 << 30, 11 << 30)
    devices = [lease_pb2.GrantedDevice(uuid=B, memory_limit_bytes=one) for one in sizes]
    assert HeldLease(lease_pb2.Grant(devices=devices)).memory_limit == 11 << 30
    assert held("2", B).memory_limit is None


def test_a_worker_of_several_sees_the_devices_of_the_others() -> None:
    """Of a lease that workers share out the kernel shows each of them all devices, so that the
    number in its mask counts those of the others, too.
    """
    whole = held("0,1", A, C, form=RELATIVE, level=KERNEL).grant
    for index in range(2):
        with WorkerLease(part_of(whole, index, 1), index, ExitStack(), whole) as worker:
            assert [one.uuid for one in worker.devices] == [whole.devices[index].uuid]
            assert worker.torch_device() == "cuda:0"
