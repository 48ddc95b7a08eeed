"""Writes a `Scenario` as TOML in which nothing is left to defaults.

The simulator directory keeps this copy, so that a worker and a restarted daemon see the devices
that were simulated when the directory was made. Parsing it gives an equal scenario.
"""

import json
from collections.abc import Iterator, Mapping

from gpusched.adapters.nvml.simulated.codes import EVENTS
from gpusched.adapters.nvml.simulated.details import Details, written
from gpusched.adapters.nvml.simulated.scenario import (
    ANCESTORS,
    COMPUTE_MODES,
    FOREVER,
    RECOVERY_ACTIONS,
    DeviceState,
    Faults,
    Scenario,
    SimulatedDevice,
    SimulatedEvent,
    SimulatedLink,
    SimulatedProcess,
    initial_state,
)

_MIB = 1 << 20
_KIB = 1 << 10


def to_toml(scenario: Scenario) -> str:
    """Give the text."""
    return "\n".join(_lines(scenario)) + "\n"


def _lines(scenario: Scenario) -> Iterator[str]:
    yield "# The simulated host, complete. Changes while it runs belong into control.toml."
    yield f"driver = {_text(scenario.driver)}"
    yield f"nvml = {_text(scenario.nvml)}"
    yield f'cuda = "{scenario.cuda // 1000}.{scenario.cuda % 1000 // 10}"'
    yield f"seed = {_text(scenario.seed)}"
    yield f"process_stride = {scenario.process_stride}"
    yield f"missing_functions = {_texts(scenario.missing_functions)}"
    yield f"errors = {_inline(scenario.errors)}"
    for device in scenario.devices:
        yield from _device(device)
    for link in scenario.links:
        yield from _link(link)
    for process in scenario.processes:
        yield from _process(process)


def _device(device: SimulatedDevice) -> Iterator[str]:
    yield "\n[[device]]"
    yield f"profile = {_text(device.profile.key)}"
    yield f"uuid = {_text(device.uuid)}"
    yield f"minor = {device.minor}"
    yield f"bus_id = {_text(device.bus_id)}"
    yield f"serial = {_text(device.serial)}"
    yield f"numa = {device.numa}"
    yield f"switch = {device.switch}"
    yield f"nvswitch = {'false' if device.nvswitch is None else device.nvswitch}"
    if device.mig_enabled:
        yield f"mig = [{', '.join(_cuts(device))}]"
    yield from _state(device.state, initial_state(device.profile).details)


def _link(link: SimulatedLink) -> Iterator[str]:
    words = {number: word for word, number in ANCESTORS.items()}
    yield "\n[[link]]"
    yield f"gpus = {list(link.gpus)}"
    yield f"nvlinks = {link.nvlinks}"
    if link.ancestor is not None:
        yield f"ancestor = {_text(words[link.ancestor])}"
    yield f"p2p = {_flag(link.peer_to_peer)}"


def _cuts(device: SimulatedDevice) -> Iterator[str]:
    """Give one entry for each GPU instance."""
    instances = {one.gpu_instance: one.profile for one in device.mig}
    for gpu_instance, profile in instances.items():
        slices = [one.compute_slices for one in device.mig if one.gpu_instance == gpu_instance]
        names = _texts(f"{count}c" for count in slices)
        yield f"{{ gi = {_text(profile.name)}, ci = {names} }}"


def _state(state: DeviceState, known: Details) -> Iterator[str]:
    modes = {number: name for name, number in COMPUTE_MODES.items()}
    yield f"vanished = {_flag(state.vanished)}"
    yield f"ghost = {_size(state.ghost)}"
    yield f"overlap = {_size(state.overlap)}"
    yield f"utilization = {state.utilization}"
    yield f"memory_utilization = {state.memory_utilization}"
    yield f"temperature = {state.temperature}"
    yield f"power_watts = {state.power / 1000}"
    yield f"power_limit_watts = {state.power_limit / 1000}"
    yield f"compute_mode = {_text(modes[state.compute_mode])}"
    yield f"persistence = {_flag(state.persistence)}"
    actions = {number: name for name, number in RECOVERY_ACTIONS.items()}
    yield f"recovery = {_text(actions[state.recovery])}"
    yield f"events = [{', '.join(_event(one) for one in state.events)}]"
    yield f"details = {_inline_values(written(state.details, known))}"
    yield from _faults(state.faults)


def _event(event: SimulatedEvent) -> str:
    kinds = {number: name for name, number in EVENTS.items()}
    kind = kinds[event.kind]
    values: dict[str, object] = {
        "sequence": event.sequence,
        "gi": event.gpu_instance,
        "ci": event.compute_instance,
        **({"xid": event.data} if kind == "xid" else {"kind": kind}),
    }
    return _inline_values({key: value for key, value in values.items() if value is not None})


def _faults(faults: Faults) -> Iterator[str]:
    yield "[device.faults]"
    yield f"lost = {_flag(faults.lost)}"
    yield f"reset_required = {_flag(faults.reset_required)}"
    yield f"hang = {_text('forever') if faults.hang == FOREVER else faults.hang}"
    yield f"hang_in = {_texts(faults.hang_in)}"
    yield f"no_permission = {_flag(faults.no_permission)}"
    yield f"insufficient_size = {faults.insufficient_size}"
    yield f"no_memory_v2 = {_flag(faults.no_memory_v2)}"
    yield f"errors = {_inline(faults.errors)}"


def _process(process: SimulatedProcess) -> Iterator[str]:
    yield "\n[[process]]"
    yield f"pid = {process.pid}"
    yield f"type = {_text('+'.join(sorted(process.lists)))}"
    yield f"device = {process.device}"
    yield f"memory = {_text('N/A') if process.memory is None else _size(process.memory)}"
    if process.gpu_instance is not None:
        yield f"gi = {process.gpu_instance}"
    if process.compute_instance is not None:
        yield f"ci = {process.compute_instance}"
    if process.name is not None:
        yield f"name = {_text(process.name)}"


def _inline_values(values: Mapping[str, object]) -> str:
    """Write numbers, flags, texts and lists; their JSON is TOML as well."""
    pairs = (
        f"{key} = {_text(value) if isinstance(value, str) else json.dumps(value)}"
        for key, value in sorted(values.items())
    )
    return f"{{ {', '.join(pairs)} }}"


def _size(size: int) -> str:
    """Write *size* bytes exactly: a 1024th has an exact decimal form."""
    if size == 0:
        return "0"
    if size % _MIB == 0:
        return f'"{size // _MIB}MiB"'
    return f'"{size / _KIB!r}KiB"'


def _flag(value: object) -> str:
    return "true" if value else "false"


def _text(value: str) -> str:
    """Write a basic string; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _texts(values: "frozenset[str] | Iterator[str]") -> str:
    ordered = sorted(values) if isinstance(values, frozenset) else values
    return f"[{', '.join(_text(one) for one in ordered)}]"


def _inline(codes: Mapping[str, int]) -> str:
    return f"{{ {', '.join(f'{name} = {code}' for name, code in sorted(codes.items()))} }}"
