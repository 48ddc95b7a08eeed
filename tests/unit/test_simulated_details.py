"""Specification: what a simulated card says beyond its profile can be said in a scenario."""

import pytest

from gpusched.adapters.nvml.simulated import Scenario, ScenarioError, parse_scenario
from gpusched.adapters.nvml.simulated.details import KEYS, details_of
from gpusched.adapters.nvml.simulated.normal import to_toml
from gpusched.adapters.nvml.simulated.parsing import parse_control
from gpusched.adapters.nvml.simulated.profiles import profiles

L4 = '[[device]]\nprofile = "L4"\n'


def said(details: str) -> Scenario:
    return parse_scenario(f"{L4}details = {{ {details} }}\n")


def test_every_profile_has_details() -> None:
    """Each key that a profile has is a known one, and its name is one of them."""
    for profile in profiles().values():
        found = details_of(profile)
        assert found.keys() <= KEYS.keys()
        assert found["product_name"] == profile.name


@pytest.mark.parametrize(
    ("details", "key", "value"),
    [
        ('product_name = "Ünïcode"', "product_name", "Ünïcode"),
        ("fan_speed = 30", "fan_speed", 30),
        ("shutdown_tlimit = -8", "shutdown_tlimit", -8),
        ("display_active = true", "display_active", 1),
        ("average_power_watts = 66.5", "average_power_watts", 66_500),
        ("remapped_rows = [1, 2, 0, 1]", "remapped_rows", (1, 2, 0, 1)),
        ("supported_clocks = [[405, 645, 300]]", "supported_clocks", ((405, 645, 300),)),
        ('egm = "N/A"', "egm", None),
    ],
)
def test_a_detail(details: str, key: str, value: object) -> None:
    """A detail is read, stands beside those of the profile, and is written down again."""
    scenario = said(details)
    found = scenario.devices[0].state.details
    assert found.get(key) == value
    known = details_of(profiles()["L4"])
    assert {one for one in found if found[one] != known.get(one)} <= {key}
    assert parse_scenario(to_toml(scenario)) == scenario


@pytest.mark.parametrize(
    ("details", "fault"),
    [
        ("product_name = 3", "product_name: 3 is not a text"),
        ("fan_speed = true", "fan_speed: True is not a whole number"),
        ("display_active = 1", "display_active: 1 is not true or false"),
        ("average_power_watts = -1", "average_power_watts: -1 is not a number of watts"),
        ("remapped_rows = 0", "remapped_rows: 0 is not a list of whole numbers"),
        ("supported_clocks = [[405, 645]]", "supported_clocks: [[405, 645]] is not a list of"),
        ("supported_clocks = [405]", "supported_clocks: [405] is not a list of"),
        ("fans = 2", "fans: is not known here"),
    ],
)
def test_a_detail_that_is_none(details: str, fault: str) -> None:
    """What is wrong with a detail is told with its key."""
    with pytest.raises(ScenarioError) as caught:
        said(details)
    assert f"device[0].details.{fault}" in str(caught.value)


def test_details_in_a_control_file() -> None:
    """A control file changes single details; without it they are the scenario's."""
    scenario = said("fan_speed = 30, module_id = 2")
    control = "[[device]]\nindex = 0\ndetails = { fan_speed = 40 }\n"
    changed = parse_control(control, scenario).devices[0].state.details
    assert (changed["fan_speed"], changed["module_id"]) == (40, 2)
    assert parse_control("", scenario) == scenario
