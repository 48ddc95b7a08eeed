"""Functions that answer what `readings.toml` says of a card, and the zeros of a card at rest."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpusched.adapters.nvml.simulated.calls import (
    Call,
    DeviceFunction,
    number,
    put,
    put_text,
    target,
)
from gpusched.adapters.nvml.simulated.codes import Code

Reading = int | str | Mapping[str, int]

_NUMBERS = {
    "nvmlDeviceGetAccountingMode": 0,
    "nvmlDeviceGetAccountingBufferSize": 0,
    "nvmlDeviceGetDisplayMode": 0,
    "nvmlDeviceGetDisplayActive": 0,
    "nvmlDeviceGetMultiGpuBoard": 0,
    "nvmlDeviceGetModuleId": 0,
    "nvmlDeviceGetVirtualizationMode": 0,
    "nvmlDeviceGetMaxPcieLinkGeneration": 0,
    "nvmlDeviceGetGpuMaxPcieLinkGeneration": 0,
    "nvmlDeviceGetCurrPcieLinkGeneration": 0,
    "nvmlDeviceGetMaxPcieLinkWidth": 0,
    "nvmlDeviceGetCurrPcieLinkWidth": 0,
    "nvmlDeviceGetPcieReplayCounter": 0,
    "nvmlDeviceGetPcieThroughput": 1,
    "nvmlDeviceGetCurrentClocksEventReasons": 0,
    "nvmlDeviceGetApplicationsClock": 1,
    "nvmlDeviceGetDefaultApplicationsClock": 1,
    "nvmlDeviceGetMaxCustomerBoostClock": 1,
    "nvmlDeviceGetTemperatureThreshold": 1,
    "nvmlDeviceGetRetiredPagesPendingStatus": 0,
}
"""Functions that give one number, and how many arguments they take before it."""

_TEXTS = {
    "nvmlDeviceGetBoardPartNumber": 0,
    "nvmlDeviceGetInforomImageVersion": 0,
    "nvmlDeviceGetInforomVersion": 1,
}
"""Functions that fill a buffer, and how many arguments they take before it."""

_ENGINES = ("Encoder", "Decoder", "Jpg", "Ofa")
_PERIOD = 167_000  # microseconds
_WITH_REMAPPER = frozenset({"ampere", "ada", "hopper", "blackwell"})


@functools.cache
def _readings() -> Mapping[str, Mapping[str, Reading]]:
    with Path(__file__).with_name("readings.toml").open("rb") as file:
        return tomllib.load(file)


def _reading(call: Call, key: str) -> Reading | None:
    known = _readings()
    own = known.get(call.subject.gpu.profile.key, {})
    return own.get(key, known["all"].get(key))


def _answer(call: Call, name: str, arguments: tuple[Any, ...]) -> int | str:
    """Give the value; a code of NVML, as one, where there is none."""
    key = ".".join((name, *(str(number(one)) for one in arguments)))
    found = _reading(call, key)
    if found is None:
        return Code.NOT_SUPPORTED
    return Code(found["code"]) if isinstance(found, Mapping) else found


def _number_function(name: str, count: int) -> DeviceFunction:
    def answer(call: Call, *arguments: Any) -> int:
        found = _answer(call, name, arguments[:count])
        return found if isinstance(found, Code) else put(arguments[count], int(found))

    return answer


def _text_function(name: str, count: int) -> DeviceFunction:
    def answer(call: Call, *arguments: Any) -> int:
        found = _answer(call, name, arguments[:count])
        if isinstance(found, Code):
            return found
        buffer, length = arguments[count:]
        return put_text(buffer, length, str(found))

    return answer


def _gsp_version(call: Call, buffer: Any) -> int:
    buffer.value = call.view.scenario.driver.encode()
    return Code.SUCCESS


def _engine(call: Call, percent: Any, period: Any) -> int:
    if call.subject.gpu.mig_enabled:
        return Code.NOT_SUPPORTED
    put(percent, 0)
    return put(period, _PERIOD)


def _nothing(*places: Any) -> int:
    for place in places:
        put(place, 0)
    return Code.SUCCESS


def _encoder_stats(_call: Call, *places: Any) -> int:
    return _nothing(*places)


def _fbc_stats(_call: Call, stats: Any) -> int:
    found = target(stats)
    found.sessionsCount = found.averageFPS = found.averageLatency = 0
    return Code.SUCCESS


def _remapped_rows(call: Call, *places: Any) -> int:
    if call.subject.gpu.profile.architecture not in _WITH_REMAPPER:
        return Code.NOT_SUPPORTED
    return _nothing(*places)


def _histogram(call: Call, values: Any) -> int:
    banks = _reading(call, "nvmlDeviceGetRowRemapperHistogram")
    if not isinstance(banks, int):
        return Code.NOT_SUPPORTED
    found = target(values)
    found.high = found.partial = found.low = found.none = 0
    found.max = banks
    return Code.SUCCESS


def _memory_errors(call: Call, kind: Any, counter: Any, location: Any, place: Any) -> int:
    if not call.subject.gpu.profile.ecc:
        return Code.NOT_SUPPORTED
    name = "nvmlDeviceGetMemoryErrorCounter"
    found = _answer(call, name, (kind, counter, location))
    return put(place, 0 if isinstance(found, Code) else int(found))


OF_GPUS: Mapping[str, DeviceFunction] = {
    **{name: _number_function(name, count) for name, count in _NUMBERS.items()},
    **{name: _text_function(name, count) for name, count in _TEXTS.items()},
    **{f"nvmlDeviceGet{name}Utilization": _engine for name in _ENGINES},
    "nvmlDeviceGetGspFirmwareVersion": _gsp_version,
    "nvmlDeviceGetEncoderStats": _encoder_stats,
    "nvmlDeviceGetFBCStats": _fbc_stats,
    "nvmlDeviceGetRemappedRows": _remapped_rows,
    "nvmlDeviceGetRowRemapperHistogram": _histogram,
}
"""Functions that a MIG device's handle is refused."""

OF_ANY: Mapping[str, DeviceFunction] = {"nvmlDeviceGetMemoryErrorCounter": _memory_errors}
"""Functions for GPUs and MIG devices."""
