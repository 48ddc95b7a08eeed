"""The values that NVML keeps under numbers, each with a return code of its own.

Source: the `NVML_FI_DEV_…` constants of nvml.h.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gpusched.adapters.nvml.simulated.calls import Call, number, target
from gpusched.adapters.nvml.simulated.codes import Code
from gpusched.adapters.nvml.simulated.detail_functions import branch_of, number_of, numbers_of
from gpusched.adapters.nvml.simulated.details import details_of

_UNSIGNED, _LONG, _SIGNED = 1, 3, 5
_MEMBERS = {_UNSIGNED: "uiVal", _LONG: "ullVal", _SIGNED: "siVal"}
_NANOSECONDS = 1000
_GPU, _MEMORY = 0, 2
_RESET, _DRAIN_AND_RESET = 1, 4
# From this branch on the recovery action says it, and these answer DEPRECATED (a capture of 570).
_REPLACED, _SINCE = {226, 227}, 570

Value = Callable[[Call], int | None]


def _detail(key: str) -> Value:
    return lambda call: number_of(call, key)


def _nanoseconds(key: str) -> Value:
    def value(call: Call) -> int | None:
        microseconds = number_of(call, key)
        return None if microseconds is None else microseconds * _NANOSECONDS

    return value


def _remapped(place: int) -> Value:
    def value(call: Call) -> int | None:
        rows = numbers_of(call, "remapped_inactive")
        return None if rows is None else rows[place]

    return value


def _average_power(call: Call) -> int | None:
    """Give the average where the card has one; of a draw that a scenario sets, the draw itself."""
    key, gpu = "average_power_watts", call.subject.gpu
    average = number_of(call, key)
    as_idle = average == details_of(gpu.profile).get(key)
    if average is None or not as_idle or gpu.state.power == gpu.profile.power.idle:
        return average
    return gpu.state.power


# By number and scope: the type, and the value.
_VALUES: Mapping[tuple[int, int], tuple[int, Value]] = {
    (74, 0): (_LONG, _nanoseconds("power_cap_microseconds")),
    (76, 0): (_LONG, _nanoseconds("sync_boost_microseconds")),
    (82, 0): (_UNSIGNED, _detail("memory_temperature")),
    (95, 0): (_UNSIGNED, _detail("replay_rollover")),
    (185, _GPU): (_UNSIGNED, _average_power),
    (185, _MEMORY): (_UNSIGNED, _detail("average_memory_power_watts")),
    (186, _GPU): (_UNSIGNED, lambda call: call.subject.gpu.state.power),
    (193, 0): (_SIGNED, _detail("shutdown_tlimit")),
    (194, 0): (_SIGNED, _detail("slowdown_tlimit")),
    (195, 0): (_SIGNED, _detail("max_memory_tlimit")),
    (196, 0): (_SIGNED, _detail("max_gpu_tlimit")),
    (226, 0): (_UNSIGNED, lambda call: int(call.subject.gpu.state.recovery == _RESET)),
    (227, 0): (_UNSIGNED, lambda call: int(call.subject.gpu.state.recovery == _DRAIN_AND_RESET)),
    (230, 0): (_UNSIGNED, lambda call: call.subject.gpu.state.recovery),
    (269, 0): (_LONG, _nanoseconds("sw_thermal_microseconds")),
    (270, 0): (_LONG, _nanoseconds("hw_thermal_microseconds")),
    (271, 0): (_LONG, _nanoseconds("power_brake_microseconds")),
    (301, 0): (_UNSIGNED, _remapped(0)),
    (302, 0): (_UNSIGNED, _remapped(1)),
}


def field_values(call: Call, count: Any, values: Any) -> int:
    """Answer `nvmlDeviceGetFieldValues`: it succeeds, whatever becomes of each value."""
    wanted = target(values)
    for at in range(number(count)):
        _fill(call, wanted[at])
    return Code.SUCCESS


def _fill(call: Call, place: Any) -> None:
    if place.fieldId in _REPLACED and branch_of(call) >= _SINCE:
        place.nvmlReturn = Code.DEPRECATED
        return
    kind, ask = _VALUES.get((place.fieldId, place.scopeId), (_UNSIGNED, lambda _: None))
    value = ask(call)
    place.nvmlReturn = Code.NOT_SUPPORTED if value is None else Code.SUCCESS
    if value is not None:
        place.valueType = kind
        setattr(place.value, _MEMBERS[kind], value)
