"""Surveys a simulated host through pynvml, in this process: scenario in, the gateway's JSON out.

What is asked here passes the structures of NVML's C library. It asks for what the screens, the
CSV and the list of `gpusched nvidia-smi` need, by the names that `protos/…/survey.proto` gives.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding

from tests.fakes.simulated_host import simulated_host

Fields = dict[str, object]

_NOT_SUPPORTED = 3
_WORDS = {
    _NOT_SUPPORTED: "Not Supported",
    4: "Insufficient Permissions",
    6: "Not Found",
    15: "GPU is lost",
    999: "Unknown Error",
}
_STATES = {0: "Disabled", 1: "Enabled"}
_COMPUTE_MODES = {0: "Default", 2: "Prohibited", 3: "Exclusive_Process"}
_AT = "2026-11-22T15:29:36Z"


def surveyed(scenario: str) -> Fields:
    """Give what `Node/Survey` answers on the host of *scenario*."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_host(Path(folder) / "simulator", scenario),
    ):
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        return {
            "node": "host-1",
            "at": _AT,
            "simulated": True,
            "unavailable": "",
            "fields": {
                "driver_version": _value(pynvml.nvmlSystemGetDriverVersion),
                "nvml_version": _value(pynvml.nvmlSystemGetNVMLVersion),
                "cuda_version": {"text": f"{cuda // 1000}.{cuda % 1000 // 10}"},
            },
            "devices": [_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())],
        }


def _value(ask: Callable[[], object]) -> Fields:
    """Give what a call answers in its JSON form."""
    try:
        found = ask()
    except pynvml.NVMLError as error:
        return {"failure": _failure(error)}
    return {"number": str(found)} if isinstance(found, int) else {"text": str(found)}


def _failure(error: pynvml.NVMLError) -> Fields:
    code = int(error.value)
    return {"code": code, "words": _WORDS.get(code, f"code {code}")}


def _gpu(index: int) -> Fields:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        failure = _failure(error)
        return {"index": index, "failure": failure, "processes_failure": failure}
    fields = {**_state(handle), **_load(handle), **_memory(handle)}
    found: Fields = {"index": index, "uuid": fields["uuid"]["text"], "fields": fields}
    if fields["mig.mode.current"].get("text") != "Enabled":
        return {**found, **_processes(handle, {})}
    return {**found, "mig_devices": _instances(handle)}


def _state(handle: object) -> dict[str, Fields]:
    return {
        "name": _value(lambda: pynvml.nvmlDeviceGetName(handle)),
        "uuid": _value(lambda: pynvml.nvmlDeviceGetUUID(handle)),
        "serial": _value(lambda: pynvml.nvmlDeviceGetSerial(handle)),
        "pci.bus_id": _value(lambda: pynvml.nvmlDeviceGetPciInfo(handle).busId),
        "persistence_mode": _value(lambda: _STATES[pynvml.nvmlDeviceGetPersistenceMode(handle)]),
        "display_active": _value(lambda: _STATES[pynvml.nvmlDeviceGetDisplayActive(handle)]),
        "display_mode": _value(lambda: _STATES[pynvml.nvmlDeviceGetDisplayMode(handle)]),
        "compute_mode": _value(lambda: _COMPUTE_MODES[pynvml.nvmlDeviceGetComputeMode(handle)]),
        "ecc.mode.current": _value(lambda: _STATES[pynvml.nvmlDeviceGetEccMode(handle)[0]]),
        "ecc.errors.uncorrected.volatile.total": _value(
            lambda: pynvml.nvmlDeviceGetTotalEccErrors(handle, 1, 0)
        ),
        "mig.mode.current": _value(lambda: _STATES[pynvml.nvmlDeviceGetMigMode(handle)[0]]),
        "mig.mode.pending": _value(lambda: _STATES[pynvml.nvmlDeviceGetMigMode(handle)[1]]),
    }


def _load(handle: object) -> dict[str, Fields]:
    return {
        "fan.speed": _value(lambda: pynvml.nvmlDeviceGetFanSpeed(handle)),
        "temperature.gpu": _value(lambda: pynvml.nvmlDeviceGetTemperature(handle, 0)),
        "pstate": _value(lambda: f"P{pynvml.nvmlDeviceGetPerformanceState(handle)}"),
        "power.draw": _value(lambda: pynvml.nvmlDeviceGetPowerUsage(handle)),
        "power.limit": _value(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle)),
        "enforced.power.limit": _value(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)),
        "utilization.gpu": _value(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    }


def _memory(handle: object) -> dict[str, Fields]:
    def part(name: str) -> Fields:
        version = pynvml.nvmlMemory_v2
        return _value(lambda: getattr(pynvml.nvmlDeviceGetMemoryInfo(handle, version), name))

    return {
        **{f"memory.{name}": part(name) for name in ("total", "reserved", "used", "free")},
        "bar1_memory_usage.total": _value(
            lambda: pynvml.nvmlDeviceGetBAR1MemoryInfo(handle).bar1Total
        ),
        "bar1_memory_usage.used": _value(
            lambda: pynvml.nvmlDeviceGetBAR1MemoryInfo(handle).bar1Used
        ),
    }


def _instances(gpu: object) -> list[Fields]:
    found: list[Fields] = []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except pynvml.NVMLError:
            continue  # holes are legal
        ids = {
            "gpu_instance": int(pynvml.nvmlDeviceGetGpuInstanceId(handle)),
            "compute_instance": int(pynvml.nvmlDeviceGetComputeInstanceId(handle)),
        }
        fields = {
            "name": _value(lambda handle=handle: pynvml.nvmlDeviceGetName(handle)),  # type: ignore[misc]  # mypy cannot infer a default of a lambda
            **{f"{name}_id": {"number": str(number)} for name, number in ids.items()},
            **_memory(handle),
            **_engines(handle),
            "ecc_error_count.volatile_count.sram_uncorrectable": {"number": "0"},
        }
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        found.append({"index": index, "uuid": uuid, "fields": fields, **_processes(handle, ids)})
    return found


def _engines(handle: object) -> dict[str, Fields]:
    found = pynvml.nvmlDeviceGetAttributes(handle)
    counts = {
        "multiprocessor_count": found.multiprocessorCount,
        "copy_engine_count": found.sharedCopyEngineCount,
        "encoder_count": found.sharedEncoderCount,
        "decoder_count": found.sharedDecoderCount,
        "ofa_count": found.sharedOfaCount,
        "jpg_count": found.sharedJpegCount,
    }
    return {
        f"device_attributes.shared.{name}": {"number": str(count)}
        for name, count in counts.items()
    }


def _processes(handle: object, ids: dict[str, int]) -> Fields:
    """Merge the three lists: rows of the compute list, then those of graphics alone."""
    try:
        compute = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        graphics = pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
        mps = {one.pid for one in pynvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)}
    except pynvml.NVMLError as error:
        return {"processes_failure": _failure(error)}
    computing, drawing = {one.pid for one in compute}, {one.pid for one in graphics}
    only_drawing = [one for one in graphics if one.pid not in computing]
    return {
        "processes": [
            {
                "pid": one.pid,
                "type": _kind(one.pid in drawing, one.pid in computing, one.pid in mps),
                "name": _value(lambda pid=one.pid: pynvml.nvmlSystemGetProcessName(pid)),  # type: ignore[misc]  # mypy cannot infer a default of a lambda
                "used_memory": _bytes(one.usedGpuMemory),
                "compute": one.pid in computing,
                **ids,
            }
            for one in (*compute, *only_drawing)
        ]
    }


def _kind(drawing: bool, computing: bool, mps: bool) -> str:  # noqa: FBT001 - three lists, in or out
    kind = "C+G" if drawing and (computing or mps) else "G" if drawing else "C"
    return f"M+{kind}" if mps else kind


def _bytes(memory: int | None) -> Fields:
    if memory is None:
        return {"failure": {"code": _NOT_SUPPORTED, "words": _WORDS[_NOT_SUPPORTED]}}
    return {"number": str(memory)}
