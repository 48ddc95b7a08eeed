"""Scenarios: text in, a simulated host or all that is wrong with the text out."""

import pytest

from gpusched.adapters.nvml.simulated import ScenarioError, parse_scenario
from gpusched.adapters.nvml.simulated.normal import to_toml
from gpusched.adapters.nvml.simulated.parsing import is_short_form, parse_control
from gpusched.adapters.nvml.simulated.profiles import profiles
from gpusched.adapters.nvml.simulated.registrations import Registration
from gpusched.adapters.nvml.simulated.scenario import FOREVER
from gpusched.adapters.nvml.simulated.view import View

GIB = 1 << 30

EVERYTHING = """
driver = "535.54.03"
cuda = "12.2"
seed = "another"
minors = "shuffled"
process_stride = 32
missing_functions = ["nvmlDeviceGetMemoryInfo_v2"]
errors = { nvmlInitWithFlags = 9 }
[[device]]
profile = "h100"
count = 2
ghost = "300MB"
utilization = 70
compute_mode = "exclusive_process"
recovery = "drain_p2p"
events = [{ xid = 79, gi = 1, ci = 0 }, { kind = "ecc_double", sequence = 9 }]
[device.faults]
reset_required = true
hang = "forever"
hang_in = ["nvmlDeviceGetName"]
insufficient_size = 2
errors = { nvmlDeviceGetName = 999 }
[[device]]
profile = "A100-40GB"
bus_id = "00000000:E0:00.0"
mig = ["3g.20gb", { gi = "2g.10gb", ci = ["1c", "1c"] }, "1g.5gb"]
vanished = true
[[device]]
profile = "A100-80GB"
bus_id = "00000000:E1:00.0"
numa = -1
[[device]]
profile = "H200"
bus_id = "00000000:E2:00.0"
nvswitch = false
[[link]]
gpus = [3, 1]
ancestor = "PIX"
p2p = false
[[link]]
gpus = [3, 4]
nvlinks = 2
[[process]]
pid = 4242
type = "M+C+G"
device = 0
memory = "N/A"
name = "/usr/bin/\\"quoted\\" tool\\u007f"
[[process]]
pid = 7
device = 2
memory = "1KB"
gi = 3
ci = 1
"""


def test_a_short_form_is_a_scenario() -> None:
    """`4xA100-80GB,4xL4` are eight devices in that order."""
    scenario = parse_scenario("4xA100-80GB,4xL4")
    assert [one.profile.key for one in scenario.devices] == ["A100-80GB"] * 4 + ["L4"] * 4
    assert [one.index for one in scenario.devices] == list(range(8))


def test_a_short_form_may_name_one_device() -> None:
    """`T4` is one device; names are known in any case."""
    assert [one.profile.key for one in parse_scenario(" t4 ").devices] == ["T4"]


def test_a_file_name_is_no_short_form() -> None:
    """What has a slash or an equals sign is read as something else."""
    assert not is_short_form("./hosts/big.toml")
    assert not is_short_form('driver = "1"')


def test_the_normal_form_says_everything() -> None:
    """Parsing what `to_toml` wrote gives an equal scenario."""
    scenario = parse_scenario(EVERYTHING)
    assert parse_scenario(to_toml(scenario)) == scenario
    assert scenario.devices[0].state.faults.hang == FOREVER
    assert scenario.devices[0].state.faults.reset_required
    assert len(scenario.devices[0].state.events) == len(("xid", "ecc_double"))
    assert scenario.nvml == "12.535.54.03"


@pytest.mark.parametrize("profile", profiles())
def test_every_profile_makes_a_host(profile: str) -> None:
    """Each profile can be named, and holds less than its driver reserves."""
    device = parse_scenario(profile).devices[0]
    assert 0 < device.profile.reserved < device.usable


def test_identities_are_the_same_every_time() -> None:
    """A restarted simulator has the same devices; another seed has others."""
    again = [parse_scenario("3xL4").devices for _ in range(2)]
    assert again[0] == again[1]
    other = parse_scenario('seed = "2"\n[[device]]\nprofile = "L4"\ncount = 3').devices
    assert {one.uuid for one in other}.isdisjoint(one.uuid for one in again[0])


def test_bus_ids_ascend_with_the_index() -> None:
    """NVML numbers devices by bus id, also where one PCI domain is not enough."""
    buses = [one.bus_id for one in parse_scenario("128xT4").devices]
    assert buses == sorted(set(buses))
    assert buses[0] == "00000000:07:00.0"
    assert buses[-1].startswith("00000003:")


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shuffled_minors_are_not_the_indices(count: int) -> None:
    """`minors = "shuffled"` is a permutation, and never the plain order."""
    text = f'minors = "shuffled"\n[[device]]\nprofile = "T4"\ncount = {count}'
    minors = [one.minor for one in parse_scenario(text).devices]
    assert sorted(minors) == list(range(count))
    assert minors != sorted(minors)


def test_minors_can_be_given() -> None:
    """A list gives each device its minor."""
    text = 'minors = [7, 0]\n[[device]]\nprofile = "T4"\ncount = 2'
    assert [one.minor for one in parse_scenario(text).devices] == [7, 0]


def test_mig_devices_get_the_drivers_ids() -> None:
    """Instances are numbered by size, and every MIG device has a UUID of its own."""
    mig = parse_scenario(EVERYTHING).devices[2].mig
    assert [(one.name, one.gpu_instance, one.compute_instance) for one in mig] == [
        ("3g.20gb", 1, 0),
        ("1c.2g.10gb", 3, 0),
        ("1c.2g.10gb", 3, 1),
        ("1g.5gb", 7, 0),
    ]
    assert len({one.uuid for one in mig}) == 4
    assert all(one.uuid.startswith("MIG-") and one.uuid[18] == "5" for one in mig)


def test_a_control_file_changes_what_it_names() -> None:
    """What a control file does not name stays as the scenario has it."""
    scenario = parse_scenario(EVERYTHING)
    changed = parse_control("[[device]]\nindex = 0\ntemperature = 90", scenario)
    assert changed.devices[0].state.temperature == 90
    assert changed.devices[0].state.ghost == scenario.devices[0].state.ghost
    assert changed.devices[1:] == scenario.devices[1:]
    assert changed.processes == scenario.processes


def test_a_control_file_replaces_the_processes() -> None:
    """`process` in a control file stands in place of the scenario's list."""
    scenario = parse_scenario(EVERYTHING)
    assert parse_control("process = []", scenario).processes == ()


def test_a_control_file_reports_all_its_faults() -> None:
    """A control file is checked like a scenario."""
    with pytest.raises(ScenarioError) as caught:
        parse_control("x = 1\n[[device]]\nindex = 9\nprofile = 'T4'", parse_scenario("T4"))
    assert [one.split(":")[0] for one in caught.value.faults] == [
        "device[0].index",
        "device[0].profile",
        "x",
    ]


def test_a_vanished_device_moves_the_indices_up() -> None:
    """The devices behind a vanished one get lower indices and keep their UUIDs."""
    scenario = parse_scenario("3xL4")
    view = View(parse_control("[[device]]\nindex = 0\nvanished = true", scenario), ())
    assert [(one.index, one.uuid) for one in view.gpus] == [
        (0, scenario.devices[1].uuid),
        (1, scenario.devices[2].uuid),
    ]


def test_used_memory_is_the_sum_of_what_is_known() -> None:
    """Workers, processes and ghosts add up; shared buffers are taken off."""
    text = """
    [[device]]
    profile = "L4"
    ghost = "2GiB"
    overlap = "1GiB"
    [[process]]
    pid = 5
    memory = "3GiB"
    [[process]]
    pid = 6
    memory = "N/A"
    """
    scenario = parse_scenario(text)
    worker = Registration(99, frozenset("C"), {scenario.devices[0].uuid: 4 * GIB})
    view = View(scenario, (worker,))
    numbers = view.memory(view.gpus[0])
    assert numbers.used == 8 * GIB
    assert numbers.total == numbers.reserved + numbers.used + numbers.free


def test_compute_instances_of_one_gpu_instance_share_its_memory() -> None:
    """What one of them uses, all of them and the GPU show; another GPU instance does not."""
    text = """
    [[device]]
    profile = "A100-40GB"
    mig = [{ gi = "3g.20gb", ci = ["1c", "2c"] }, "3g.20gb"]
    """
    scenario = parse_scenario(text)
    uuids = [one.uuid for one in scenario.devices[0].mig]
    view = View(scenario, (Registration(99, frozenset("C"), {uuids[1]: GIB}),))
    subjects = [view.by_uuid[uuid] for uuid in uuids]
    assert [view.memory(one).used for one in subjects] == [GIB, GIB, 0]
    assert [[row.pid for row in view.rows(one)] for one in subjects] == [[], [99], []]
    assert view.memory(view.gpus[0]).used == GIB
    assert [(row.gpu_instance, row.compute_instance) for row in view.rows(view.gpus[0])] == [
        (1, 1)
    ]


def test_a_card_never_holds_more_than_it_has() -> None:
    """A control file may ask for more than workers left; free memory does not go below nothing."""
    scenario = parse_scenario("T4")
    worker = Registration(1, frozenset("C"), {scenario.devices[0].uuid: 12 * GIB})
    view = View(parse_control('[[device]]\nindex = 0\nghost = "14GiB"', scenario), (worker,))
    assert view.memory(view.gpus[0]).free == 0
