"""The simulator directory: how it is found, and what is where in it.

    scenario.toml   the scenario, complete          control.toml    changes while it runs
    control.fault   why control.toml is not used    processes/      one file for each worker
    dev/            device nodes                    proc/ sys/      what the driver would say there

Names only; a worker imports this before anything else.
"""

from dataclasses import dataclass
from pathlib import Path

VARIABLE = "GPUSCHED_SIMULATOR"
"""Environment variable with the directory's absolute path."""

LOCK = ".lock"
"""File in `processes/` whose lock is held by whoever takes memory or tidies up."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are in a simulator directory."""

    root: Path

    @property
    def scenario(self) -> Path:
        """The scenario, complete."""
        return self.root / "scenario.toml"

    @property
    def control(self) -> Path:
        """Changes while it runs."""
        return self.root / "control.toml"

    @property
    def control_fault(self) -> Path:
        """Why the control file is not used; absent where it is."""
        return self.root / "control.fault"

    @property
    def processes(self) -> Path:
        """One file for each worker."""
        return self.root / "processes"

    @property
    def lock(self) -> Path:
        """The lock of `processes`."""
        return self.processes / LOCK

    @property
    def dev(self) -> Path:
        """Device nodes."""
        return self.root / "dev"

    @property
    def proc(self) -> Path:
        """The driver's files as under `/proc`."""
        return self.root / "proc"

    @property
    def sys(self) -> Path:
        """The slots' files as under `/sys`."""
        return self.root / "sys"
