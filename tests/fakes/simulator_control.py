"""The control file of a simulator, written as a careful user writes it: whole, and never wrong."""

from pathlib import Path

from gpusched.adapters.nvml.simulated.parsing import parse_control, parse_scenario
from gpusched.adapters.nvml.simulated.places import Places
from gpusched.adapters.nvml.simulated.replacing import replace_text


def write_control(directory: Path, text: str) -> None:
    """Puts *text* into the control file at one stroke; a wrong one is a ScenarioError."""
    places = Places(directory)
    parse_control(text, parse_scenario(places.scenario.read_text(encoding="utf-8")))
    replace_text(places.control, text)
