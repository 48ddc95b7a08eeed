"""Real processes on simulated devices that take more memory on the way, or give it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.simulated_host import GIB, SimulatedHost, simulated_host
from tools.stage import waiting

PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SimulatedHost]:
    with simulated_host(tmp_path / "simulator", "1xL4") as found:
        yield found


def test_a_worker_grows_until_there_is_no_more(host: SimulatedHost) -> None:
    """It takes more at each step, and ends like CUDA where there is none left."""
    variables = {"CUDA_VISIBLE_DEVICES": "0", **PCI}
    worker = host.worker("--memory", "8GiB", "--grow", "8GiB/0.05", **variables)
    assert worker.ready()
    code, complaint = worker.end()
    assert (code, "out of memory" in complaint) == (4, True)
    assert host.used() == 0


def test_a_worker_gives_its_memory_back_and_lives(host: SimulatedHost) -> None:
    """It stands in no list any more, and may take memory again."""
    variables = {"CUDA_VISIBLE_DEVICES": "0", **PCI}
    work = ("--memory", "8GiB", "--free-after", "0.2", "--grow", "1GiB/3")
    worker = host.worker(*work, **variables)
    worker.ready()
    for wanted in ([], [worker.pid]):
        for _ in waiting(10, f"the processes of the device to be {wanted}"):
            if host.pids() == wanted:
                break
    assert host.used() == GIB
    assert worker.terminate() == 0
