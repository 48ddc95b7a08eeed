"""Specification: what is let go leaves nothing open, and is taken up as it is then."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gpusched.adapters.nvml.known_nodes import RememberingSampler
from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.core.sample import NodeReading, Reading, Unavailable
from tests.e2e.host import children_of
from tests.fakes.simulator_control import write_control

ROOT = Path(__file__).parent.parent.parent
LONG = 20.0  # seconds; only a failing test ever waits so long
RELEASED = Unavailable("the driver has been let go; `gpusched nvml resume` takes it up again")
QUICK = Patience(deadline=LONG, first_pause=0.01, longest_pause=0.01)


@asynccontextmanager
async def _stand_in(manner: str, folder: Path, patience: Patience) -> AsyncIterator[NvmlChild]:
    script = ROOT / "tests" / "fakes" / "nvml_child.py"
    command = (sys.executable, str(script), manner, str(folder / "starts"))
    sampler = NvmlChild(command, patience=patience, environment={"PYTHONPATH": str(ROOT)})
    try:
        yield sampler
    finally:
        await sampler.close()


def _version(reading: Reading[NodeReading]) -> object:
    assert isinstance(reading, NodeReading), reading
    return reading.versions.driver


async def test_nothing_is_left_of_what_is_let_go(tmp_path: Path) -> None:
    """When a sample says that the driver has been let go, its process is gone."""
    async with _stand_in("good", tmp_path, QUICK) as sampler:
        assert isinstance(await sampler.sample(), NodeReading)
        assert len(children_of(os.getpid())) == 1
        sampler.release()
        sampler.release()
        assert await sampler.sample() == RELEASED
        assert children_of(os.getpid()) == []
        assert await sampler.sample() == RELEASED
        sampler.resume()
        sampler.resume()
        assert isinstance(await sampler.sample(), NodeReading)


async def test_what_was_never_started_can_be_let_go(tmp_path: Path) -> None:
    """A daemon that starts without the driver starts no process for it."""
    async with _stand_in("good", tmp_path, QUICK) as sampler:
        sampler.release()
        assert await sampler.sample() == RELEASED
        assert not (tmp_path / "starts").exists()


async def test_a_pause_after_failures_is_not_waited_for(tmp_path: Path) -> None:
    """Who takes the driver up again wants to know how it is now."""
    patience = Patience(deadline=LONG, first_pause=3600.0, longest_pause=3600.0)
    async with _stand_in("refuse", tmp_path, patience) as sampler:
        assert await sampler.sample() == Unavailable("no driver")
        sampler.release()
        assert await sampler.sample() == RELEASED
        sampler.resume()
        assert await sampler.sample() == Unavailable("no driver")
        assert len((tmp_path / "starts").read_text().splitlines()) == 2


async def test_a_sample_on_its_way_ends_with_the_process(tmp_path: Path) -> None:
    """Who waits for a hanging call hears that the driver was let go."""
    async with _stand_in("hang", tmp_path, QUICK) as sampler:
        waiting = asyncio.create_task(sampler.sample())
        async with asyncio.timeout(LONG):
            while not (tmp_path / "starts").exists():  # noqa: ASYNC110 - nobody could set an event
                await asyncio.sleep(0.005)
        sampler.release()
        assert await waiting == RELEASED
        assert await sampler.sample() == RELEASED
        assert children_of(os.getpid()) == []


async def test_a_process_that_cannot_be_ended_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs in the driver still holds it: the sample says which, after its deadline."""
    patience = Patience(deadline=0.2, start=0.2)
    async with _stand_in("good", tmp_path, Patience(deadline=LONG)) as sampler:
        assert isinstance(await sampler.sample(), NodeReading)
        (pid,) = children_of(os.getpid())
        assert sampler._child is not None
        process = sampler._child.process
        monkeypatch.setattr(process, "kill", lambda: None)
        sampler._patience = patience
        sampler.release()
        reading = await sampler.sample()
        assert isinstance(reading, Unavailable)
        assert reading.reason.startswith(f"NVML's former process {pid} hangs in the driver")
        monkeypatch.undo()
        process.kill()
        sampler._patience = QUICK
        assert await sampler.sample() == RELEASED


async def test_a_driver_can_be_upgraded_in_between(tmp_path: Path) -> None:
    """The process that takes it up loads the library anew."""
    directory = tmp_path / "simulator"
    prepare(directory, parse_scenario("L4"))
    sampler = RememberingSampler(NvmlChild(child_command(directory), patience=QUICK))
    assert _version(await sampler.sample()) == "580.105.08"
    sampler.release()
    assert await sampler.sample() == RELEASED
    assert sampler.nodes() != ()
    write_control(directory, 'driver = "590.1.2"')
    sampler.resume()
    assert _version(await sampler.sample()) == "590.1.2"
    await sampler.close()


async def test_a_driver_that_is_replaced_below_is_taken_up(tmp_path: Path) -> None:
    """Without letting go: one sample says what does not fit, and the next process does."""
    directory = tmp_path / "simulator"
    prepare(directory, parse_scenario("L4"))
    sampler = NvmlChild(child_command(directory), patience=QUICK)
    assert _version(await sampler.sample()) == "580.105.08"
    write_control(directory, 'driver = "590.1.2"')
    reading = await sampler.sample()
    assert isinstance(reading, Unavailable)
    assert "different versions" in reading.reason
    assert "takes the new one up by itself" in reading.reason
    async with asyncio.timeout(LONG):
        while not isinstance(reading := await sampler.sample(), NodeReading):  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.01)
    assert _version(reading) == "590.1.2"
    await sampler.close()
