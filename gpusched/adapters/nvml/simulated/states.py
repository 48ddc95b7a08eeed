"""Reads what may change while a device runs: the same keys in a scenario and in a control file."""

import dataclasses

from gpusched.adapters.nvml.simulated.codes import EVENTS
from gpusched.adapters.nvml.simulated.details import read_details
from gpusched.adapters.nvml.simulated.fields import Fields
from gpusched.adapters.nvml.simulated.scenario import (
    COMPUTE_MODES,
    FOREVER,
    RECOVERY_ACTIONS,
    DeviceState,
    Faults,
    SimulatedDevice,
    SimulatedEvent,
    SimulatedProcess,
)

_PERCENT = 100
_GREATEST_CODE = 999
_GREATEST_PID = 2**32 - 1
_LETTERS = {"C", "G", "M"}
_NOT_AVAILABLE = "N/A"


def read_state(fields: Fields, base: DeviceState) -> DeviceState:
    """Read a device's state; what is not said stays as it is in *base*.

    Leaves it to the caller to `finish` the fields.
    """
    modes = {number: name for name, number in COMPUTE_MODES.items()}
    actions = {number: name for name, number in RECOVERY_ACTIONS.items()}
    mode = fields.choice("compute_mode", COMPUTE_MODES, modes[base.compute_mode])
    return dataclasses.replace(
        base,
        vanished=fields.flag("vanished", default=base.vanished),
        ghost=fields.size("ghost", base.ghost),
        overlap=fields.size("overlap", base.overlap),
        utilization=fields.number("utilization", base.utilization, 0, _PERCENT),
        memory_utilization=fields.number(
            "memory_utilization", base.memory_utilization, 0, _PERCENT
        ),
        temperature=fields.number("temperature", base.temperature, 0, 200),
        power=_milliwatts(fields, "power_watts", base.power),
        power_limit=_milliwatts(fields, "power_limit_watts", base.power_limit),
        compute_mode=COMPUTE_MODES[mode],
        persistence=fields.flag("persistence", default=base.persistence),
        details=(
            read_details(fields.within("details"), base.details)
            if "details" in fields
            else base.details
        ),
        faults=_read_faults(fields.within("faults")) if "faults" in fields else base.faults,
        events=_read_events(fields) if "events" in fields else base.events,
        recovery=RECOVERY_ACTIONS[
            fields.choice("recovery", RECOVERY_ACTIONS, actions[base.recovery])
        ],
    )


def read_errors(fields: Fields, key: str) -> dict[str, int]:
    """Read a table of NVML return codes by C function."""
    within = fields.within(key)
    codes = {name: within.number(name, 0, 1, _GREATEST_CODE) for name in fields.table(key)}
    for name in codes:
        if not name.startswith("nvml"):
            within.fault(name, "is not the name of an NVML function")
    return codes


def read_process(fields: Fields, devices: tuple[SimulatedDevice, ...]) -> SimulatedProcess:
    """Read one process; what is wrong with it is in the faults."""
    kind = fields.text("type", "C")
    lists = frozenset(kind.split("+"))
    if not lists <= _LETTERS:
        fields.fault("type", f"{kind!r} is not made of C, G and M, such as C+G")
    process = SimulatedProcess(
        pid=fields.number("pid", 0, 1, _GREATEST_PID),
        lists=lists,
        device=fields.number("device", 0),
        memory=_memory(fields),
        gpu_instance=fields.number("gi", None),
        compute_instance=fields.number("ci", None),
        name=fields.text("name", None),
    )
    if "pid" not in fields:
        fields.fault("pid", "is missing")
    _check_place(fields, process, devices)
    fields.finish()
    return process


def _milliwatts(fields: Fields, key: str, default: int) -> int:
    watts = fields.decimal(key, None)
    return default if watts is None else round(watts * 1000)


def _memory(fields: Fields) -> int | None:
    if fields.anything("memory") == _NOT_AVAILABLE:
        return None
    return fields.size("memory", 0)


def _check_place(
    fields: Fields, process: SimulatedProcess, devices: tuple[SimulatedDevice, ...]
) -> None:
    if process.device >= len(devices):
        fields.fault("device", f"there is no device {process.device}")
        return
    wanted = (process.gpu_instance, process.compute_instance)
    if wanted == (None, None):
        return
    there = [(one.gpu_instance, one.compute_instance) for one in devices[process.device].mig]
    if wanted not in there:
        known = ", ".join(f"gi {gi} ci {ci}" for gi, ci in there) or "no MIG devices"
        fields.fault("gi", f"device {process.device} has {known}")


def _read_faults(fields: Fields) -> Faults:
    faults = Faults(
        lost=fields.flag("lost", default=False),
        reset_required=fields.flag("reset_required", default=False),
        hang=_hang(fields),
        hang_in=frozenset(fields.texts("hang_in")),
        no_permission=fields.flag("no_permission", default=False),
        insufficient_size=fields.number("insufficient_size", 0),
        no_memory_v2=fields.flag("no_memory_v2", default=False),
        errors=read_errors(fields, "errors"),
    )
    fields.finish()
    return faults


def _read_events(fields: Fields) -> tuple[SimulatedEvent, ...]:
    """Read what a device reports: an XID by its number, anything else by its name."""
    events = []
    for place, one in enumerate(fields.tables("events"), 1):
        xid = one.number("xid", None, 0, _GREATEST_PID)
        kind = "xid" if xid is not None else one.choice("kind", EVENTS, "")
        if not kind:
            one.fault("xid", "is missing, and so is a kind")
        events.append(
            SimulatedEvent(
                sequence=one.number("sequence", place, 1),
                kind=EVENTS.get(kind, 0),
                data=xid or 0,
                gpu_instance=one.number("gi", None),
                compute_instance=one.number("ci", None),
            )
        )
        one.finish()
    return tuple(events)


def _hang(fields: Fields) -> float:
    if fields.anything("hang") == "forever":
        return FOREVER
    return fields.decimal("hang", 0.0)
