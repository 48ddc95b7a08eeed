"""The values of a survey that NVML keeps under numbers, all asked in one call.

Source: the `NVML_FI_DEV_…` and `NVML_POWER_SCOPE_…` constants of nvml.h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gpusched.adapters.nvml import binding, binding_values
from gpusched.adapters.nvml import survey_words as words
from gpusched.adapters.nvml.asked import failed
from gpusched.core.survey import SurveyFailure, SurveyValue

_MODULE: Final = 1
_MEMORY: Final = 2
_MEMBERS: Final = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal"}
_SHORT: Final = "usVal"
_NANOSECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Numbered:
    """A numbered field.

    Attributes:
        name: Of the field of the survey.
        number: NVML's.
        scope: Of a power value: 0 the GPU, 1 the module, 2 the memory.
        make: Makes the value.
    """

    name: str
    number: int
    scope: int = 0
    make: Callable[[int], SurveyValue] = int


def _microseconds(nanoseconds: int) -> int:
    return nanoseconds // _NANOSECONDS


NUMBERED: Final = (
    Numbered("temperature.memory", 82),
    Numbered("temperature.gpu_temp_max_tlimit_threshold", 193),
    Numbered("temperature.gpu_temp_slow_tlimit_threshold", 194),
    Numbered("temperature.gpu_temp_max_mem_tlimit_threshold", 195),
    Numbered("temperature.gpu_temp_max_gpu_tlimit_threshold", 196),
    Numbered("pci.replay_rollover_counter", 95),
    Numbered("power.draw.average", 185),
    Numbered("power.draw.instant", 186),
    Numbered("gpu_memory_power_readings.average_power_draw", 185, _MEMORY),
    Numbered("gpu_memory_power_readings.instant_power_draw", 186, _MEMORY),
    Numbered("module.power.draw.average", 185, _MODULE),
    Numbered("module.power.draw.instant", 186, _MODULE),
    Numbered("module.enforced.power.limit", 190, _MODULE),
    Numbered("module.power.limit", 192, _MODULE),
    Numbered("module.power.default_limit", 189, _MODULE),
    Numbered("module.power.min_limit", 187, _MODULE),
    Numbered("module.power.max_limit", 188, _MODULE),
    Numbered("reset_status.reset_required", 226, make=words.YES),
    Numbered("reset_status.drain_and_reset_recommended", 227, make=words.YES),
    Numbered("gpu_recovery_action", 230, make=words.RECOVERY),
    Numbered("clocks_event_reasons_counters.sw_power_cap", 74, make=_microseconds),
    Numbered("clocks_event_reasons_counters.sync_boost", 76, make=_microseconds),
    Numbered("clocks_event_reasons_counters.sw_thermal_slowdown", 269, make=_microseconds),
    Numbered("clocks_event_reasons_counters.hw_thermal_slowdown", 270, make=_microseconds),
    Numbered("clocks_event_reasons_counters.hw_power_brake_slowdown", 271, make=_microseconds),
    Numbered("edpp_multiplier", 274),
    Numbered("remapped_rows.correctable_inactive", 301),
    Numbered("remapped_rows.uncorrectable_inactive", 302),
)


def numbered_of(device: binding.Handle) -> dict[str, SurveyValue]:
    """Ask for all of them; what fails is a value as well.

    Raises:
        binding.NvmlFailure: The device itself is lost or needs a reset.
    """
    wanted = [(one.number, one.scope) for one in NUMBERED]
    try:
        answers = binding_values.ask("nvmlDeviceGetFieldValues", device, wanted)
    except binding.NvmlFailure as failure:
        if failure.code in binding.GONE:
            raise
        return {one.name: failed(failure) for one in NUMBERED}
    pairs = zip(NUMBERED, answers, strict=True)
    return {one.name: _value(one, answer) for one, answer in pairs}


def _value(one: Numbered, answer: Any) -> SurveyValue:
    code = int(answer.nvmlReturn)
    if code:
        return SurveyFailure(code, binding.words_of(code))
    member = _MEMBERS.get(int(answer.valueType), _SHORT)
    return one.make(int(getattr(answer.value, member)))
