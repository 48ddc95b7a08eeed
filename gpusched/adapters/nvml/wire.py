"""How a reading crosses the pipe from the NVML process to the daemon.

A request is one byte, an answer four bytes of length and that much JSON, in which each object
names its class. Not pickle: whatever the other side writes, only the value types listed here can
come out. Imported by both processes; neither the library nor asyncio may enter.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeAlias

from gpusched.core.device import Device, DeviceNode, MigInstance
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.gputype import GpuType
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
from gpusched.core.topology import TopologyReading

ASK: Final = b"?"
"""The request for one sample."""

SURVEY: Final = b"!"
"""The request for a survey."""

HEADER_SIZE: Final = 4
"""Bytes of an answer's length, big-endian."""

MAX_SIZE: Final = 64 * 2**20
"""Longest answer; 16 MIG-partitioned GPUs with 950 processes each need a tenth of it."""

Answer: TypeAlias = NodeReading | NodeSurvey | Unavailable
"""What the NVML process answers with."""

_TYPE: Final = "~"
_TYPES: Final[Mapping[str, Callable[..., object]]] = {
    one.__name__: one
    for one in (
        ContextKind,
        ContextReading,
        Device,
        DeviceFault,
        DeviceNode,
        DeviceReading,
        DriverVersions,
        FaultKind,
        GpuType,
        LostDevice,
        Memory,
        MigInstance,
        NodeRange,
        NodeReading,
        Recovery,
        TopologyReading,
        Unavailable,
        NodeSurvey,
        SurveyedDevice,
        SurveyedProcess,
        SurveyFailure,
    )
}


class Garbled(Exception):
    """The other side wrote something that is not an answer."""


def frame(answer: Answer) -> bytes:
    """Give an answer as it crosses the pipe."""
    # A name that is no valid text travels as \\ud800-like escapes: JSON stays pure ASCII.
    body = json.dumps(answer, default=_plain, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(HEADER_SIZE, "big") + body


def body_size(header: bytes) -> int:
    """Read how many bytes follow the header.

    Raises:
        Garbled: More than any answer has.
    """
    size = int.from_bytes(header, "big")
    if size > MAX_SIZE:
        raise Garbled(f"an answer of {size} bytes")
    return size


def answer_of(body: bytes) -> Answer:
    """Read an answer.

    Raises:
        Garbled: It is none.
    """
    try:
        answer: object = json.loads(body, object_hook=_value)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Garbled(f"{type(error).__name__}: {error}") from None
    if not isinstance(answer, NodeReading | NodeSurvey | Unavailable):
        raise Garbled(f"{type(answer).__name__} is not a reading")
    return answer


def _plain(value: object) -> dict[str, object]:
    """Take apart what JSON does not know; called by `json` from the outside in."""
    name = type(value).__name__
    if isinstance(value, Enum):
        return {_TYPE: name, "value": value.value}
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{name} does not cross the pipe")
    return {_TYPE: name} | {
        one.name: getattr(value, one.name) for one in dataclasses.fields(value)
    }


def _value(plain: dict[str, object]) -> object:
    """Put together again what `_plain` took apart; called from the inside out."""
    name = plain.pop(_TYPE, None)
    if name is None:
        return plain  # values by their names: of a survey
    one = _TYPES[str(name)]
    # The value types have tuples only, JSON has lists only.
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}
    return one(**fields)
