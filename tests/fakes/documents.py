"""Documents of leases in memory, with what a test wants to go wrong."""

import threading
from collections.abc import Collection

from gpusched.core.cdi import Fields
from gpusched.core.ids import LeaseId


class FakeDocuments:
    """What container engines would find.

    Attributes:
        found: By lease.
        fault: Why nothing can be written or removed; None: all goes well.
        nvidia: NVIDIA's own document.
        gate: Writing waits for it.
        busy: Set once something is being written.
    """

    def __init__(self, *before: LeaseId) -> None:
        self.found: dict[LeaseId, Fields] = {one: {} for one in before}
        self.fault: str | None = None
        self.nvidia: Fields = {}
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()

    def put(self, lease: LeaseId, document: Fields) -> None:
        self._fail()
        self.busy.set()
        self.gate.wait(10)
        self.found[lease] = document

    def remove(self, lease: LeaseId) -> None:
        self._fail()
        self.found.pop(lease, None)

    def leases(self) -> Collection[LeaseId]:
        return list(self.found)

    def driver(self) -> Fields:
        return self.nvidia

    def _fail(self) -> None:
        if self.fault is not None:
            raise OSError(28, self.fault)
