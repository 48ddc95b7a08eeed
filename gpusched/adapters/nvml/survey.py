"""Surveys the host: every question of `questions`, of every GPU and MIG device, once.

Each value fails by itself, with NVML's code; a lost GPU fails as a whole and hides no other. Runs
in the NVML process.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import pynvml

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.questions import OF_GPU, OF_MIG, Question
from gpusched.adapters.nvml.sampler import lists_of, merge
from gpusched.core.ids import Instant
from gpusched.core.sample import ContextKind
from gpusched.core.survey import (
    NodeSurvey,
    SurveyedDevice,
    SurveyedProcess,
    SurveyFailure,
    SurveyValue,
)

Names = dict[int, SurveyValue]

_LOST: Final = frozenset({binding.GPU_IS_LOST, binding.RESET_REQUIRED})
_NOT_AVAILABLE: Final = SurveyFailure(binding.NOT_SUPPORTED, "Not Supported")


def survey(*, simulated: bool) -> NodeSurvey:
    """Survey the host; the library is initialised.

    Raises:
        binding.NvmlFailure: The GPUs cannot even be counted.
    """
    at = Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    names: Names = {}
    fields = {
        "driver_version": _value(binding.driver_version),
        "nvml_version": _value(binding.nvml_version),
        "cuda_version": _value(_cuda_version),
    }
    devices = tuple(_gpu(index, names) for index in range(binding.count()))
    return NodeSurvey(at, fields, devices, simulated)


def _cuda_version() -> str:
    number = binding.cuda_version()
    return f"{number // 1000}.{number % 1000 // 10}"


def _value(ask: Callable[[], SurveyValue]) -> SurveyValue:
    """Ask; a refusal that concerns only this value is its failure.

    Raises:
        binding.NvmlFailure: The device itself is lost.
    """
    try:
        return ask()
    except binding.NvmlFailure as failure:
        if failure.code in _LOST:
            raise
        return SurveyFailure(failure.code, failure.words)
    except pynvml.NVMLError as error:
        if error.value in _LOST:
            raise binding.NvmlFailure(error.value, str(error)) from None
        return SurveyFailure(error.value, str(error))


def _answers(
    device: binding.Handle, questions: Mapping[str, Question]
) -> Mapping[str, SurveyValue]:
    return {
        name: _value(lambda question=question: question(device))  # type: ignore[misc]  # a default
        for name, question in questions.items()
    }


def _gpu(index: int, names: Names) -> SurveyedDevice:
    try:
        device = binding.handle(index)
        fields = _answers(device, OF_GPU)
        found = SurveyedDevice(index, _text(fields["uuid"]), fields)
        if fields["mig.mode.current"] != "Enabled":
            return _with_processes(found, device, names)
        instances = tuple(
            _instance(place, handle, names) for place, handle in binding.mig_handles(device)
        )
    except binding.NvmlFailure as error:
        failure = SurveyFailure(error.code, error.words)
        return SurveyedDevice(index, failure=failure, processes=failure)
    return SurveyedDevice(index, found.uuid, fields, mig_devices=instances)


def _instance(index: int, handle: binding.Handle, names: Names) -> SurveyedDevice:
    fields = _answers(handle, OF_MIG)
    found = SurveyedDevice(index, _text(fields["uuid"]), fields)
    return _with_processes(found, handle, names)


def _with_processes(found: SurveyedDevice, handle: binding.Handle, names: Names) -> SurveyedDevice:
    gpu_instance = _number(found.fields.get("gpu_instance_id"))
    compute_instance = _number(found.fields.get("compute_instance_id"))
    try:
        rows = merge(lists_of(handle))
    except binding.NvmlFailure as error:
        if error.code in _LOST:
            raise
        processes: tuple[SurveyedProcess, ...] | SurveyFailure = SurveyFailure(
            error.code, error.words
        )
    else:
        processes = tuple(
            SurveyedProcess(
                pid=row.pid,
                type=kind.label(),
                name=_name(row.pid, names),
                memory=_NOT_AVAILABLE if row.memory is None else row.memory,
                compute=ContextKind.COMPUTE in kind,
                gpu_instance=gpu_instance,
                compute_instance=compute_instance,
            )
            for row, kind in rows
            # nvidia-smi shows nobody who stands in the list of MPS clients alone.
            if kind is not ContextKind.MPS
        )
    return SurveyedDevice(found.index, found.uuid, found.fields, processes=processes)


def _name(pid: int, names: Names) -> SurveyValue:
    if pid not in names:
        names[pid] = _value(lambda: binding.process_name(pid))
    return names[pid]


def _text(value: SurveyValue) -> str:
    return value if isinstance(value, str) else ""


def _number(value: SurveyValue | None) -> int | None:
    return value if isinstance(value, int) else None
