"""What a tick costs beside the bare NVML calls in it: 8, 16 and 128 devices, 20 processes each.

The tick is the daemon's own: the NVML child's pass, the pipe, /proc of every process, attribution
and the decision. Every process is a real one; the bare loop only asks for its name.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time

import psutil

from bench.figures import Figure, Goal, interleaved
from gpusched.adapters.clock import SystemClock
from gpusched.adapters.nvml import simulated
from gpusched.adapters.nvml.simulated.directory import prepare
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.adapters.procfs.table import ProcfsProcessTable
from gpusched.core.decide import decide
from gpusched.core.events import Ticked
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sample import Unavailable
from gpusched.daemon.poller import Poller
from tools.stage import Failed

DEVICES = (8, 16, 128)
PROCESSES = 20
ROUNDS = 7
PASSES = {8: 30, 16: 15, 128: 3}
GOAL = Goal(1.5)


def ticks() -> list[Figure]:
    """Measure ticks of three hosts."""
    return [figure for devices in DEVICES for figure in _host(devices)]


def _host(devices: int) -> list[Figure]:
    passes = PASSES[devices]
    with (
        _sleepers(devices * PROCESSES) as pids,
        _simulation(devices, pids) as folder,
        asyncio.Runner() as runner,
        _bare(folder) as loop,
    ):
        tick = _Tick(folder)
        runner.run(tick.once())
        contenders = (lambda: runner.run(tick.several(passes)), lambda: _asked(loop, passes))
        rounds = interleaved(contenders, ROUNDS)
        runner.run(tick.close())
    name = f"tick, {devices} devices, {devices * PROCESSES} processes"
    return [
        rounds.ratio(
            f"tick {kind}",
            f"bare {kind}",
            GOAL,
            f"{name}: {kind} / bare",
            " / ".join(
                f"{rounds.median(each) * 1e3:.1f}"
                for each in (f"tick {kind}", f"bare {kind}", "bare nameless")
            )
            + " ms, the last without names",
        )
        for kind in ("wall", "cpu")
    ]


class _Tick:
    """The daemon's tick without its doors."""

    def __init__(self, folder: Path) -> None:
        self._clock = SystemClock()
        self._child = NvmlChild(child_command(folder), patience=Patience(deadline=30.0))
        self._poller = Poller(self._child, ProcfsProcessTable(), self._clock)
        self._ledger = Ledger(Policy())

    async def once(self) -> None:
        sample = await self._poller.look(())
        if isinstance(sample.reading, Unavailable):
            raise Failed(sample.reading.reason)
        for change in decide(self._ledger, Ticked(sample, ()), self._clock.now()).changes:
            self._ledger.apply(change)

    async def several(self, passes: int) -> Mapping[str, float]:
        wall, cpu = perf_counter(), self._spent()
        for _ in range(passes):
            await self.once()
        took, spent = perf_counter() - wall, self._spent() - cpu
        return {"tick wall": took / passes, "tick cpu": spent / passes}

    async def close(self) -> None:
        await self._child.close()

    def _spent(self) -> float:
        """Give the CPU seconds of this process and of the NVML child, of whom nobody else is."""
        children = psutil.Process().children()
        ours = [one for one in children if "gpusched.adapters.nvml.child" in one.cmdline()]
        times = [one.cpu_times() for one in ours]
        return process_time() + sum(one.user + one.system for one in times)


@contextmanager
def _sleepers(count: int) -> Iterator[list[int]]:
    """Keep so many processes that do nothing."""
    script = f"for i in $(seq {count}); do sleep 3600 & echo $!; done; echo; wait"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert shell.stdout is not None  # noqa: S101 - PIPE
    try:
        yield [int(line) for line in iter(shell.stdout.readline, "\n")]
    finally:
        for one in (*psutil.Process(shell.pid).children(), psutil.Process(shell.pid)):
            one.kill()
        shell.wait()
        shell.stdout.close()


@contextmanager
def _simulation(devices: int, pids: list[int]) -> Iterator[Path]:
    rows = "\n".join(
        f'[[process]]\npid = {pid}\ndevice = {place // PROCESSES}\nmemory = "1GiB"'
        for place, pid in enumerate(pids)
    )
    text = f'[[device]]\nprofile = "H100"\ncount = {devices}\n{rows}\n'
    with tempfile.TemporaryDirectory(prefix="gps-bench-") as outer:
        folder = Path(outer) / "simulated"
        prepare(folder, simulated.parse_scenario(text))
        yield folder


@contextmanager
def _bare(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-m", "bench.bare_loop", str(folder))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None  # noqa: S101 - PIPE
        process.stdin.close()


def _asked(loop: "subprocess.Popen[str]", passes: int) -> Mapping[str, float]:
    assert loop.stdin is not None and loop.stdout is not None  # noqa: PT018, S101 - PIPE
    loop.stdin.write(f"{passes}\n")
    loop.stdin.flush()
    line = loop.stdout.readline()
    if not line:
        raise Failed("the bare loop ended")
    return {f"bare {name}": value for name, value in json.loads(line).items()}
