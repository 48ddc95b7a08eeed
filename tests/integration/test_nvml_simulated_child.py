"""Specification: the NVML process over a simulator gives what it would give over a driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.core.mask import Governed, mask_of
from gpusched.core.sample import NodeReading, Unavailable


@asynccontextmanager
async def _over(directory: Path) -> AsyncIterator[NvmlChild]:
    sampler = NvmlChild(child_command(directory), patience=Patience(deadline=30.0))
    try:
        yield sampler
    finally:
        await sampler.close()


async def test_simulated_devices(tmp_path: Path) -> None:
    """Every simulated device is read, says that it is simulated, and has nodes of its own."""
    directory = tmp_path / "simulator"
    prepare(directory, parse_scenario("2xH100,1xL4"))
    async with _over(directory) as sampler:
        reading = await sampler.sample()
    assert isinstance(reading, NodeReading)
    assert reading.simulated
    assert [one.device.gpu_type.name for one in reading.devices] == [
        "nvidia-h100-80gb",
        "nvidia-h100-80gb",
        "nvidia-l4",
    ]
    for one in reading.devices:
        (node,) = one.device.nodes
        assert Path(node.path).parent == directory / "dev"
        assert node.major == 60
        assert one.contexts == ()


async def test_simulated_nodes_are_masked_like_real_ones(tmp_path: Path) -> None:
    """A mask made of a simulated reading allows exactly what was leased of all nodes there are."""
    directory = tmp_path / "simulator"
    cards = '[[device]]\nprofile = "RTX4090"\n' * 2 + '[[device]]\nprofile = "A100-40GB"\n'
    prepare(directory, parse_scenario(cards + 'mig = ["3g.20gb", "2g.10gb"]'))
    async with _over(directory) as sampler:
        reading = await sampler.sample()
    assert isinstance(reading, NodeReading)
    devices = [one.device for one in reading.devices]
    nodes = {node for one in devices for node in (*one.nodes, *one.dri_nodes)}
    made = {str(path) for path in (directory / "dev").rglob("*[0-9]")}
    assert {node.path for node in nodes} == made
    governed = Governed(reading.governed, reading.control_nodes)
    for one in devices:
        mask = mask_of([one.uuid], devices, governed)
        allowed = {node for node in nodes if mask.allows(node.major, node.minor)}
        assert allowed == {*one.nodes, *one.dri_nodes}
        assert all(mask.allows(60, minor) for minor in (253, 254, 255))
    assert [len(one.dri_nodes) for one in devices] == [2, 2, 0, 0, 0]


async def test_no_simulator_directory(tmp_path: Path) -> None:
    """A directory that holds no simulator is named in the reason."""
    async with _over(tmp_path) as sampler:
        answer = await sampler.sample()
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(f"the simulator directory {tmp_path}: ")
