"""Specification: a reading crosses the pipe unchanged, and nothing but a reading does."""

import json
from pathlib import Path

import pytest

from gpusched.adapters.nvml import wire
from gpusched.core.device import Device, DeviceNode, MigInstance
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.gputype import gpu_type_of
from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.mask import NodeRange
from gpusched.core.sample import (
    ContextKind,
    ContextReading,
    DeviceReading,
    DriverVersions,
    LostDevice,
    Memory,
    NodeReading,
    Unavailable,
)
from gpusched.core.survey import NodeSurvey, SurveyedDevice, SurveyedProcess, SurveyFailure

DEVICE = Device(
    uuid=DeviceUuid("MIG-1"),
    index=0,
    minor=3,
    pci_bus_id="00000000:07:00.0",
    product_name="NVIDIA A100-SXM4-40GB MIG 3g.20gb",
    gpu_type=gpu_type_of("NVIDIA A100-SXM4-40GB", 40 << 30),
    memory_total=20 << 30,
    nodes=(
        DeviceNode("/dev/nvidia3", 195, 3),
        DeviceNode("/dev/nvidia-caps/nvidia-cap12", 511, 12),
    ),
    dri_nodes=(DeviceNode("/dev/dri/card1", 226, 1),),
    mig=MigInstance(DeviceUuid("GPU-1"), 1, 0, "3g.20gb"),
)
CONTEXT = ContextReading(
    pid=333,
    kind=ContextKind.COMPUTE | ContextKind.MPS,
    memory=Unavailable("N/A"),
    gpu_instance=1,
    compute_instance=0,
    name="/opt/pr\udcffg “x”",
)
READING = NodeReading(
    begun_at=Instant(2**62),
    ended_at=Instant(2**62 + 1),
    versions=DriverVersions(driver="570.124.06", cuda=12080),
    devices=(
        DeviceReading(
            device=DEVICE,
            memory=Memory(20, 0, 5, 15),
            contexts=(CONTEXT,),
            persistence=True,
            recovery=Recovery.RESET,
        ),
        DeviceReading(device=DEVICE, contexts=()),
    ),
    lost=(LostDevice(1, None, "GPU is lost", Recovery.REBOOT),),
    faults=(DeviceFault(DeviceUuid("GPU-1"), FaultKind.XID, 79, 1, None),),
    simulated=True,
    control_nodes=(DeviceNode("/dev/nvidiactl", 195, 255),),
    governed=(NodeRange(195, 0, 253), NodeRange(511, 0, 2**20 - 1)),
)


def _body(frame: bytes) -> bytes:
    size = wire.body_size(frame[: wire.HEADER_SIZE])
    assert len(frame) == wire.HEADER_SIZE + size
    return frame[wire.HEADER_SIZE :]


def test_a_reading_crosses_unchanged() -> None:
    """Every value type of a reading arrives as it was, a name that is no valid text included."""
    arrived = wire.answer_of(_body(wire.frame(READING)))
    assert arrived == READING
    assert hash(arrived) == hash(READING)


def test_a_reason_crosses_unchanged() -> None:
    """So does the reason why there is no reading."""
    assert wire.answer_of(_body(wire.frame(Unavailable("why")))) == Unavailable("why")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[1",
        b"null",
        b"[]",
        b'{"no": "type"}',
        b'{"~": "Path", "x": "/"}',
        b'{"~": "__import__", "name": "os"}',
        b'{"~": "Unavailable"}',
        b'{"~": "Unavailable", "reason": "a", "more": 1}',
        b'{"~": "Memory", "total": 1, "reserved": 1, "used": 1, "free": 1}',
        b'{"~": "ContextKind", "value": 64}',
        b"[" * 100_000,
    ],
)
def test_nothing_else_comes_out(body: bytes) -> None:
    """Bytes that are not an answer are refused, whatever they name."""
    with pytest.raises(wire.Garbled):
        wire.answer_of(body)


def test_a_length_without_measure_is_refused() -> None:
    """The daemon does not wait for gigabytes that a broken process announces."""
    assert wire.body_size((wire.MAX_SIZE).to_bytes(4, "big")) == wire.MAX_SIZE
    with pytest.raises(wire.Garbled):
        wire.body_size((wire.MAX_SIZE + 1).to_bytes(4, "big"))


def test_foreign_objects_stay_here() -> None:
    """What is not a value type of a reading is a defect on the sender's side, not an answer."""
    with pytest.raises(TypeError, match="PosixPath does not cross"):
        json.dumps(Path("/"), default=wire._plain)


def test_a_survey_crosses_the_pipe() -> None:
    """A survey arrives as it was sent: texts, numbers, failures, rows and MIG devices."""
    row = SurveyedProcess(333, "M+C", "/usr/bin/python3", SurveyFailure(3, "Not Supported"), True)  # noqa: FBT003 - of the compute list
    mig = SurveyedDevice(0, "MIG-1", {"memory.used": 5}, processes=(row,))
    lost = SurveyFailure(15, "GPU is lost")
    gpus = (
        SurveyedDevice(0, "GPU-1", {"name": "~", "fan.speed": lost}, mig_devices=(mig,)),
        SurveyedDevice(1, failure=lost, processes=lost),
    )
    survey = NodeSurvey(Instant(7), {"driver_version": "570"}, gpus, simulated=True)
    assert wire.answer_of(wire.frame(survey)[wire.HEADER_SIZE :]) == survey
