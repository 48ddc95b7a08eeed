"""`nvmlDeviceGetFieldValues` of the simulated library: what would help a device."""

from collections.abc import Callable, Mapping
from typing import Any

from gpusched.adapters.nvml.simulated.calls import Call, DeviceFunction, number, target
from gpusched.adapters.nvml.simulated.codes import Code

_RESET, _DRAIN_AND_RESET = 1, 4
_UNSIGNED = 1  # nvmlValueType_t
_FIELDS: Mapping[int, Callable[[int], int]] = {
    226: lambda action: int(action == _RESET),  # NVML_FI_DEV_RESET_STATUS
    227: lambda action: int(action == _DRAIN_AND_RESET),  # NVML_FI_DEV_DRAIN_AND_RESET_STATUS
    230: lambda action: action,  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
}


def _field_values(call: Call, count: Any, values: Any) -> int:
    for place in range(number(count)):
        value = target(values)[place]
        known = _FIELDS.get(value.fieldId)
        value.nvmlReturn = Code.NOT_SUPPORTED if known is None else Code.SUCCESS
        if known is not None:
            value.valueType = _UNSIGNED
            value.value.uiVal = known(call.subject.gpu.state.recovery)
    return Code.SUCCESS


OF_GPUS: Mapping[str, DeviceFunction] = {"nvmlDeviceGetFieldValues": _field_values}
"""Functions that a MIG device's handle is refused."""
