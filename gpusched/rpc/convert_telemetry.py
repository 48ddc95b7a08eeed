"""What nvidia-smi prints of a GPU beside its memory, on the wire."""

from gpusched.api.v1 import device_pb2
from gpusched.core.attribution import DeviceUse
from gpusched.core.device import Device
from gpusched.core.sample import NOT_SAMPLED, Reading, Unavailable
from gpusched.rpc.convert_reading import NOT_EACH_TIME, bytes_of, flag_of, number_of, text_of

_NUMBER = number_of(NOT_EACH_TIME)
_TEXT = text_of(NOT_EACH_TIME)
_FLAG = flag_of(NOT_EACH_TIME)
_BYTES = bytes_of(NOT_EACH_TIME)

_COMPUTE_MODES = {
    0: "Default",
    1: "Exclusive_Thread",
    2: "Prohibited",
    3: "Exclusive_Process",
}
"""nvmlComputeMode_t, in the words of nvidia-smi."""


def telemetry_of(device: Device, use: DeviceUse | None, reason: str) -> device_pb2.Telemetry:
    """Give the telemetry of a GPU; of a MIG instance there is none: it belongs to the GPU."""
    if device.mig is not None:
        return device_pb2.Telemetry()
    message = device_pb2.Telemetry(
        memory_utilization_percent=_NUMBER,
        fan_speed_percent=_NUMBER,
        performance_state=_TEXT,
        sm_clock_megahertz=_NUMBER,
        memory_clock_megahertz=_NUMBER,
        display_active=_FLAG,
        mig_mode_current=flag_of(True) if device.mig_enabled else None,  # noqa: FBT003 - a reading
        ecc_uncorrected_volatile=_NUMBER,
        bar1_used=_BYTES,
        bar1_total=_BYTES,
    )
    _add_read(message, use, Unavailable(reason or NOT_SAMPLED.reason))
    return message


def _add_read(message: device_pb2.Telemetry, use: DeviceUse | None, missing: Unavailable) -> None:
    """Add what the sampler reads."""
    reading = None if use is None else use.reading
    numbers: tuple[Reading[int], ...] = (missing,) * 4
    mode: Reading[str] = missing
    persistence: Reading[bool] = missing
    if reading is not None:
        numbers = (
            reading.gpu_utilization,
            reading.temperature_celsius,
            reading.power_milliwatts,
            reading.power_limit_milliwatts,
        )
        mode, persistence = _mode(reading.compute_mode), reading.persistence
    message.gpu_utilization_percent.CopyFrom(number_of(numbers[0]))
    message.temperature_celsius.CopyFrom(number_of(numbers[1]))
    message.power_draw_milliwatts.CopyFrom(number_of(numbers[2]))
    message.power_limit_milliwatts.CopyFrom(number_of(numbers[3]))
    message.compute_mode.CopyFrom(text_of(mode))
    message.persistence_mode.CopyFrom(flag_of(persistence))


def _mode(reading: Reading[int]) -> Reading[str]:
    if isinstance(reading, Unavailable):
        return reading
    return _COMPUTE_MODES.get(reading, f"mode {reading}")
