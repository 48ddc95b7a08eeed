"""Keeps the latest `View` of a simulator directory; looks at the files again only when changed.

A control file that is wrong changes nothing: the last good one stays in force, and why is written
into `control.fault`.
"""

import contextlib
import threading
import time
from pathlib import Path

from gpusched.adapters.nvml.simulated.parsing import parse_control, parse_scenario
from gpusched.adapters.nvml.simulated.places import Places
from gpusched.adapters.nvml.simulated.registrations import Registrations
from gpusched.adapters.nvml.simulated.replacing import replace_text
from gpusched.adapters.nvml.simulated.scenario import Scenario, ScenarioError
from gpusched.adapters.nvml.simulated.view import View

_YOUNG_NS = 20_000_000


class Watch:
    """The present state of one simulator directory; for several threads."""

    def __init__(self, directory: Path) -> None:
        """Read the directory.

        Raises:
            ScenarioError: It is not a simulator directory.
        """
        self.places = Places(directory)
        try:
            text = self.places.scenario.read_text(encoding="utf-8")
            self._registrations = Registrations(self.places.processes)
        except OSError as error:
            reason = f"{directory}: is not a simulator directory: {error.strerror}"
            raise ScenarioError((reason,)) from error
        self._base = parse_scenario(text)
        self._scenario = self._base
        self._control_seen: tuple[int, int, int] | None = None
        self._lock = threading.Lock()
        self._view = View(self._base, ())

    @property
    def base(self) -> Scenario:
        """The scenario without the control file."""
        return self._base

    def current(self) -> View:
        """Give the state of now; the same object while nothing has changed."""
        with self._lock:
            scenario = self._controlled()
            registered = self._registrations.current()
            view = self._view
            if view.scenario is not scenario or view.registered is not registered:
                self._view = View(scenario, registered)
            return self._view

    def close(self) -> None:
        """Let go of all descriptors. Idempotent."""
        self._registrations.close()

    def _controlled(self) -> Scenario:
        """Give the scenario with the control file applied."""
        try:
            found = self.places.control.stat()
        except OSError:
            self._control_seen = None
            self._scenario = self._base
            return self._base
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._control_seen:
            self._read_control()
            # A young file may still be growing: look again until its mtime has aged.
            aged = time.time_ns() - found.st_mtime_ns > _YOUNG_NS
            self._control_seen = seen if aged else None
        return self._scenario

    def _read_control(self) -> None:
        try:
            text = self.places.control.read_text(encoding="utf-8")
            scenario = parse_control(text, self._base)
        except (OSError, UnicodeDecodeError, ScenarioError) as error:
            self._say(str(error))
            return
        self._say(None)
        if scenario != self._scenario:
            self._scenario = scenario

    def _say(self, fault: str | None) -> None:
        """Write why the control file is not used; in vain where the directory is not ours."""
        file = self.places.control_fault
        with contextlib.suppress(OSError):
            if fault is None:
                file.unlink(missing_ok=True)
            elif not file.exists() or file.read_text(encoding="utf-8") != f"{fault}\n":
                replace_text(file, f"{fault}\n")
