"""A guard in memory: what it is outlives the daemons that use it."""

import threading
from collections import defaultdict
from collections.abc import Iterable

from gpusched.core.mask import Governed
from gpusched.ports import EnforceError, GuardState


class FakeGuard:
    """Does what the real one does, to nobody.

    Attributes:
        governed: What it denies; None while it is off.
        admitted: Inodes of cgroups that are let in.
        denials: Opens that it has denied.
        renewed: How often it was told to let in what serves every lease.
        answering: While cleared, calls wait, as where the kernel is slow.
        closed: Whether its user has let go of it.
    """

    def __init__(self) -> None:
        self.governed: Governed | None = None
        self.admitted: set[int] = set()
        self.denials: int | None = None
        self.renewed = 0
        self.answering = threading.Event()
        self.answering.set()
        self.closed = False
        self._failures: dict[str, list[Exception]] = defaultdict(list)

    def fail(self, method: str, error: Exception) -> None:
        """Let the next call of *method* raise *error* and do nothing; more than once in order."""
        self._failures[method].append(error)

    def on(self, governed: Governed, admitted: Iterable[int]) -> None:
        self._called("on")
        self.governed, self.admitted = governed, set(admitted)
        self.denials = self.denials or 0

    def off(self) -> None:
        self._called("off")
        self.governed = None

    def admit(self, inode: int) -> None:
        self._called("admit")
        self.admitted.add(inode)

    def dismiss(self, inode: int) -> None:
        self._called("dismiss")
        self.admitted.discard(inode)

    def renew(self) -> None:
        self._called("renew")
        self.renewed += 1

    def status(self) -> GuardState:
        self._called("status")
        return GuardState(self.governed is not None, self.denials)

    def close(self) -> None:
        self.closed = True

    def _called(self, method: str) -> None:
        if not self.answering.wait(timeout=30):
            raise EnforceError("the test never let its guard answer")
        if self._failures[method]:
            raise self._failures[method].pop(0)
