"""Event sets of the simulated library. No scenario brings events yet: a wait ends with TIMEOUT.

What already holds is the trap of a lost GPU: a set with it answers GPU_IS_LOST at once, again and
again (facts of k8s-test-infra #746).
"""

import threading
from collections.abc import Callable

from gpusched.adapters.nvml.simulated.codes import Code
from gpusched.adapters.nvml.simulated.view import View

_FIRST = 0x51E0_0000_1000
_STEP = 0x40


class EventSets:
    """Which devices are registered in which set."""

    def __init__(self) -> None:
        self._sets: dict[int, set[str]] = {}
        self._made = 0

    def create(self) -> int:
        """Make a set and give its handle."""
        handle = _FIRST + self._made * _STEP
        self._made += 1
        self._sets[handle] = set()
        return handle

    def free(self, handle: int) -> int:
        """Forget a set."""
        gone = self._sets.pop(handle, None)
        return Code.INVALID_ARGUMENT if gone is None else Code.SUCCESS

    def register(self, handle: int, uuid: str) -> int:
        """Put a device into a set."""
        if handle not in self._sets:
            return Code.INVALID_ARGUMENT
        self._sets[handle].add(uuid)
        return Code.SUCCESS

    def wait(self, handle: int, seconds: float, view: Callable[[], View]) -> int:
        """Wait for an event; there is none before the time is up."""
        uuids = self._sets.get(handle)
        if uuids is None:
            return Code.INVALID_ARGUMENT
        if _lost(uuids, view()):
            return Code.GPU_IS_LOST
        threading.Event().wait(seconds)
        return Code.GPU_IS_LOST if _lost(uuids, view()) else Code.TIMEOUT


def _lost(uuids: set[str], view: View) -> bool:
    subjects = [view.by_uuid.get(uuid) for uuid in uuids]
    return any(one is None or one.gpu.state.faults.lost for one in subjects)
