"""The CSV of `--query-gpu` and `--query-compute-apps`."""

import time

from gpusched.cli.smi.cells import as_bytes
from gpusched.cli.smi.fields import APPS, GPU, SURVEYED, Field, named
from gpusched.cli.smi.survey import Device, Process, Survey, Value
from gpusched.cli.words import instant
from gpusched.client.document import Document

_MIB = 1 << 20
_APART = ", "
_OF_THE_GPU = {
    "gpu_name": "name",
    "gpu_bus_id": "pci.bus_id",
    "gpu_serial": "serial",
    "gpu_uuid": "uuid",
}


class UnknownField(Exception):
    """A name that cannot be queried; the argument is the name."""


class Format:
    """How `--format=csv[,noheader][,nounits]` wants it.

    Attributes:
        header: Whether the names are printed first.
        units: Whether values carry their unit; the header always does.
        ceil: Whether memory of a device is rounded up, as by the branch that is printed.
    """

    def __init__(self, *, header: bool = True, units: bool = True, ceil: bool = True) -> None:
        self.header = header
        self.units = units
        self.ceil = ceil


def fields_of(names: str, *, apps: bool = False) -> list[Field]:
    """Find the fields of a comma-separated list, of GPUs or of compute processes.

    As with nvidia-smi, nothing between two commas is passed over, and a space is part of a name.

    Raises:
        UnknownField: One of them is none.
    """
    table = named(APPS if apps else GPU)
    wanted = [one for one in names.split(",") if one]
    unknown = [one for one in wanted if one not in table]
    if unknown:
        raise UnknownField(unknown[0])
    return [table[one] for one in wanted]


def gpu_lines(
    survey: Survey, devices: list[Device], fields: list[Field], form: Format
) -> list[str]:
    """Give a line for each GPU."""
    rows = [[_of_gpu(survey, one, field, form) for field in fields] for one in devices]
    return _lines(fields, rows, form)


def app_lines(
    survey: Survey, devices: list[Device], fields: list[Field], form: Format
) -> list[str]:
    """Give a line for each row of the compute lists, in NVML's order.

    A GPU whose list could not be read has one line, with the reason in place of a process.
    """
    rows: list[list[str]] = []
    for gpu in devices:
        for place in _asked(gpu):
            rows += [
                [_of_app(survey, gpu, one, field, form) for field in fields]
                for one in place.processes
                if one.compute
            ]
            if place.unread.fields:
                reason = Value(Document({"failure": place.unread.fields}))
                rows.append([_of_app(survey, gpu, reason, field, form) for field in fields])
    return _lines(fields, rows, form)


def _asked(gpu: Device) -> list[Device]:
    """Give whose lists are printed: the GPU's, as with nvidia-smi also in MIG mode.

    There it takes a privilege; without one those of the MIG devices stand in for it.
    """
    readable = [one for one in gpu.mig_devices if not one.unread.fields]
    return [gpu] if gpu.lost or gpu.processes or not readable else gpu.mig_devices


def _lines(fields: list[Field], rows: list[list[str]], form: Format) -> list[str]:
    header = [_APART.join(one.title for one in fields)] if form.header else []
    return [*header, *(_APART.join(row) for row in rows)]


def _of_gpu(survey: Survey, device: Device, field: Field, form: Format) -> str:
    if field.name == "index":
        return str(device.index)
    if field.name == "uuid" and device.uuid:
        return device.uuid
    if field.name == "count":
        return str(len(survey.devices))
    if field.name == "timestamp":
        return timestamp_of(survey)
    value = device.value(SURVEYED.get(field.name, field.name))
    if field.name == "driver_version" and value.missing:
        value = survey.value(field.name)
    return printed(value, field.unit, form)


def _of_app(
    survey: Survey, gpu: Device, process: Process | Value, field: Field, form: Format
) -> str:
    if field.name == "timestamp":
        return timestamp_of(survey)
    if field.name in _OF_THE_GPU:
        name = _OF_THE_GPU[field.name]
        return _of_gpu(survey, gpu, named(GPU)[name], form)
    if isinstance(process, Value):
        return printed(process, "", form)
    if field.name == "pid":
        return str(process.pid)
    if field.name == "process_name":
        # Measured with 470.256, 535.261 and 550.163; the name of a card keeps its commas.
        return printed(process.name, "", form).replace(",", "?")
    # Memory of a process is never rounded up.
    return printed(process.memory, field.unit, Format(units=form.units, ceil=False))


def printed(value: Value, unit: str, form: Format) -> str:
    """Give a value as the CSV has it: `81559 MiB`, `[N/A]`, `[Insufficient Permissions]`."""
    if value.missing:
        return "[N/A]" if value.not_there else f"[{as_bytes(value.words)}]"
    if value.number is None:
        return as_bytes(value.text)
    text = amount_of(value.number, unit, ceil=form.ceil)
    return f"{text} {unit}" if unit and form.units else text


def amount_of(number: int, unit: str, *, ceil: bool) -> str:
    """Give a number of the survey in the unit that is printed."""
    if unit == "MiB":
        return str(-(-number // _MIB) if ceil else number // _MIB)
    return f"{number / 1000:.2f}" if unit == "W" else str(number)


def timestamp_of(survey: Survey) -> str:
    """Give the local time of the survey to the millisecond."""
    at = instant(survey.document.text("at")) or 0.0
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
