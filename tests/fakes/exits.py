"""Hears of ends in a `FakeProcessTable`; like the real one never before `watch` returns."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from gpusched.core.ids import ProcessId
from tests.fakes.processes import FakeProcessTable


class FakeExitWatch:
    """Calls back in the event loop when the table's processes end."""

    def __init__(self, processes: FakeProcessTable) -> None:
        self._processes = processes
        self._waiting: dict[ProcessId, list[Callable[[], None]]] = defaultdict(list)
        self._closed = False
        self.failure: OSError | None = None
        """Raised by the next `watch`, as when no descriptor is left."""
        processes.on_end(self._ended)

    @property
    def watched(self) -> frozenset[ProcessId]:
        """Whom it still waits for."""
        return frozenset(self._waiting)

    def watch(self, process: ProcessId, ended: Callable[[], None]) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self._waiting[process].append(ended)
        if self._processes.identify(process.pid) != process:
            self._ended(process)

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()

    def _ended(self, process: ProcessId) -> None:
        for ended in self._waiting.pop(process, ()):
            asyncio.get_running_loop().call_soon(self._tell, ended)

    def _tell(self, ended: Callable[[], None]) -> None:
        if not self._closed:
            ended()
