"""One pass over NVML: everything that a tick wants to know, as a `NodeReading`.

Exists so that each value is read once per tick and fails by itself. Runs in the child process;
pids stay the bare numbers that NVML gives, since only the daemon may look into `/proc`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.fault_watch import FaultWatch
from gpusched.adapters.nvml.inventory import Found, Inventory
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.process_lists import ProcessLists, merge
from gpusched.adapters.nvml.processes import ProcessRow
from gpusched.adapters.nvml.steady import Look, SteadyLooks
from gpusched.adapters.nvml.topology import TopologyReader
from gpusched.core.fault import Recovery
from gpusched.core.ids import Instant
from gpusched.core.sample import (
    ContextReading,
    DeviceReading,
    DriverVersions,
    LostDevice,
    NodeReading,
    Reading,
    Unavailable,
)

T = TypeVar("T")

_LOST: Final = frozenset({binding.GPU_IS_LOST, binding.RESET_REQUIRED})
# The list of a partitioned GPU needs a privilege, and would count its instances' processes twice.
_PARTITIONED: Final = Unavailable("MIG is enabled: its instances are read one by one")
_OF_THE_GPU: Final = Unavailable("not of a MIG instance: it belongs to the whole GPU")
_NOT_ASKED: Final = Unavailable("not asked")
_TURNS: Final = 10
"""Passes until a process that stays has been asked for its name again."""

_NO_SIZE: Final = Unavailable("the driver does not know it (N/A)")
_TOO_MUCH: Final = Unavailable("the driver says more than the device has")


class NvmlSampler:
    """Reads all devices of one driver load; the library is initialised before it is made."""

    def __init__(self, places: NodePlaces, *, simulated: bool) -> None:
        self._places = places
        self._inventory = Inventory(places)
        self._watch = FaultWatch()
        self._topology = TopologyReader()
        self._simulated = simulated
        self._names = _Names()
        self._looks = SteadyLooks()
        self._versions = DriverVersions(
            driver=binding.reading(binding.driver_version),
            nvml=binding.reading(binding.nvml_version),
            cuda=binding.reading(binding.cuda_version),
        )

    def sample(self) -> NodeReading:
        """Read every device once; one lost GPU does not hide the others.

        Raises:
            binding.NvmlFailure: The GPUs cannot even be counted, or none answers, for a reason
                that is none of theirs: a library that does not fit the driver any more.
        """
        begun_at = _now()
        devices: list[DeviceReading] = []
        lost: list[LostDevice] = []
        names = self._names
        names.begin()
        refusals: list[binding.NvmlFailure] = []
        gpus: list[Found] = []
        for index in range(binding.count()):
            try:
                found, gone = self._inventory.gpu(index)
                gpu = found[0]
                health = self._watch.follow(gpu.device.uuid, gpu.handle)
                devices += [self._read(one, health) for one in found]
                gpus.append(gpu)
                lost += gone
            except binding.NvmlFailure as failure:
                refusals.append(failure)
                lost += self._lost(index, failure)
        _check(devices, refusals)
        return NodeReading(
            begun_at=begun_at,
            ended_at=_now(),
            versions=self._versions,
            devices=tuple(devices),
            lost=tuple(lost),
            simulated=self._simulated,
            control_nodes=self._places.of_every_holder(),
            governed=self._places.governed(),
            faults=tuple(self._watch.faults()),
            topology=self._topology.of([(one.device, one.handle) for one in gpus]),
        )

    def _read(self, found: Found, health: tuple[Reading[Recovery], str]) -> DeviceReading:
        """Read one device; raises `NvmlFailure` only where it turns out to be lost."""
        look: Look = (found.memory, _PARTITIONED)
        if not found.device.mig_enabled:
            look = self._looks.at(found)
        memory, lists = look
        return DeviceReading(
            device=found.device,
            memory=memory,
            contexts=_contexts(lists, self._names, found.device.memory_total),
            gpu_utilization=_sensor(found, binding.gpu_utilization),
            temperature_celsius=_sensor(found, binding.temperature),
            power_milliwatts=_sensor(found, binding.power),
            power_limit_milliwatts=_sensor(found, binding.power_limit),
            compute_mode=_sensor(found, binding.compute_mode),
            persistence=_sensor(found, binding.persistence),
            recovery=_OF_THE_GPU if found.device.mig else health[0],
            unmonitored=health[1],
        )

    def _lost(self, index: int, failure: binding.NvmlFailure) -> list[LostDevice]:
        lost = self._inventory.lost(index, failure)
        if lost[0].uuid is not None:
            self._watch.gone(lost[0].uuid)
        return lost


def _check(devices: Sequence[DeviceReading], refusals: Sequence[binding.NvmlFailure]) -> None:
    """Make sure that the library still fits the driver.

    Raises:
        binding.NvmlFailure: It does not, or every GPU is refused and none is lost.
    """
    for failure in refusals:
        if failure.code == binding.LIBRARY_MISMATCH:
            raise failure
    if refusals and not devices and not any(one.code in _LOST for one in refusals):
        raise refusals[0]


class _Names:
    """Names of processes, from one pass to the next.

    A process on eight devices is asked for once. One that was there in the pass before, too, is
    asked for again only in its turn: a name costs as much as two sensors, and changes by an exec.
    """

    def __init__(self) -> None:
        self._pass = 0
        self._before: dict[int, Reading[str]] = {}
        self._known: dict[int, Reading[str]] = {}

    def begin(self) -> None:
        """Begin a pass: who is not asked for in it is forgotten after it."""
        self._pass += 1
        self._before, self._known = self._known, {}

    def of(self, pid: int) -> Reading[str]:
        name = self._known.get(pid)
        if name is None:
            name = self._before.get(pid, _NOT_ASKED)
            if isinstance(name, Unavailable) or (self._pass + pid) % _TURNS == 0:
                name = binding.reading(binding.process_name, pid)
            self._known[pid] = name
        return name


def _sensor(found: Found, ask: Callable[[binding.Handle], T]) -> Reading[T]:
    """Read a value that only a whole GPU has."""
    return _OF_THE_GPU if found.device.mig else binding.reading(ask, found.handle)


def _contexts(
    lists: Reading[ProcessLists], names: _Names, total: int | None
) -> Reading[tuple[ContextReading, ...]]:
    """Merge the three lists; one that could not be read leaves all of them unknown.

    Args:
        lists: What was read.
        names: Of the processes.
        total: Bytes of the device; None where that is not known.
    """
    if isinstance(lists, Unavailable):
        return lists
    return tuple(
        ContextReading(
            pid=row.pid,
            kind=kind,
            memory=_held(row, total),
            gpu_instance=row.gpu_instance,
            compute_instance=row.compute_instance,
            name=names.of(row.pid),
        )
        for row, kind in merge(lists)
    )


def _held(row: ProcessRow, total: int | None) -> Reading[int]:
    """Give what a process has; what is more than there is is not known to be anything."""
    if row.memory is None:
        return _NO_SIZE
    return row.memory if total is None or row.memory <= total else _TOO_MUCH


def _now() -> Instant:
    return Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
