"""Signals that nobody gets but the test; SIGKILL ends a process of the table."""

import signal

from gpusched.core.ids import ProcessId
from tests.fakes.processes import FakeProcessTable


class FakeSignaller:
    """Remembers what was sent, and to whom."""

    def __init__(self, processes: FakeProcessTable) -> None:
        self._processes = processes
        self.sent: list[tuple[ProcessId, int]] = []
        self.failure: OSError | None = None
        """Raised by the next `send`, as when a process may not be signalled."""

    def send(self, process: ProcessId, number: int) -> bool:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        if self._processes.identify(process.pid) != process:
            return False
        self.sent.append((process, number))
        if number == signal.SIGKILL:
            self._processes.end(process)
        return True
