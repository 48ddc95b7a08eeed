"""Event sets and the driver's advice of the library object below pynvml."""

import ctypes
from dataclasses import dataclass, field
from typing import Protocol, cast

SUCCESS = 0
NOT_SUPPORTED = 3
TIMEOUT = 10

Row = tuple[int, int, int, int]
"""Kind, data, GI and CI of an event."""


class _EventCell(Protocol):
    eventType: int  # noqa: N815 - a C structure
    eventData: int  # noqa: N815 - a C structure
    gpuInstanceId: int  # noqa: N815 - a C structure
    computeInstanceId: int  # noqa: N815 - a C structure


class _UnionCell(Protocol):
    uiVal: int  # noqa: N815 - a C structure


class _FieldCell(Protocol):
    nvmlReturn: int  # noqa: N815 - a C structure
    value: _UnionCell


class _Reference(Protocol):
    @property
    def _obj(self) -> object: ...


@dataclass
class Reporting:
    """What a GPU reports.

    Attributes:
        kinds: Bits of the event types that it supports; None: NOT_SUPPORTED.
        events: Those that are still to be told.
        registered: What registering it answers.
        waiting: What a wait answers when no event is left.
        advice: Values of the fields 230, 227 and 226; None is NOT_SUPPORTED. No tuple: the call
            is.
        advised: What the call for them answers.
    """

    kinds: int | None = None
    events: list[Row] = field(default_factory=list)
    registered: int = SUCCESS
    waiting: int = TIMEOUT
    advice: tuple[int | None, int | None, int | None] | None = None
    advised: int = SUCCESS


class FakeEventSets:
    """The sets that were made, and whom each is about."""

    def __init__(self) -> None:
        self.made = 0
        self.sets: dict[int, Reporting | None] = {}

    def answers(self, name: str) -> bool:
        """Whether a function of the library is answered here."""
        return "Event" in name or name == "nvmlDeviceGetFieldValues"

    def of_set(self, name: str, arguments: tuple[object, ...]) -> int:
        """Answer a function about a set."""
        if name == "nvmlEventSetCreate":
            self.made += 1
            self.sets[self.made] = None
            place = ctypes.byref(cast("ctypes.c_void_p", cast("_Reference", arguments[0])._obj))
            ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))[0] = self.made
            return SUCCESS
        if name == "nvmlEventSetFree":
            del self.sets[address_of(arguments[0])]
            return SUCCESS
        followed = self.sets[address_of(arguments[0])]
        if followed is None or not followed.events:
            return TIMEOUT if followed is None else followed.waiting
        data = cast("_EventCell", cast("_Reference", arguments[1])._obj)
        row = followed.events.pop(0)
        data.eventType, data.eventData, data.gpuInstanceId, data.computeInstanceId = row
        return SUCCESS

    def of_gpu(self, name: str, reporting: Reporting, arguments: tuple[object, ...]) -> int:
        """Answer a function about what a GPU reports."""
        if name == "nvmlDeviceGetFieldValues":
            return _advise(reporting, arguments)
        if name == "nvmlDeviceRegisterEvents":
            self.sets[address_of(arguments[2])] = reporting
            return reporting.registered
        if reporting.kinds is None:
            return NOT_SUPPORTED
        cell = cast("ctypes.c_ulonglong", cast("_Reference", arguments[1])._obj)
        cell.value = reporting.kinds
        return SUCCESS


def address_of(handle: object) -> int:
    """The number that a handle is."""
    return ctypes.cast(cast("ctypes.c_void_p", handle), ctypes.c_void_p).value or 0


def _advise(reporting: Reporting, arguments: tuple[object, ...]) -> int:
    if reporting.advised != SUCCESS:
        return reporting.advised
    if reporting.advice is None:
        return NOT_SUPPORTED
    cells = cast("list[_FieldCell]", arguments[2])
    for cell, value in zip(cells, reporting.advice, strict=True):
        cell.nvmlReturn = NOT_SUPPORTED if value is None else SUCCESS
        cell.value.uiVal = value or 0
    return SUCCESS
