"""Which devices CUDA would show, by the rules that facts/nvml.md collects."""

import pytest

from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.visible import visible_devices

HOST = parse_scenario(
    """
    [[device]]
    profile = "L4"
    uuid = "GPU-11110000-0000-0000-0000-000000000000"
    [[device]]
    profile = "H100"
    uuid = "GPU-11220000-0000-0000-0000-000000000000"
    [[device]]
    profile = "A100-80GB"
    uuid = "GPU-33330000-0000-0000-0000-000000000000"
    """
)
MIG_HOST = parse_scenario(
    """
    [[device]]
    profile = "A100-40GB"
    uuid = "GPU-aaaa0000-0000-0000-0000-000000000000"
    mig = ["3g.20gb", "1g.5gb"]
    [[device]]
    profile = "A100-40GB"
    uuid = "GPU-bbbb0000-0000-0000-0000-000000000000"
    mig = ["7g.40gb"]
    [[device]]
    profile = "A100-40GB"
    mig = []
    """
)
L4, H100, A100 = (one.uuid for one in HOST.devices)
BIG, SMALL = (one.uuid for one in MIG_HOST.devices[0].mig)
OTHER = MIG_HOST.devices[1].mig[0].uuid


def _see(mask: str | None, order: str | None = "PCI_BUS_ID") -> list[str]:
    return [one.uuid for one in visible_devices(mask, order, HOST.devices)]


def _see_mig(mask: str | None) -> list[str]:
    return [one.uuid for one in visible_devices(mask, "PCI_BUS_ID", MIG_HOST.devices)]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (None, [L4, H100, A100]),
        ("", []),
        ("-1", []),
        ("0", [L4]),
        ("2,0", [A100, L4]),
        (" 1 , 2", [H100, A100]),
        ("1gpu,2", [H100, A100]),
        ("+1", [H100]),
        ("0,-1,1", [L4]),
        ("0,3,1", [L4]),
        ("3,0", []),
        ("0,,1", [L4]),
        ("none", []),
        ("0,1,0", []),
        ("0,7,0", [L4]),
        (L4, [L4]),
        (f"{A100},{L4}", [A100, L4]),
        ("GPU-3", [A100]),
        ("GPU-112", [H100]),
        ("GPU-11", []),
        ("GPU-", []),
        ("GPU-9,GPU-3", []),
        ("GPU-3,GPU-9,GPU-112", [A100]),
        (f"GPU-3,{A100}", []),
        (f"{L4},1", [L4]),
        (f"1,{L4}", [H100]),
        ("MIG-1", []),
    ],
)
def test_a_mask_shows_what_cuda_would_show(mask: str | None, expected: list[str]) -> None:
    """A bad entry ends the list, a repeated device empties it, an unset mask hides nothing."""
    assert _see(mask) == expected


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST", "anything"])
def test_without_pci_order_the_fastest_device_comes_first(order: str | None) -> None:
    """CUDA's default order is not NVML's: ordinal 0 is the fastest device."""
    assert _see(None, order) == [H100, A100, L4]
    assert _see("0", order) == [H100]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (SMALL, [SMALL]),
        (f"{SMALL},{BIG}", [SMALL]),
        (BIG[:12], [BIG]),
        ("MIG-GPU-aaaa0000-0000-0000-0000-000000000000/7/0", [SMALL]),
        ("MIG-GPU-aaaa0000-0000-0000-0000-000000000000/1/0", [BIG]),
        ("MIG-GPU-aaaa0000-0000-0000-0000-000000000000/2/0", []),
        ("0", [BIG]),
        ("1", [OTHER]),
        ("0,1", [BIG]),
        ("2", []),
        ("GPU-bbbb", [OTHER]),
        (f"{SMALL},GPU-bbbb", [SMALL]),
        (None, [BIG]),
    ],
)
def test_a_process_sees_one_mig_device(mask: str | None, expected: list[str]) -> None:
    """A GPU in MIG mode stands for its first MIG device, and only one of all is shown."""
    assert _see_mig(mask) == expected
