"""Makes simulator directories.

Everything the simulator writes is in its directory (`places`). A directory that holds anything
else is never used.
"""

import shutil
from pathlib import Path

from gpusched.adapters.nvml.simulated.nodes import (
    make_nodes,
    write_bus_files,
    write_driver_files,
)
from gpusched.adapters.nvml.simulated.normal import to_toml
from gpusched.adapters.nvml.simulated.parsing import is_short_form, parse_scenario
from gpusched.adapters.nvml.simulated.places import Places
from gpusched.adapters.nvml.simulated.replacing import replace_text
from gpusched.adapters.nvml.simulated.scenario import Scenario, ScenarioError

_FIRST_CONTROL = "# Changes while the simulator runs; see docs/simulator.md.\n"


def read_scenario(argument: str) -> Scenario:
    """Read what a user gave to `--simulate`: a short form, or the path of a scenario file.

    Raises:
        ScenarioError: With everything that is wrong.
    """
    file = Path(argument)
    if is_short_form(argument) and not file.is_file():
        return parse_scenario(argument)
    try:
        return parse_scenario(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ScenarioError((f"{argument}: cannot be read: {reason}",)) from error


def prepare(directory: Path, scenario: Scenario) -> str | None:
    """Make *directory* a simulator directory of *scenario*.

    One that already is such is kept: its workers go on holding memory and its control file
    stays in force, as the cards of a real host outlive the daemon.

    Args:
        directory: Absolute; made where it is missing.
        scenario: What to simulate.

    Returns:
        Why its device nodes are plain files, which no mask can hold; None where they are real.

    Raises:
        ScenarioError: The directory holds something else, or cannot be written.
    """
    places = Places(directory)
    try:
        directory.mkdir(parents=True, mode=0o755, exist_ok=True)
        if not places.scenario.is_file() and any(directory.iterdir()):
            raise ScenarioError(
                (f"{directory}: is not empty and not a simulator's; give another",)
            )
        replace_text(places.scenario, to_toml(scenario))
        if not places.control.exists():
            replace_text(places.control, _FIRST_CONTROL)
        _make_processes(places)
        for folder in (places.proc, places.sys):
            shutil.rmtree(folder, ignore_errors=True)
        write_driver_files(places.proc, scenario)
        write_bus_files(places.sys, scenario)
        return make_nodes(places.dev, scenario)
    except OSError as error:
        raise ScenarioError((f"{directory}: cannot be used: {error.strerror}",)) from error


def _make_processes(places: Places) -> None:
    places.processes.mkdir(exist_ok=True)
    # Workers of every user register here and none may remove another's, as in /tmp.
    places.processes.chmod(0o1777)
    places.lock.touch()
    places.lock.chmod(0o644)
