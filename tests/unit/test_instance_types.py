"""The instance-type table."""

from dataclasses import replace

import pytest

from gpusched.core.device import Device
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.rpc.host import Host as HostFacts
from gpusched.rpc.instance_types import sizes_up_to, types_of
from tests.fakes.builders import (
    L4,
    A,
    device,
    mig,
)
from tests.fakes.host import Host

FIRST, SECOND_GPU = device(0), device(1)
HOST = HostFacts("n", "1", "/s", "b", 1, cores=12, memory=96 * GIB)


def mig_host() -> tuple[Host, Device, Device, Device]:
    """A partitioned GPU with two instances, behind a whole one."""
    parent = replace(SECOND_GPU, mig_enabled=True)
    one, two = mig(parent, 1), mig(parent, 2)
    return Host(FIRST, parent, one, two), parent, one, two


def test_types() -> None:
    """Types are offered by number, with their part of the host and how many are free."""
    host = Host(*(device(place) for place in range(3)), device(3, L4, 24 * GIB))
    host.grant(Request(A))
    facts_ = replace(HOST, prices={"gpu.l4.1": "0.70"})
    rows = {one.name: one for one in types_of(host.ledger, host.now.instant, facts_)}
    assert list(rows)[:5] == ["cpu.1", "cpu.2", "cpu.4", "cpu.8", "cpu.12"]
    assert list(rows)[5:] == [
        "gpu.a100-80gb.1",
        "gpu.a100-80gb.2",
        "gpu.a100-80gb.3",
        "gpu.l4.1",
    ]
    assert [one.free_count for one in rows.values()][5:] == [2, 1, 0, 1]
    pair = rows["gpu.a100-80gb.2"]
    assert (pair.cpu_millicores, pair.memory_bytes) == (6000, 48 * GIB)
    assert (pair.gpu_count, pair.gpu_type) == (2, "nvidia-a100-80gb")
    assert pair.device_memory_bytes == 80 * GIB
    assert "a100" in pair.aliases
    assert rows["gpu.l4.1"].price == "0.70"
    assert rows["cpu.4"].price == ""
    assert (rows["cpu.4"].memory_bytes, rows["cpu.4"].free_count) == (32 * GIB, 3)


def test_mig_types() -> None:
    """A partitioned GPU is offered by its instances only."""
    host, _, _, _ = mig_host()
    host.grant(Request(A, mig_profile="4g.40gb"))
    rows = {one.name: one for one in types_of(host.ledger, host.now.instant, HOST)}
    row = rows["gpu.a100-80gb.mig-4g.40gb"]
    assert (row.mig_profile, row.gpu_count, row.free_count) == ("4g.40gb", 1, 1)
    assert row.cpu_millicores == 12_000 // 4
    assert rows["gpu.a100-80gb.1"].free_count == 1
    assert "gpu.a100-80gb.2" not in rows


def test_no_devices_no_types() -> None:
    """A host without devices offers processors."""
    host = Host()
    rows = types_of(host.ledger, host.now.instant, HOST)
    assert {one.gpu_count for one in rows} == {0}


@pytest.mark.parametrize(("most", "sizes"), [(0, []), (1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_sizes(most: int, sizes: list[int]) -> None:
    """Sizes double, and the largest is everything."""
    assert sizes_up_to(most) == sizes
