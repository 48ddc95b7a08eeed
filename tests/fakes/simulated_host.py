"""A simulated host for tests: its directory, pynvml over its library, and real workers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding: that is what is tested

from gpusched.adapters.nvml.simulated import SimulatedLibrary, load, parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare
from tests.fakes.simulator_control import write_control

MIB = 1 << 20
GIB = 1 << 30

_MAIN = "import sys; from gpusched.adapters.nvml.simulated.worker import main; sys.exit(main(sys.argv[1:]))"  # noqa: E501 - one statement line for the interpreter


BUSY = """
[[device]]
profile = "L4"
count = 2
{faults}
[[process]]
pid = 300
type = "C+G"
memory = "3GiB"
name = "/usr/bin/trainer"
[[process]]
pid = 20
memory = "N/A"
[[process]]
pid = 41
type = "M+C"
memory = "1GiB"
[[process]]
pid = 300
memory = "1MiB"
"""
"""Two L4; on the first, processes of all kinds. `{faults}` takes keys of the cards."""


def code_of(call: str, *arguments: object) -> int:
    """The code that a function of pynvml fails with; 0 where it succeeds."""
    try:
        getattr(pynvml, call)(*arguments)
    except pynvml.NVMLError as error:
        return int(error.value)
    return 0


class Worker:
    """A running `gpusched simulated-worker`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> Mapping[str, object]:
        """Wait for its line; empty where it ended without one."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found: Mapping[str, object] = json.loads(line) if line else {}
        return found

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def terminate(self) -> int:
        self.process.terminate()
        return self.end()[0]

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it complained about."""
        _, complaint = self.process.communicate(timeout=20)
        return self.process.returncode, complaint


class SimulatedHost:
    """One simulator directory with pynvml over it."""

    def __init__(self, directory: Path, scenario: str) -> None:
        self.directory = directory
        self.scenario = parse_scenario(scenario)
        self.plain_files = prepare(directory, self.scenario)
        self.library: SimulatedLibrary = load(directory)
        self._workers: list[Worker] = []
        # pynvml keeps functions of an earlier library.
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = self.library
        pynvml.nvmlInit()

    def control(self, text: str) -> None:
        write_control(self.directory, text)

    def handle(self, index: int = 0) -> object:
        found: object = pynvml.nvmlDeviceGetHandleByIndex(index)
        return found

    def used(self, index: int = 0) -> int:
        memory = pynvml.nvmlDeviceGetMemoryInfo(self.handle(index), pynvml.nvmlMemory_v2)
        return int(memory.used)

    def pids(self, index: int = 0) -> list[int]:
        rows = pynvml.nvmlDeviceGetComputeRunningProcesses(self.handle(index))
        return [row.pid for row in rows]

    def worker(self, *arguments: str, **variables: str) -> Worker:
        """Start a worker; `stop` ends it where the test does not."""
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("CUDA_")
        }
        environment |= {"GPUSCHED_SIMULATOR": str(self.directory), **variables}
        process = subprocess.Popen(  # noqa: S603 - our own command with the test's arguments
            [sys.executable, "-c", _MAIN, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._workers.append(Worker(process))
        return self._workers[-1]

    def stop(self) -> None:
        for one in self._workers:
            if one.process.returncode is None:
                one.kill()
        pynvml.nvmlShutdown()
        self.library.close()
        shutil.rmtree(self.directory)
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = None


@contextmanager
def simulated_host(directory: Path, scenario: str) -> Iterator[SimulatedHost]:
    host = SimulatedHost(directory, scenario)
    try:
        yield host
    finally:
        host.stop()
