"""An NVML library without a driver, below the binding: what `gpusched serve --simulate` runs on.

`parse_scenario` (here), `read_scenario` and `prepare` (in `directory`) are for whoever starts the
simulator, `load` for whoever puts the library object where the binding keeps the
shared library, `worker` for real processes that use simulated memory. See docs/simulator.md.
"""

from pathlib import Path

from gpusched.adapters.nvml.simulated.library import SimulatedLibrary
from gpusched.adapters.nvml.simulated.parsing import parse_scenario
from gpusched.adapters.nvml.simulated.scenario import Scenario, ScenarioError

__all__ = ["Scenario", "ScenarioError", "SimulatedLibrary", "load", "parse_scenario"]


def load(directory: Path) -> SimulatedLibrary:
    """Give the simulated library over *directory*.

    Beside the C functions it has `nodes_root`, `node_major`, `gpu_minors`, `capability_minors`,
    `proc_root` and `sys_root`.

    Raises:
        ScenarioError: `directory.prepare` has not made the directory.
    """
    return SimulatedLibrary(directory)
