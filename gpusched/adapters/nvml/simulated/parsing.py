"""Makes a `Scenario` of a short form, a scenario file or a control file. Pure: text in, value out.

Everything that is wrong is reported at once. Reading files is `directory`'s.
"""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from gpusched.adapters.nvml.simulated.devices import Defaults, read_devices
from gpusched.adapters.nvml.simulated.fields import Fields
from gpusched.adapters.nvml.simulated.links import check_links, read_links
from gpusched.adapters.nvml.simulated.profiles import find_profile, profiles
from gpusched.adapters.nvml.simulated.scenario import (
    Scenario,
    ScenarioError,
    SimulatedDevice,
    SimulatedProcess,
)
from gpusched.adapters.nvml.simulated.states import read_errors, read_process, read_state

_SHORT_ENTRY = re.compile(r"(?:(\d{1,4})x)?([A-Za-z][\w.-]*)")
_CUDA = re.compile(r"(\d{1,2})\.(\d)")
_STRIDES = (24, 32)
_DRIVER = "580.105.08"  # with the CUDA version of the captured H100
_CUDA_VERSION = "13.0"


def is_short_form(text: str) -> bool:
    """Tell whether *text* has the looks of `8xH100` or `4xA100-80GB,4xL4`."""
    entries = text.strip().split(",")
    return all(_SHORT_ENTRY.fullmatch(entry.strip()) for entry in entries)


def parse_scenario(text: str) -> Scenario:
    """Read a scenario, written in TOML or as a short form.

    Raises:
        ScenarioError: With everything that is wrong.
    """
    faults: list[str] = []
    table = _short_form(text) if is_short_form(text) else _toml(text)
    scenario = _read_scenario(Fields(table, "", faults))
    if faults:
        raise ScenarioError(tuple(faults))
    return scenario


def parse_control(text: str, scenario: Scenario) -> Scenario:
    """Apply a control file to the scenario it belongs to.

    Raises:
        ScenarioError: With everything that is wrong.
    """
    faults: list[str] = []
    fields = Fields(_toml(text), "", faults)
    devices = list(scenario.devices)
    for one in fields.tables("device"):
        index = one.number("index", -1)
        if 0 <= index < len(devices):
            changed = read_state(one, devices[index].state)
            devices[index] = dataclasses.replace(devices[index], state=changed)
        else:
            one.fault("index", f"must name a device, from 0 to {len(devices) - 1}")
            read_state(one, devices[0].state)
        one.finish()
    found = tuple(devices)
    processes = scenario.processes
    if "process" in fields:
        processes = tuple(read_process(one, found) for one in fields.tables("process"))
    errors = read_errors(fields, "errors") if "errors" in fields else scenario.errors
    driver = fields.text("driver", scenario.driver)
    fields.finish()
    _check_memory(fields, found, processes)
    if faults:
        raise ScenarioError(tuple(faults))
    return dataclasses.replace(
        scenario,
        devices=found,
        processes=processes,
        errors=errors,
        driver=driver,
        # The library comes with the driver.
        nvml=scenario.nvml.replace(scenario.driver, driver),
    )


def _toml(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError((f"not TOML: {error}",)) from error


@functools.cache
def hosts() -> Mapping[str, Mapping[str, object]]:
    """Give the whole hosts that a short form can name."""
    with Path(__file__).with_name("hosts.toml").open("rb") as file:
        return tomllib.load(file)


def _short_form(text: str) -> Mapping[str, object]:
    if (host := hosts().get(text.strip().lower())) is not None:
        return host
    faults = []
    tables = []
    for entry in text.strip().split(","):
        found = _SHORT_ENTRY.fullmatch(entry.strip())
        count, name = (found[1] or "1", found[2]) if found else ("1", entry)
        if find_profile(name) is None:
            known = f"{', '.join(profiles())}; whole hosts are {', '.join(hosts())}"
            faults.append(f"{name}: no such profile; there are {known}")
        elif int(count) == 0:
            faults.append(f"{entry.strip()}: must be at least one")
        tables.append({"profile": name, "count": int(count)})
    if faults:
        raise ScenarioError(tuple(faults))
    return {"device": tables}


def _read_scenario(fields: Fields) -> Scenario:
    driver = fields.text("driver", _DRIVER)
    cuda = _cuda(fields)
    links = read_links(fields)
    bridged = frozenset(index for one in links if one.nvlinks for index in one.gpus)
    seed = fields.text("seed", "gpusched")
    devices = read_devices(fields, Defaults(seed, fields.anything("minors"), bridged))
    check_links(fields, links, devices)
    processes = tuple(read_process(one, devices) for one in fields.tables("process"))
    stride = fields.number("process_stride", _STRIDES[0])
    if stride not in _STRIDES:
        fields.fault("process_stride", f"{stride} is neither 24 nor 32")
    scenario = Scenario(
        devices=devices,
        processes=processes,
        driver=driver,
        nvml=fields.text("nvml", f"{cuda // 1000}.{driver}"),
        cuda=cuda,
        seed=seed,
        process_stride=stride,
        missing_functions=frozenset(fields.texts("missing_functions")),
        errors=read_errors(fields, "errors"),
        links=links,
    )
    _check_memory(fields, devices, processes)
    fields.finish()
    return scenario


def _cuda(fields: Fields) -> int:
    text = fields.text("cuda", _CUDA_VERSION)
    found = _CUDA.fullmatch(text)
    if found is None:
        fields.fault("cuda", f"{text!r} is not a version such as 12.8")
        return 13000
    return int(found[1]) * 1000 + int(found[2]) * 10


def _check_memory(
    fields: Fields,
    devices: tuple[SimulatedDevice, ...],
    processes: tuple[SimulatedProcess, ...],
) -> None:
    """Note devices that the scenario itself fills beyond their size."""
    for device in devices:
        listed = sum(one.memory or 0 for one in processes if one.device == device.index)
        used = listed + device.state.ghost - device.state.overlap
        if not 0 <= used <= device.usable:
            fields.fault(
                f"device[{device.index}]",
                f"processes and ghost less overlap make {used} bytes;"
                f" {device.profile.key} has {device.usable}",
            )
