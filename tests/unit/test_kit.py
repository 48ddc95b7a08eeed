"""The mask kit, on a host where minors, NVML indices and the order of the bus all differ."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpusched.core.device import Device
from gpusched.core.kit import MIG_BREAKS, ONE_MIG_PER_PROCESS, RELATIVE_BARE, Kit, kit_of
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.request import MaskFormat, Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import A, device, lease, mig, share

F = MaskFormat
SOCKET = "/run/gpusched/gpusched.sock"


def gpu(name: str, bus: int, index: int, minor: int) -> Device:
    """A GPU that is numbered differently by everybody."""
    uuid = type(device().uuid)(f"GPU-{name}")
    return replace(
        device(),
        uuid=uuid,
        pci_bus_id=f"00000000:{bus:02X}:00.0",
        index=index,
        minor=minor,
    )


# By place on the bus: ash 0, elm 1, fir 2, oak 3.
ASH, ELM = gpu("ash", 0x07, index=2, minor=3), gpu("elm", 0x0A, index=3, minor=0)
FIR, OAK = gpu("fir", 0x47, index=0, minor=1), gpu("oak", 0xC1, index=1, minor=2)
TREES = (OAK, ASH, FIR, ELM)
LEFT, RIGHT = mig(FIR, 1), mig(FIR, 2)


def leased(*devices: Device, memory: int | None = None, wanted: F = F.AUTO) -> Lease:
    """A lease of these devices, in this order."""
    asked = Request(A, count=len(devices), memory=memory, mask_format=wanted)
    shares = [share(one, memory) for one in devices]
    return lease(LeaseState.RESERVED, *shares, request=asked)


def visible(kit: Kit) -> str:
    """What CUDA sees."""
    return kit.environment["CUDA_VISIBLE_DEVICES"]


def kit(one: Lease, inventory: Sequence[Device] = TREES, *, isolated: bool = False) -> Kit:
    """The kit of a lease on the host of trees."""
    return kit_of(one, inventory, SOCKET, isolated=isolated)


def test_the_host_numbers_its_devices_in_four_ways() -> None:
    """On the host of these tests no two numberings agree, so that none passes for another."""
    ranked = sorted(TREES, key=lambda one: one.order)
    for number, one in enumerate(ranked):
        assert len({number, one.index, one.minor}) == 3


def test_the_kit_names_everything_that_a_framework_asks_for() -> None:
    """The environment of a grant is complete, and its UUIDs keep the order granted."""
    made = kit(leased(OAK, ASH))
    assert made.environment == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "3,0",
        "NVIDIA_VISIBLE_DEVICES": "GPU-oak,GPU-ash",
        "BENTOML_DISABLE_GPU_ALLOCATION": "1",
        "GPUSCHED_LEASE": "lease-1",
        "GPUSCHED_DEVICES": "GPU-oak,GPU-ash",
        "GPUSCHED_SOCKET": SOCKET,
    }
    assert (made.mask_format, made.warnings) == (F.INDEX, ())


def test_a_memory_limit_is_told_in_bytes() -> None:
    """A lease of memory says how many bytes it may use of each device."""
    made = kit(leased(OAK, memory=4 * GIB))
    assert made.environment["GPUSCHED_MEMORY_LIMIT"] == "4294967296"


@pytest.mark.parametrize(
    ("wanted", "isolated", "used", "seen"),
    [
        (F.AUTO, False, F.INDEX, "2,1"),
        (F.AUTO, True, F.RELATIVE, "1,0"),
        (F.INDEX, True, F.INDEX, "2,1"),
        (F.RELATIVE, False, F.RELATIVE, "1,0"),
        (F.UUID, True, F.UUID, "GPU-fir,GPU-elm"),
        (F.UUID, False, F.UUID, "GPU-fir,GPU-elm"),
    ],
)
def test_the_mask_has_the_format_that_was_asked_for(
    wanted: F, used: F, seen: str, *, isolated: bool
) -> None:
    """Indices count by the bus; relative ones count the lease's own; UUIDs stand in full."""
    made = kit(leased(FIR, ELM, wanted=wanted), isolated=isolated)
    assert (made.mask_format, visible(made)) == (used, seen)


def test_the_format_can_be_chosen_when_the_kit_is_made() -> None:
    """`gpusched env --format` goes before the format of the request."""
    made = kit_of(leased(FIR, wanted=F.INDEX), TREES, SOCKET, mask_format=F.UUID)
    assert visible(made) == "GPU-fir"


def test_relative_ordinals_warn_where_nothing_isolates() -> None:
    """Relative ordinals outside a container show the wrong devices, and the kit says so."""
    asked = leased(FIR, wanted=F.RELATIVE)
    assert kit(asked).warnings == (RELATIVE_BARE,)
    assert kit(asked, isolated=True).warnings == ()


def test_a_device_that_left_the_bus_moves_the_ordinals_behind_it() -> None:
    """CUDA counts only what is there: the index is looked up when the kit is made."""
    assert visible(kit(leased(OAK, ASH), (OAK, ASH, FIR))) == "2,0"


def test_an_absent_device_keeps_its_uuid() -> None:
    """No index can be made for a leased device that is lost, so the mask names UUIDs."""
    made = kit(leased(OAK, ASH), (OAK, FIR))
    assert (made.mask_format, visible(made)) == (F.UUID, "GPU-oak,GPU-ash")


@pytest.mark.parametrize("wanted", F)
@pytest.mark.parametrize("isolated", [False, True])
def test_a_mig_instance_is_always_named_by_its_uuid(wanted: F, *, isolated: bool) -> None:
    """An index names no MIG instance, whatever was asked for."""
    parent = replace(FIR, mig_enabled=True)
    made = kit(leased(LEFT, wanted=wanted), (*TREES, parent, LEFT, RIGHT), isolated=isolated)
    assert visible(made) == LEFT.uuid
    assert made.environment["NVIDIA_VISIBLE_DEVICES"] == LEFT.uuid


def test_mig_instances_warn_about_frameworks() -> None:
    """Whoever gets MIG instances learns what does not accept them, and that CUDA shows one."""
    host = (*TREES, LEFT, RIGHT)
    assert kit(leased(LEFT), host).warnings == (MIG_BREAKS,)
    two = kit(leased(RIGHT, LEFT), host)
    assert two.warnings == (ONE_MIG_PER_PROCESS, MIG_BREAKS)
    assert visible(two) == f"{RIGHT.uuid},{LEFT.uuid}"


def test_mig_instances_are_not_counted_among_gpus() -> None:
    """The ordinals of whole GPUs are the same whether or not another GPU has instances."""
    assert visible(kit(leased(OAK), (*TREES, LEFT, RIGHT))) == "3"


def test_a_lease_without_devices_sees_none() -> None:
    """A CPU-only lease has an empty mask, and a container gets no device."""
    made = kit(leased())
    assert visible(made) == ""
    assert made.environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert made.environment["GPUSCHED_DEVICES"] == ""
    assert made.warnings == ()
