"""Documents of leases in memory, with what a test wants to go wrong."""

import threading
from collections.abc import Collection

from gpusched.core.cdi import Fields
from gpusched.core.ids import LeaseId


class FakeDocuments:
    """What container engines would find.

    Attributes:
        found: By lease.
        public: By lease, whether everybody may read it.
        fault: Why nothing can be written or removed; None: all goes well.
        nvidia: NVIDIA's own document.
        going: What was to be removed, from the moment on.
        gate: Writing and removing wait for it.
        busy: Set once something is being written.
    """

    def __init__(self, *before: LeaseId) -> None:
        self.found: dict[LeaseId, Fields] = {one: {} for one in before}
        self.public: dict[LeaseId, bool] = {}
        self.going: set[LeaseId] = set()
        self.fault: str | None = None
        self.nvidia: Fields = {}
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()

    def put(self, lease: LeaseId, document: Fields, *, public: bool) -> None:
        self._fail()
        self.busy.set()
        self.gate.wait(10)
        self.found[lease] = document
        self.public[lease] = public

    def remove(self, lease: LeaseId) -> None:
        self._fail()
        self.going.add(lease)
        self.gate.wait(10)
        self.found.pop(lease, None)

    def leases(self) -> Collection[LeaseId]:
        return list(self.found)

    def driver(self) -> Fields:
        return self.nvidia

    def _fail(self) -> None:
        if self.fault is not None:
            raise OSError(28, self.fault)
