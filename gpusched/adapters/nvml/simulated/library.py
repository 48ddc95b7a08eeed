"""The simulated library: an object in the place of the `ctypes.CDLL` of libnvidia-ml.

`getattr(library, "nvml…")` gives a callable, or raises AttributeError for a function that it
lacks, which the binding calls FunctionNotFound. Here is what concerns the library as a whole:
initialisation, handles, events, and the faults that stand between a call and its answer.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpusched.adapters.nvml.simulated import (
    detail_functions,
    detail_structures,
    device_functions,
    memory_functions,
    names,
    topology_functions,
)
from gpusched.adapters.nvml.simulated.calls import (
    Call,
    DeviceFunction,
    handle_value,
    number,
    put,
    put_handle,
    put_text,
    text,
)
from gpusched.adapters.nvml.simulated.codes import TEXTS, Code
from gpusched.adapters.nvml.simulated.events import EventSets
from gpusched.adapters.nvml.simulated.handles import Handles
from gpusched.adapters.nvml.simulated.nodes import CAPABILITY_MINORS, GPU_MINORS, MAJOR
from gpusched.adapters.nvml.simulated.scenario import FOREVER, Faults
from gpusched.adapters.nvml.simulated.view import Subject, View
from gpusched.adapters.nvml.simulated.watch import Watch

Function = Callable[..., object]

_OF_GPUS = {
    **device_functions.OF_GPUS,
    **detail_functions.OF_GPUS,
    **detail_structures.OF_GPUS,
    **topology_functions.OF_GPUS,
}
_OF_ANY = {**device_functions.OF_ANY, **memory_functions.OF_ANY, **detail_structures.OF_ANY}
_VERSION_ONLY = {"nvmlSystemGetNVMLVersion", "nvmlErrorString"}
_INIT = {"nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags"}


class SimulatedLibrary:
    """NVML over a simulator directory; for several threads, as the C library is."""

    def __init__(self, directory: Path) -> None:
        """Open *directory*, which `prepare` has made.

        Raises:
            ScenarioError: It is not a simulator directory.
        """
        self._watch = Watch(directory)
        self._handles = Handles()
        self._events = EventSets(self._handles)
        # What is loaded stays loaded, also when the driver below it is replaced.
        self._loaded = self._watch.current().scenario
        self._users = 0
        self._refused_lists: dict[str, tuple[Faults, int]] = {}
        self._system: dict[str, Function] = {
            "nvmlInit": self._init,
            "nvmlInit_v2": self._init,
            "nvmlInitWithFlags": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlErrorString": _error_string,
            "nvmlSystemGetDriverVersion": self._driver_version,
            "nvmlSystemGetNVMLVersion": self._nvml_version,
            "nvmlSystemGetCudaDriverVersion": self._cuda_version,
            "nvmlSystemGetCudaDriverVersion_v2": self._cuda_version,
            "nvmlSystemGetProcessName": self._process_name,
            "nvmlDeviceGetCount": self._count,
            "nvmlDeviceGetCount_v2": self._count,
            "nvmlDeviceGetHandleByIndex": self._handle_by_index,
            "nvmlDeviceGetHandleByIndex_v2": self._handle_by_index,
            "nvmlDeviceGetHandleByUUID": self._handle_by_uuid,
            "nvmlDeviceGetHandleByPciBusId": self._handle_by_bus_id,
            "nvmlDeviceGetHandleByPciBusId_v2": self._handle_by_bus_id,
            "nvmlEventSetCreate": self._create_event_set,
            "nvmlEventSetFree": self._free_event_set,
            "nvmlEventSetWait": self._wait_for_event,
            "nvmlEventSetWait_v2": self._wait_for_event,
            "nvmlDeviceRegisterEvents": self._register_events,
        }

    @property
    def nodes_root(self) -> Path:
        """Folder of the device nodes, in the place of `/dev`."""
        return self._watch.places.dev

    @property
    def node_major(self) -> int:
        """Major of all device nodes, capability nodes included."""
        return MAJOR

    @property
    def gpu_minors(self) -> tuple[int, int]:
        """Lowest and highest minor that a GPU can have."""
        return GPU_MINORS

    @property
    def capability_minors(self) -> tuple[int, int]:
        """Lowest and highest minor that a capability can have."""
        return CAPABILITY_MINORS

    @property
    def proc_root(self) -> Path:
        """Folder with the driver's files, in the place of `/proc`."""
        return self._watch.places.proc

    @property
    def sys_root(self) -> Path:
        """Folder with the slots' files, in the place of `/sys`."""
        return self._watch.places.sys

    def close(self) -> None:
        """Let go of all descriptors; no function may be called afterwards. Idempotent."""
        self._watch.close()

    def __getattr__(self, name: str) -> Function:
        if name.startswith("nvml") and name not in self._watch.base.missing_functions:
            if name in self._system:
                return self._system_function(name, self._system[name])
            if name in _OF_GPUS:
                return self._device_function(name, _OF_GPUS[name], on_mig=False)
            if name in _OF_ANY:
                return self._device_function(name, _OF_ANY[name], on_mig=True)
        raise AttributeError(name)

    def _system_function(self, name: str, body: Function) -> Function:
        def answer(*arguments: Any) -> object:
            if name in _VERSION_ONLY:
                return body(*arguments)
            if not self._users and name not in _INIT and name != "nvmlShutdown":
                return Code.UNINITIALIZED
            scenario = self._watch.current().scenario
            if scenario.driver != self._loaded.driver:
                return Code.LIB_RM_VERSION_MISMATCH
            return scenario.errors.get(name) or body(*arguments)

        return answer

    def _device_function(self, name: str, body: DeviceFunction, *, on_mig: bool) -> Function:
        def answer(handle: Any, *arguments: Any) -> int:
            view = self._watch.current()
            unusable = self._unusable(view)
            if unusable:
                return unusable
            uuid = self._handles.uuid(handle_value(handle))
            if uuid is None:
                return Code.INVALID_ARGUMENT
            subject = view.by_uuid.get(uuid)
            if subject is None:
                return Code.GPU_IS_LOST  # it has vanished
            code = self._fault(view, subject, name, arguments)
            if code:
                return code
            if subject.mig is not None and not on_mig:
                return Code.NOT_SUPPORTED
            return body(Call(view, subject, self._handles), *arguments)

        return answer

    def _unusable(self, view: View) -> int:
        """Say why the library answers nothing: it is not initialised, or its driver is gone."""
        if not self._users:
            return Code.UNINITIALIZED
        fits = view.scenario.driver == self._loaded.driver
        return Code.SUCCESS if fits else Code.LIB_RM_VERSION_MISMATCH

    def _fault(self, view: View, subject: Subject, name: str, arguments: tuple[Any, ...]) -> int:
        """Let go wrong what the scenario says; gives a code, or 0 to go on."""
        faults = subject.gpu.state.faults
        _hang(faults, name)
        if faults.lost:
            return Code.GPU_IS_LOST
        if faults.reset_required:
            return Code.RESET_REQUIRED
        code = faults.errors.get(name) or view.scenario.errors.get(name) or Code.SUCCESS
        if not code and faults.insufficient_size and name in memory_functions.PROCESS_LISTS:
            return self._outgrow(view, subject, *arguments)
        return code

    def _outgrow(self, view: View, subject: Subject, count: Any, entries: Any) -> int:
        """Pretend that more processes have come between the caller's two calls."""
        if entries is None or not view.rows(subject):
            return Code.SUCCESS
        faults = subject.gpu.state.faults
        known, refused = self._refused_lists.get(subject.uuid, (faults, 0))
        refused = 0 if known != faults else refused
        if refused >= faults.insufficient_size:
            return Code.SUCCESS
        self._refused_lists[subject.uuid] = (faults, refused + 1)
        put(count, number(getattr(count, "_obj", count)) + 1)
        return Code.INSUFFICIENT_SIZE

    def _init(self, *_flags: Any) -> int:
        self._users += 1
        return Code.SUCCESS

    def _shutdown(self) -> int:
        if not self._users:
            return Code.UNINITIALIZED
        self._users -= 1
        return Code.SUCCESS

    def _driver_version(self, buffer: Any, length: Any) -> int:
        return put_text(buffer, length, self._loaded.driver)

    def _nvml_version(self, buffer: Any, length: Any) -> int:
        return put_text(buffer, length, self._loaded.nvml)

    def _cuda_version(self, place: Any) -> int:
        return put(place, self._watch.base.cuda)

    def _process_name(self, pid: Any, buffer: Any, length: Any) -> int:
        name = self._watch.current().process_name(number(pid)) or names.real_name(number(pid))
        return Code.NOT_FOUND if name is None else names.put_name(buffer, length, name)

    def _count(self, place: Any) -> int:
        return put(place, len(self._watch.current().gpus))

    def _handle_by_index(self, index: Any, place: Any) -> int:
        gpus = self._watch.current().gpus
        if number(index) >= len(gpus):
            return Code.INVALID_ARGUMENT
        return self._give("nvmlDeviceGetHandleByIndex_v2", gpus[number(index)], place)

    def _handle_by_uuid(self, uuid: Any, place: Any) -> int:
        subject = self._watch.current().by_uuid.get(text(uuid))
        if subject is None:
            return Code.NOT_FOUND
        return self._give("nvmlDeviceGetHandleByUUID", subject, place)

    def _handle_by_bus_id(self, bus_id: Any, place: Any) -> int:
        wanted = text(bus_id).upper().rjust(len("00000000:00:00.0"), "0")
        gpus = self._watch.current().gpus
        subject = next((one for one in gpus if one.gpu.bus_id == wanted), None)
        if subject is None:
            return Code.NOT_FOUND
        return self._give("nvmlDeviceGetHandleByPciBusId_v2", subject, place)

    def _give(self, name: str, subject: Subject, place: Any) -> int:
        code = self._fault(self._watch.current(), subject, name, ())
        return code or put_handle(place, self._handles.of(subject.uuid))

    def _create_event_set(self, place: Any) -> int:
        return put_handle(place, self._events.create())

    def _free_event_set(self, event_set: Any) -> int:
        return self._events.free(handle_value(event_set))

    def _register_events(self, handle: Any, _types: Any, event_set: Any) -> int:
        uuid = self._handles.uuid(handle_value(handle))
        view = self._watch.current()
        if uuid is None:
            return Code.INVALID_ARGUMENT
        subject = view.by_uuid.get(uuid)
        if subject is None:
            return Code.GPU_IS_LOST
        if subject.mig is not None:
            return Code.NOT_SUPPORTED
        code = self._fault(view, subject, "nvmlDeviceRegisterEvents", ())
        return code or self._events.register(handle_value(event_set), uuid, view)

    def _wait_for_event(self, event_set: Any, data: Any, milliseconds: Any) -> int:
        seconds = number(milliseconds) / 1000
        return self._events.wait(handle_value(event_set), data, seconds, self._watch.current)


def _hang(faults: Faults, name: str) -> None:
    if faults.hang and (not faults.hang_in or name in faults.hang_in):
        # Nothing sets the event: like a stuck driver, only the end of the process ends it.
        threading.Event().wait(None if faults.hang == FOREVER else faults.hang)


def _error_string(code: Any) -> bytes:
    known = {int(one): words for one, words in TEXTS.items()}
    return known.get(number(code), "Unknown Error").encode()
