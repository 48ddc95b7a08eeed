"""The loop that everybody writes: the NVML functions of a tick, called one after the other.

A process of its own, as the daemon's NVML child is. It calls what the sampler calls and keeps
nothing of the answers. A line on stdin asks for passes; a line of JSON answers with what one took,
and what it took without the names of processes, which the sampler asks for in turns.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import pynvml  # noqa: TID251 - what everybody writes is what is compared with

from gpusched.adapters.nvml import binding, simulated

_LISTS = (
    pynvml.nvmlDeviceGetComputeRunningProcesses,
    pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    pynvml.nvmlDeviceGetMPSComputeRunningProcesses,
)
_SENSORS: tuple[Callable[[object], object], ...] = (
    pynvml.nvmlDeviceGetUUID,
    lambda device: pynvml.nvmlDeviceGetMemoryInfo(device, pynvml.nvmlMemory_v2),
    pynvml.nvmlDeviceGetMigMode,
    pynvml.nvmlDeviceGetUtilizationRates,
    lambda device: pynvml.nvmlDeviceGetTemperature(device, pynvml.NVML_TEMPERATURE_GPU),
    pynvml.nvmlDeviceGetPowerUsage,
    pynvml.nvmlDeviceGetEnforcedPowerLimit,
    pynvml.nvmlDeviceGetComputeMode,
    pynvml.nvmlDeviceGetPersistenceMode,
)


def one_pass(*, names: bool) -> None:
    """Ask for everything once; a process on several devices is named once."""
    named: set[int] = set()
    for index in range(pynvml.nvmlDeviceGetCount()):
        device = pynvml.nvmlDeviceGetHandleByIndex(index)
        for sensor in _SENSORS:
            sensor(device)
        for read in _LISTS:
            named |= {row.pid for row in read(device)}
    for pid in named if names else ():
        pynvml.nvmlSystemGetProcessName(pid)


def main() -> None:
    """Answer until stdin is closed."""
    binding.use_library(simulated.load(Path(sys.argv[1])))
    pynvml.nvmlInit()
    one_pass(names=True)
    for line in sys.stdin:
        passes = int(line)
        took = _timed(passes, names=True)
        took["nameless"] = _timed(passes, names=False)["wall"]
        print(json.dumps(took), flush=True)


def _timed(passes: int, *, names: bool) -> dict[str, float]:
    wall, cpu = perf_counter(), process_time()
    for _ in range(passes):
        one_pass(names=names)
    took = {"wall": perf_counter() - wall, "cpu": process_time() - cpu}
    return {name: one / passes for name, one in took.items()}


if __name__ == "__main__":
    main()
