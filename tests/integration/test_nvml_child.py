"""Specification: whatever the NVML process does, the daemon gets an answer in time."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_environment
from gpusched.core.sample import NodeReading, Reading, Unavailable

ROOT = Path(__file__).parent.parent.parent
QUICK = Patience(deadline=1.0, start=20.0, first_pause=0.01, longest_pause=0.01)
LONG = 20.0  # seconds; only a failing test ever waits so long
PATIENT = Patience(deadline=LONG, first_pause=0.01, longest_pause=0.01)

MakeSampler = Callable[[str, Patience], AbstractAsyncContextManager[NvmlChild]]


class Starts:
    """What a stand-in is told and tells through files."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "starts"

    def count(self) -> int:
        """How often a stand-in has been started."""
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0

    def go(self) -> int:
        """Let a slow stand-in answer; gives the instant."""
        self.file.with_name("go").touch()
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    """Of the stand-ins of one test."""
    return Starts(tmp_path)


@pytest.fixture
def stand_in(starts: Starts) -> MakeSampler:
    """Makes a sampler over a stand-in process of the given manner, closed at the end."""

    @asynccontextmanager
    async def make(manner: str, patience: Patience) -> AsyncIterator[NvmlChild]:
        script = ROOT / "tests" / "fakes" / "nvml_child.py"
        command = (sys.executable, str(script), manner, str(starts.file))
        sampler = NvmlChild(command, patience=patience, environment={"PYTHONPATH": str(ROOT)})
        try:
            yield sampler
        finally:
            await sampler.close()

    return make


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG):
        while not await condition():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0.005)


async def _until_read(sampler: NvmlChild) -> NodeReading:
    """Ask as the poller does, until there is a reading."""
    reading: NodeReading | None = None

    async def is_read() -> bool:
        nonlocal reading
        answer = await sampler.sample()
        reading = answer if isinstance(answer, NodeReading) else None
        return reading is not None

    await _until(is_read)
    assert reading is not None
    return reading


def _reason(answer: Reading[NodeReading]) -> str:
    assert isinstance(answer, Unavailable)
    return answer.reason


async def test_one_process_gives_many_readings(stand_in: MakeSampler, starts: Starts) -> None:
    """The process is started by the first request and serves all later ones."""
    async with stand_in("good", PATIENT) as sampler:
        assert starts.count() == 0
        for _ in range(3):
            before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            assert (await _until_read(sampler)).begun_at >= before
        assert starts.count() == 1


async def test_late_process_is_ended_and_replaced(stand_in: MakeSampler, starts: Starts) -> None:
    """A hanging call costs the deadline; the process is killed, the next one answers."""
    async with stand_in("hang-second", QUICK) as sampler:
        await _until_read(sampler)
        asked = time.perf_counter()
        reason = _reason(await sampler.sample())
        assert time.perf_counter() - asked < 3
        assert reason == (
            "NVML did not answer for 1.0 s; its process was ended and is started again"
        )
        assert sampler._failures == 1
        await _until_read(sampler)
        assert sampler._failures == 0
        assert starts.count() == 2


async def test_slow_start_is_not_killed(stand_in: MakeSampler, starts: Starts) -> None:
    """A process that initialises slow GPUs is waited for, and each sample says so in time."""
    async with stand_in("slow", Patience(deadline=LONG)) as sampler:
        asking = asyncio.create_task(sampler.sample())

        async def is_started() -> bool:
            return starts.count() == 1

        await _until(is_started)  # to begin a process may take longer than the deadline
        asking.cancel()
        sampler._patience = Patience(deadline=0.05, start=60.0)
        for _ in range(3):
            assert "still starting" in _reason(await sampler.sample())
        sampler._patience = Patience(deadline=LONG)
        released = starts.go()
        assert (await _until_read(sampler)).begun_at >= released
        assert starts.count() == 1


async def test_start_that_never_ends_is_killed(stand_in: MakeSampler) -> None:
    """A start that takes longer than any driver needs is a hanging call like another."""
    patience = Patience(deadline=0.1, start=0.0, first_pause=60.0)
    async with stand_in("hang", patience) as sampler:
        assert "did not answer for 0.1 s" in _reason(await sampler.sample())


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("exit", "NVML's process ended with 7; it is started again"),
        ("stutter", "NVML's process ended with 0; it is started again"),
        ("garbage", "NVML's process answered nonsense (JSONDecodeError"),
        ("endless", "NVML's process answered nonsense (an answer of 4294967295 bytes)"),
        ("refuse", "no driver"),
    ],
)
async def test_failing_process_is_replaced_after_a_pause(
    stand_in: MakeSampler, starts: Starts, manner: str, reason: str
) -> None:
    """A process that fails is not started again at once; the reason is given meanwhile."""
    async with stand_in(manner, Patience(deadline=LONG, first_pause=60.0)) as sampler:
        first = _reason(await sampler.sample())
        assert first.startswith(reason)
        assert _reason(await sampler.sample()) == first
        assert starts.count() == 1
        sampler._not_before = 0.0

        async def is_started_again() -> bool:
            assert _reason(await sampler.sample()).startswith(reason)
            return starts.count() == 2

        await _until(is_started_again)


async def test_killed_process_is_replaced(stand_in: MakeSampler) -> None:
    """A process that somebody else killed is told by its signal and replaced."""
    async with stand_in("good", PATIENT) as sampler:
        await _until_read(sampler)
        assert sampler._child is not None
        sampler._child.process.send_signal(signal.SIGSEGV)
        assert "was killed by signal 11" in _reason(await sampler.sample())
        await _until_read(sampler)


async def test_pauses_double_up_to_a_limit() -> None:
    """Failures in a row are spaced ever wider, up to the longest pause."""
    patience = Patience(first_pause=10.0, longest_pause=35.0)
    sampler = NvmlChild(["/nonexistent/program"], patience=patience, environment={})
    pauses = []
    for _ in range(4):
        sampler._not_before = 0.0
        assert "cannot be started" in _reason(await sampler.sample())
        pauses.append(round(sampler._not_before - asyncio.get_running_loop().time()))
    assert pauses == [10, 20, 35, 35]
    await sampler.close()


async def test_samples_take_turns(stand_in: MakeSampler, starts: Starts) -> None:
    """Samples that are asked for together come from one process, one after the other."""
    async with stand_in("good", Patience(deadline=LONG)) as sampler:
        one, two = await asyncio.gather(sampler.sample(), sampler.sample())
        assert isinstance(one, NodeReading)
        assert isinstance(two, NodeReading)
        assert one.ended_at <= two.begun_at
        assert starts.count() == 1


async def test_abandoned_sample_does_not_answer_the_next(
    stand_in: MakeSampler, starts: Starts
) -> None:
    """A caller that went away leaves an answer behind; the next caller gets its own."""
    async with stand_in("slow", Patience(deadline=LONG)) as sampler:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sampler.sample()
        asking = asyncio.create_task(sampler.sample())
        await asyncio.sleep(0)
        released = starts.go()
        reading = await asking
        assert isinstance(reading, NodeReading)
        assert reading.begun_at >= released


async def test_close_ends_a_hanging_process(stand_in: MakeSampler, starts: Starts) -> None:
    """Closing does not wait for an answer, and a closed sampler starts nothing."""
    async with stand_in("hang", Patience(deadline=LONG)) as sampler:
        asking = asyncio.create_task(sampler.sample())

        async def is_started() -> bool:
            return starts.count() == 1

        await _until(is_started)
        asked = time.perf_counter()
        await sampler.close()
        assert time.perf_counter() - asked < LONG / 2
        assert "has been released" in _reason(await asking)
        assert "has been released" in _reason(await sampler.sample())
        await sampler.close()


async def test_close_before_the_first_sample() -> None:
    """A sampler that never read anything has nothing to close."""
    sampler = NvmlChild(["/nonexistent/program"])
    await sampler.close()


async def test_process_that_cannot_be_ended(
    stand_in: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process stuck in the driver gets no successor and does not hold up the daemon's end."""
    kill = Process.kill
    monkeypatch.setattr(Process, "kill", lambda _process: None)
    async with stand_in("hang-second", Patience(deadline=LONG)) as sampler:
        await _until_read(sampler)
        sampler._patience = Patience(deadline=0.1, start=0.0, first_pause=0.0)
        assert "did not answer" in _reason(await sampler.sample())
        (stuck,) = sampler._retired
        stuck.killed_at = 1.0
        reason = _reason(await sampler.sample())
        assert reason.startswith(f"NVML's former process {stuck.process.pid} hangs in the driver")
        await sampler.close()
        kill(stuck.process)
        await stuck.process.wait()


async def test_noise_on_standard_output_is_kept_from_the_answers() -> None:
    """The process itself reads all devices of a library that prints as it goes."""
    script = ROOT / "tests" / "fakes" / "nvml_noisy_child.py"
    sampler = NvmlChild([sys.executable, str(script)], environment={"PYTHONPATH": str(ROOT)})
    try:
        reading = await _until_read(sampler)
        assert [one.device.uuid for one in reading.devices] == ["GPU-0000", "GPU-0001"]
    finally:
        await sampler.close()


def test_the_environment_is_not_handed_on() -> None:
    """The process gets what it needs to find Python and the library, and nothing else."""
    environment = {"LD_LIBRARY_PATH": "/a", "PYTHONPATH": "/b", "SECRET": "c", "PATH": "/d"}
    assert child_environment(environment) == {"LD_LIBRARY_PATH": "/a", "PYTHONPATH": "/b"}
