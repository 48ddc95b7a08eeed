"""One consistent look at the simulated host: what the library answers from, and workers allot by.

Pure. A view is made of a scenario (with the control file applied) and the living registrations;
it never changes, so sums are made once.
"""

from dataclasses import dataclass

from gpusched.adapters.nvml.simulated.codes import NO_INSTANCE
from gpusched.adapters.nvml.simulated.mig import MigDevice
from gpusched.adapters.nvml.simulated.registrations import Registration
from gpusched.adapters.nvml.simulated.scenario import Scenario, SimulatedDevice


@dataclass(frozen=True, slots=True)
class Subject:
    """What a handle stands for: a GPU, or a MIG device on it.

    Attributes:
        index: NVML index of the GPU.
        gpu: The GPU.
        mig: The MIG device; None for the GPU itself.
        mig_index: Index of the MIG device on its GPU.
    """

    index: int
    gpu: SimulatedDevice
    mig: MigDevice | None = None
    mig_index: int = 0

    @property
    def uuid(self) -> str:
        """Its identity."""
        return self.gpu.uuid if self.mig is None else self.mig.uuid


@dataclass(frozen=True, slots=True)
class Row:
    """One process on one device.

    Attributes:
        pid: As NVML reports it.
        lists: Letters of the lists it stands in.
        memory: Bytes; None for N/A.
        gpu_instance: GI id, or `NO_INSTANCE`.
        compute_instance: CI id, or `NO_INSTANCE`.
    """

    pid: int
    lists: frozenset[str]
    memory: int | None
    gpu_instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE


@dataclass(frozen=True, slots=True)
class MemoryNumbers:
    """Bytes, as memory v2: total = reserved + used + free."""

    total: int
    reserved: int
    used: int

    @property
    def free(self) -> int:
        """What can still be had."""
        return self.total - self.reserved - self.used


class View:
    """The simulated host at one moment."""

    def __init__(self, scenario: Scenario, registered: tuple[Registration, ...]) -> None:
        self.scenario = scenario
        self.registered = registered
        present = [one for one in scenario.devices if not one.state.vanished]
        self.gpus = tuple(Subject(index, gpu) for index, gpu in enumerate(present))
        self.by_uuid = {one.uuid: one for one in self.gpus}
        for gpu in self.gpus:
            for mig_index, mig in enumerate(gpu.gpu.mig):
                self.by_uuid[mig.uuid] = Subject(gpu.index, gpu.gpu, mig, mig_index)
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._memory: dict[str, MemoryNumbers] = {}

    def rows(self, subject: Subject) -> tuple[Row, ...]:
        """List the processes on a GPU, those of its MIG devices included, or on a MIG device."""
        rows = self._rows.get(subject.uuid)
        if rows is None:
            rows = tuple(self._find_rows(subject))
            self._rows[subject.uuid] = rows
        return rows

    def memory(self, subject: Subject) -> MemoryNumbers:
        """Sum up the memory of a GPU, or of the GPU instance that a MIG device is in."""
        numbers = self._memory.get(subject.uuid)
        if numbers is None:
            mig = subject.mig
            numbers = self._of_gpu(subject) if mig is None else self._of_instance(subject, mig)
            self._memory[subject.uuid] = numbers
        return numbers

    def process_name(self, pid: int) -> str | None:
        """Give the name that the scenario has for *pid*."""
        names = (one.name for one in self.scenario.processes if one.pid == pid and one.name)
        return next(names, None)

    def _find_rows(self, subject: Subject) -> list[Row]:
        gpu = self.by_uuid[subject.gpu.uuid]
        if subject.mig is not None:
            place = (subject.mig.gpu_instance, subject.mig.compute_instance)
            return [
                row for row in self.rows(gpu) if (row.gpu_instance, row.compute_instance) == place
            ]
        return self._from_scenario(gpu) + self._from_workers(gpu)

    def _from_scenario(self, gpu: Subject) -> list[Row]:
        return [
            Row(
                one.pid,
                one.lists,
                one.memory,
                NO_INSTANCE if one.gpu_instance is None else one.gpu_instance,
                NO_INSTANCE if one.compute_instance is None else one.compute_instance,
            )
            for one in self.scenario.processes
            if one.device == gpu.gpu.index
        ]

    def _from_workers(self, gpu: Subject) -> list[Row]:
        rows = []
        for one in self.registered:
            if gpu.uuid in one.memory:
                rows.append(Row(one.pid, one.lists, one.memory[gpu.uuid]))
            rows += [
                Row(
                    one.pid,
                    one.lists,
                    one.memory[mig.uuid],
                    mig.gpu_instance,
                    mig.compute_instance,
                )
                for mig in gpu.gpu.mig
                if mig.uuid in one.memory
            ]
        return rows

    def _of_gpu(self, subject: Subject) -> MemoryNumbers:
        gpu = subject.gpu
        listed = sum(row.memory or 0 for row in self.rows(subject))
        used = listed + gpu.state.ghost - gpu.state.overlap
        # A control file may fill a card that workers already use: no card holds more than it has.
        used = max(0, min(used, gpu.usable))
        return MemoryNumbers(gpu.profile.memory, gpu.profile.reserved, used)

    def _of_instance(self, subject: Subject, mig: MigDevice) -> MemoryNumbers:
        used = sum(
            row.memory or 0
            for row in self.rows(self.by_uuid[subject.gpu.uuid])
            if row.gpu_instance == mig.gpu_instance
        )
        return MemoryNumbers(mig.profile.memory, 0, min(used, mig.profile.memory))
