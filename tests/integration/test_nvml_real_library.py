"""Specification: without driver or library the reason says exactly what is missing."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.core.sample import Unavailable

CONTROL_NODE = Path("/dev/nvidiactl")
DRIVER = Path("/proc/driver/nvidia/version")
PATIENCE = Patience(deadline=30.0)


@pytest.fixture
def no_control_node_left_behind() -> Iterator[None]:
    """A failing `nvmlInit` of root makes `/dev/nvidiactl`; a test leaves the host as it was."""
    there = CONTROL_NODE.exists()
    yield
    if not there and CONTROL_NODE.exists() and stat.S_ISCHR(CONTROL_NODE.stat().st_mode):
        CONTROL_NODE.unlink()


async def _reason(library_folder: Path) -> str:
    environment = {"LD_LIBRARY_PATH": str(library_folder)}
    sampler = NvmlChild(child_command(), patience=PATIENCE, environment=environment)
    try:
        answer = await sampler.sample()
    finally:
        await sampler.close()
    assert isinstance(answer, Unavailable)
    return answer.reason


@pytest.mark.skipif(DRIVER.exists(), reason="an NVIDIA driver is loaded")
@pytest.mark.usefixtures("no_control_node_left_behind")
async def test_library_without_driver(libnvidia_ml: Path) -> None:
    """NVIDIA's own library without a kernel driver: the reason says that, and the cure."""
    reason = await _reason(libnvidia_ml.parent)
    assert reason.startswith("the NVIDIA kernel driver is not loaded;")
    assert "modprobe nvidia" in reason


async def test_no_library(tmp_path: Path) -> None:
    """A library that cannot be loaded: the reason names it and the package that brings it."""
    # An empty file ends the loader's search, also on a host that has the library.
    (tmp_path / "libnvidia-ml.so.1").touch()
    reason = await _reason(tmp_path)
    assert reason.startswith("libnvidia-ml.so.1 was not found or cannot be loaded;")
    assert "libnvidia-ml1" in reason
