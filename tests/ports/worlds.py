"""Where processes start and end: in memory, or on this host."""

import os
from typing import Protocol

from gpusched.adapters.exits import PidfdExitWatch
from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.ports import ExitWatch, ProcessTable
from tests.fakes.exits import FakeExitWatch
from tests.fakes.processes import FakeProcessTable
from tests.ports.real_processes import RealProcesses

UID = os.getuid()


class World(Protocol):
    """A host with processes, and the ports that look at it."""

    @property
    def table(self) -> ProcessTable: ...

    @property
    def exits(self) -> ExitWatch: ...

    def start(self, claims: LeaseId | None = None) -> ProcessId:
        """Start a process called `sh`, carrying a lease's id perhaps."""
        ...

    def fork(self, parent: ProcessId, claims: LeaseId | None = None) -> ProcessId:
        """Let *parent* start one."""
        ...

    def end(self, process: ProcessId) -> None:
        """Kill it; it has ended when this returns."""
        ...


class FakeWorld:
    """Processes in memory."""

    def __init__(self) -> None:
        self.table = FakeProcessTable()
        self.exits = FakeExitWatch(self.table)

    def start(self, claims: LeaseId | None = None) -> ProcessId:
        return self.table.start(uid=UID, claims=claims, name="sh")

    def fork(self, parent: ProcessId, claims: LeaseId | None = None) -> ProcessId:
        return self.table.start(uid=UID, parent=parent, claims=claims, name="sh")

    def end(self, process: ProcessId) -> None:
        self.table.end(process)


class RealWorld:
    """Shells of this host."""

    def __init__(self, processes: RealProcesses) -> None:
        self.table = ProcfsProcessTable()
        self.exits = PidfdExitWatch(self.table.identify)
        self._processes = processes

    def start(self, claims: LeaseId | None = None) -> ProcessId:
        return self._identity(self._processes.start(claims))

    def fork(self, parent: ProcessId, claims: LeaseId | None = None) -> ProcessId:
        return self._identity(self._processes.fork(parent.pid, claims))

    def end(self, process: ProcessId) -> None:
        self._processes.end(process.pid)

    def _identity(self, pid: int) -> ProcessId:
        identity = self.table.identify(pid)
        assert identity is not None
        return identity
