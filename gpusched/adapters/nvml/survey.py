"""Surveys the host: everything that nvidia-smi prints, of every GPU and MIG device, once.

Each value fails by itself, with NVML's code; a lost GPU fails as a whole and hides no other, and
so does a MIG device. Runs in the NVML process, beside `sampler`: nothing of it is kept.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml import survey_words as words
from gpusched.adapters.nvml.asked import NOT_SUPPORTED, Asked, failed, one
from gpusched.adapters.nvml.mig_profile import mig_profile
from gpusched.adapters.nvml.process_lists import lists_of, merge
from gpusched.adapters.nvml.processes import ProcessRow
from gpusched.adapters.nvml.survey_calls import CALLS
from gpusched.adapters.nvml.survey_field_ids import numbered_of
from gpusched.adapters.nvml.survey_structures import ATTRIBUTES, MEMORY, OF_GPUS
from gpusched.core.ids import Instant
from gpusched.core.sample import ContextKind
from gpusched.core.survey import (
    NodeSurvey,
    SurveyedDevice,
    SurveyedProcess,
    SurveyFailure,
    SurveyValue,
)

_OF_THE_HOST: Final[dict[str, Callable[[], SurveyValue]]] = {
    "driver_version": binding.driver_version,
    "nvml_version": binding.nvml_version,
    "cuda_version": lambda: _version(binding.cuda_version()),
}
_OF_MIG: Final = (
    one("name", "nvmlDeviceGetName", make=str),
    one("uuid", "nvmlDeviceGetUUID", make=str),
    one("gpu_instance_id", "nvmlDeviceGetGpuInstanceId"),
    one("compute_instance_id", "nvmlDeviceGetComputeInstanceId"),
    *MEMORY,
    ATTRIBUTES,
    one(
        "ecc_error_count.volatile_count.sram_uncorrectable",
        "nvmlDeviceGetMemoryErrorCounter",
        *(1, 0, 7),  # uncorrected, volatile, SRAM
    ),
)


def survey(*, simulated: bool) -> NodeSurvey:
    """Survey the host; the library is initialised.

    Raises:
        binding.NvmlFailure: The GPUs cannot even be counted.
    """
    at = Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    names = _Names()
    return NodeSurvey(
        at=at,
        fields={name: _value(ask) for name, ask in _OF_THE_HOST.items()},
        devices=tuple(_gpu(index, names) for index in range(binding.count())),
        simulated=simulated,
    )


class _Names:
    """Names of processes; a process on eight devices is asked for once per survey."""

    def __init__(self) -> None:
        self._known: dict[int, SurveyValue] = {}

    def of(self, pid: int) -> SurveyValue:
        if pid not in self._known:
            self._known[pid] = _value(lambda: binding.process_name(pid))
        return self._known[pid]


@dataclass(slots=True)
class _Found:
    """What has been read of a device so far; it may be lost before all of it is."""

    fields: dict[str, SurveyValue] = field(default_factory=dict)
    processes: tuple[SurveyedProcess, ...] | SurveyFailure = ()
    migs: list[SurveyedDevice] = field(default_factory=list)
    mps_pids: tuple[int, ...] = ()

    def ask(self, device: binding.Handle, calls: Iterable[Asked]) -> None:
        for call in calls:
            self.fields |= call.of(device)

    def as_device(self, index: int, failure: SurveyFailure | None = None) -> SurveyedDevice:
        uuid = self.fields.get("uuid")
        return SurveyedDevice(
            index=index,
            uuid=uuid if isinstance(uuid, str) else "",
            fields=self.fields,
            failure=failure,
            processes=self.processes if failure is None else failure,
            mig_devices=tuple(self.migs),
            mps_pids=self.mps_pids if failure is None else (),
        )

    def list(self, device: binding.Handle, names: _Names) -> None:
        try:
            lists = lists_of(device)
        except binding.NvmlFailure as failure:
            if failure.code in binding.GONE:
                raise
            self.processes = failed(failure)
            return
        # nvidia-smi shows nobody who stands in the list of MPS clients alone.
        self.processes = tuple(
            _process(row, kind, names) for row, kind in merge(lists) if kind != ContextKind.MPS
        )
        self.mps_pids = tuple(row.pid for row in lists[ContextKind.MPS])


def _gpu(index: int, names: _Names) -> SurveyedDevice:
    found = _Found()
    try:
        _read_gpu(found, binding.handle(index), names)
    except binding.NvmlFailure as failure:
        return found.as_device(index, failed(failure))
    return found.as_device(index)


def _read_gpu(found: _Found, device: binding.Handle, names: _Names) -> None:
    found.ask(device, CALLS)
    found.ask(device, OF_GPUS)
    found.fields |= numbered_of(device)
    # Those of a partitioned GPU take a privilege; they hold its instances' processes again, and
    # those that are on no instance.
    found.list(device, names)
    if found.fields["mig.mode.current"] != words.ENABLED(1):
        return
    total = found.fields["memory.total"]
    for index, mig in binding.mig_handles(device):
        found.migs.append(_mig(index, mig, total if isinstance(total, int) else None, names))


def _mig(
    index: int, device: binding.Handle, gpu_memory: int | None, names: _Names
) -> SurveyedDevice:
    found = _Found()
    profile = Asked(("mig_profile",), lambda mig: (mig_profile(mig, gpu_memory),))
    try:
        found.ask(device, (*_OF_MIG, profile))
        found.list(device, names)
    except binding.NvmlFailure as failure:
        return found.as_device(index, failed(failure))
    return found.as_device(index)


def _process(row: ProcessRow, kind: ContextKind, names: _Names) -> SurveyedProcess:
    return SurveyedProcess(
        pid=row.pid,
        type=kind.label(),
        name=names.of(row.pid),
        memory=NOT_SUPPORTED if row.memory is None else row.memory,
        compute=ContextKind.COMPUTE in kind,
        gpu_instance=row.gpu_instance,
        compute_instance=row.compute_instance,
    )


def _value(ask: Callable[[], SurveyValue]) -> SurveyValue:
    try:
        return ask()
    except binding.NvmlFailure as failure:
        return failed(failure)


def _version(number: int) -> str:
    """Give NVML's 12080 as `12.8`."""
    return f"{number // 1000}.{number % 1000 // 10}"
