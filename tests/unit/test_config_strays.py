"""What an operator can say about strays, and what is wrong with it."""

import pytest

from gpusched.config.read import ConfigFaults, parse
from gpusched.core.stray import StrayPolicy

FAULTS: dict[str, tuple[str, str]] = {
    "uids": (
        "[strays]\nspare_uids = 0",
        "strays.spare_uids: 0 is not a list of whole numbers",
    ),
    "users": (
        '[strays]\nspare_uids = ["root"]',
        "strays.spare_uids: ['root'] is not a list of whole numbers",
    ),
    "strays": (
        '[strays]\npolicy = "kill"',
        "strays.policy: 'kill' is not one of report, avoid, evict",
    ),
    "stray device": (
        '[strays.devices]\n"GPU-1" = "kill"',
        "strays.devices.GPU-1: 'kill' is not one of report, avoid, evict",
    ),
    "stray index": ('[strays.devices]\n0 = "avoid"', "strays.devices.0: is no UUID of a device"),
    "stray devices": (
        "[strays]\ndevices = 1",
        "strays.devices: is a table, [strays.devices], not a value",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_its_key(case: str) -> None:
    """A wrong value is told with its key, that of a device with its UUID."""
    text, fault = FAULTS[case]
    with pytest.raises(ConfigFaults) as caught:
        parse(text)
    assert caught.value.faults == (fault,)


def test_a_device_may_have_a_policy_of_its_own() -> None:
    """The table of devices goes by UUID; others have the host's policy."""
    text = '[strays]\npolicy = "report"\n[strays.devices]\n"MIG-1" = "evict"'
    rules = parse(text).policy.strays
    assert (rules.policy, dict(rules.devices)) == (
        StrayPolicy.REPORT,
        {"MIG-1": StrayPolicy.EVICT},
    )
