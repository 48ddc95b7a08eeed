"""Everything that can be wrong with a scenario, and how it is said."""

import pytest

from gpusched.adapters.nvml.simulated import ScenarioError, parse_scenario

SWITCHED = '[[device]]\nprofile = "H100"\nnvswitch = 1\n'
THREE = '[[device]]\nprofile = "A100-40GB"\ncount = 3\n[[link]]\n'
PAIR = '[[device]]\nprofile = "A100-40GB"\ncount = 2\n[[link]]\n'


def _faults(text: str) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("8xH1000", "H1000: no such profile; there are T4, L4, L40S"),
        ("0xT4", "0xT4: must be at least one"),
        ("300xT4", "device[0].count: 300 is not a whole number"),
        ("200xT4,200xL4", "device: 400 devices are more than 253"),
        ("[", "not TOML: "),
        ('driver = "1"', "device: there is none"),
        ('[[device]]\nprofile = "X"', "device[0].profile: there is no profile 'X'; there are T4"),
        ('[[device]]\nprofile = "T4"\ncolour = 1', "device[0].colour: is not known here"),
        ('[[device]]\nprofile = "T4"\nmig = ["1g.5gb"]', "device[0].mig: '1g.5gb' is no MIG"),
        ('minors = [1]\n[[device]]\nprofile = "T4"\ncount = 2', "minors: is not"),
        ('minors = [5, 5]\n[[device]]\nprofile = "T4"\ncount = 2', "minors: several devices"),
        ('minors = [900]\n[[device]]\nprofile = "T4"', "minors: must be from 0 to 252"),
        (
            '[[device]]\nprofile = "T4"\ncount = 2\nserial = "1"',
            "device[0].serial: cannot be the same",
        ),
        ('[[device]]\nprofile = "T4"\nuuid = "GPU-1"', "device[0].uuid: 'GPU-1' is not"),
        ('[[device]]\nprofile = "T4"\nbus_id = "07:00.0"', "device[0].bus_id: '07:00.0' does"),
        ('[[device]]\nprofile = "T4"\nghost = "5"', "device[0].ghost: '5' is not a size"),
        ('[[device]]\nprofile = "T4"\nghost = 5', "device[0].ghost: 5 is not a size"),
        ('[[device]]\nprofile = "T4"\nghost = "20GiB"', "device[0]: processes and ghost less"),
        ('[[device]]\nprofile = "T4"\noverlap = "1GiB"', "device[0]: processes and ghost less"),
        ('[[device]]\nprofile = "T4"\nutilization = 101', "device[0].utilization: 101 is not"),
        ('[[device]]\nprofile = "T4"\nvanished = 1', "device[0].vanished: 1 is neither"),
        ('[[device]]\nprofile = "T4"\ncompute_mode = "x"', "device[0].compute_mode: 'x' is none"),
        ('[[device]]\nprofile = "T4"\npower_watts = -1', "device[0].power_watts: -1 is not a"),
        ('[[device]]\nprofile = "T4"\n[device.faults]\nlots = 1', "device[0].faults.lots: is not"),
        ('[device]\nprofile = "T4"', "device: is not an array of tables; write [[device]]"),
        ('errors = { x = 1 }\n[[device]]\nprofile = "T4"', "errors.x: is not the name of an NVML"),
        ("hgx-h200", "hgx-h200: no such profile; there are T4"),
        (f"{PAIR}gpus = [0]", "link[0].gpus: [0] is not two cards such as [0, 1]"),
        (f"{PAIR}gpus = [0, 0]", "link[0].gpus: [0, 0] is not two cards"),
        (f'{PAIR}gpus = "0,1"', "link[0].gpus: '0,1' is not two cards"),
        (f"{PAIR}gpus = [0, 2]", "link[0].gpus: must name cards from 0 to 1"),
        (f"{PAIR}gpus = [0, 1]\n[[link]]\ngpus = [1, 0]", "link[1].gpus: tells of the same two"),
        (
            f"{THREE}gpus = [0, 1]\nnvlinks = 12\n[[link]]\ngpus = [1, 2]\nnvlinks = 1",
            "link: 13 NVLinks of card 1; A100-40GB has 12",
        ),
        (f'{PAIR}gpus = [0, 1]\nancestor = "X"', "link[0].ancestor: 'X' is none of PIX, PXB"),
        (
            f"{SWITCHED}{PAIR}gpus = [0, 1]\nnvlinks = 1",
            "link: card 0 is on an NVSwitch: all its NVLinks are",
        ),
        ('[[device]]\nprofile = "T4"\nnvswitch = 1', "device[0].nvswitch: T4 has no NVLinks"),
        ('cuda = "new"\n[[device]]\nprofile = "T4"', "cuda: 'new' is not a version"),
        ('process_stride = 7\n[[device]]\nprofile = "T4"', "process_stride: 7 is neither"),
        (
            '[[device]]\nprofile = "T4"\n[[process]]\npid = 1\ndevice = 1',
            "process[0].device: there is no",
        ),
        ('[[device]]\nprofile = "T4"\n[[process]]\ndevice = 0', "process[0].pid: is missing"),
        ('[[device]]\nprofile = "T4"\n[[process]]\npid = 1\ntype = "X"', "process[0].type: 'X'"),
        (
            '[[device]]\nprofile = "T4"\n[[process]]\npid = 1\ngi = 1',
            "process[0].gi: device 0 has",
        ),
        (
            '[[device]]\nprofile = "A100-40GB"\nmig = ["4g.20gb", "4g.20gb"]',
            "device[0].mig: needs 8 compute slices, a GPU has 7",
        ),
        (
            '[[device]]\nprofile = "A100-40GB"\nmig = ["3g.20gb", "3g.20gb", "1g.5gb"]',
            "device[0].mig: needs 9 memory slices, a GPU has 8",
        ),
        (
            '[[device]]\nprofile = "A100-40GB"\nmig = [{ gi = "1g.5gb", ci = ["2c"] }]',
            "device[0].mig: ci: ['2c'] needs 2 compute slices",
        ),
        (
            '[[device]]\nprofile = "A100-40GB"\nmig = [{ gi = "1g.5gb", ci = ["two"] }]',
            "device[0].mig: ci: ['two'] is not a list",
        ),
        (
            '[[device]]\nprofile = "T4"\nbus_id = "00000000:90:00.0"\n[[device]]\nprofile = "T4"',
            "device: the bus ids must ascend",
        ),
    ],
)
def test_a_fault_is_named_with_its_key(text: str, fault: str) -> None:
    """Whatever is wrong, the message starts with where it is."""
    faults = _faults(text)
    assert [one for one in faults if one.startswith(fault)], faults
    assert len(faults) == 1


def test_all_faults_are_reported_at_once() -> None:
    """One look at the message is enough to mend the file, however many devices a table makes."""
    faults = _faults(
        """
        cuda = 12
        [[device]]
        profile = "X9"
        count = 4
        temperature = "hot"
        [[process]]
        pid = "me"
        """
    )
    assert [one.split(":")[0] for one in faults] == [
        "cuda",
        "device[0].profile",
        "device[0].temperature",
        "process[0].pid",
    ]
