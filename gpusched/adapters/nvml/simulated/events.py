"""Event sets of the simulated library: what the scenario has a device report happens once.

A set hears what is reported after a device was registered in it. It keeps the trap of a lost GPU:
once its events are told, a set with it answers GPU_IS_LOST at once, again and again (facts of
k8s-test-infra #746).
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

from gpusched.adapters.nvml.simulated.calls import target
from gpusched.adapters.nvml.simulated.codes import NO_INSTANCE, Code
from gpusched.adapters.nvml.simulated.handles import Handles
from gpusched.adapters.nvml.simulated.scenario import SimulatedEvent
from gpusched.adapters.nvml.simulated.view import View

_FIRST = 0x51E0_0000_1000
_STEP = 0x40
_LOOK_EVERY = 0.02  # seconds: a real wait is woken by the driver


class EventSets:
    """Which devices are registered in which set, and up to which event they have been told."""

    def __init__(self, handles: Handles) -> None:
        self._sets: dict[int, dict[str, int]] = {}
        self._made = 0
        self._handles = handles

    def create(self) -> int:
        """Make a set and give its handle."""
        handle = _FIRST + self._made * _STEP
        self._made += 1
        self._sets[handle] = {}
        return handle

    def free(self, handle: int) -> int:
        """Forget a set."""
        gone = self._sets.pop(handle, None)
        return Code.INVALID_ARGUMENT if gone is None else Code.SUCCESS

    def register(self, handle: int, uuid: str, view: View) -> int:
        """Put a device into a set; what it has reported before is not told."""
        if handle not in self._sets:
            return Code.INVALID_ARGUMENT
        told = (one.sequence for one in _reported(uuid, view))
        self._sets[handle][uuid] = max(told, default=0)
        return Code.SUCCESS

    def wait(self, handle: int, data: Any, seconds: float, view: Callable[[], View]) -> int:
        """Wait for an event, and store it where *data* points."""
        uuids = self._sets.get(handle)
        if uuids is None:
            return Code.INVALID_ARGUMENT
        ends = time.monotonic() + seconds
        while True:
            now = view()
            if self._tell(uuids, data, now):
                return Code.SUCCESS
            if _lost(uuids, now):
                return Code.GPU_IS_LOST
            left = ends - time.monotonic()
            if left <= 0:
                return Code.TIMEOUT
            threading.Event().wait(min(left, _LOOK_EVERY))

    def _tell(self, uuids: dict[str, int], data: Any, view: View) -> bool:
        for uuid, last in uuids.items():
            fresh = [one for one in _reported(uuid, view) if one.sequence > last]
            if fresh:
                event = min(fresh, key=lambda one: one.sequence)
                uuids[uuid] = event.sequence
                _put(target(data), self._handles.of(uuid), event)
                return True
        return False


def _put(data: Any, handle: int, event: SimulatedEvent) -> None:
    ctypes.c_void_p.from_buffer(data).value = handle  # its first field
    data.eventType, data.eventData = event.kind, event.data
    gi, ci = event.gpu_instance, event.compute_instance
    data.gpuInstanceId = NO_INSTANCE if gi is None else gi
    data.computeInstanceId = NO_INSTANCE if ci is None else ci


def _reported(uuid: str, view: View) -> tuple[SimulatedEvent, ...]:
    subject = view.by_uuid.get(uuid)
    return () if subject is None else subject.gpu.state.events


def _lost(uuids: dict[str, int], view: View) -> bool:
    subjects = [view.by_uuid.get(uuid) for uuid in uuids]
    return any(one is None or one.gpu.state.faults.lost for one in subjects)
