"""The configuration file: every option, and every fault at once."""

from pathlib import Path

import pytest

from gpusched.config import options
from gpusched.config.read import ConfigFaults, parse, read
from gpusched.core.ids import SECOND, DeviceUuid
from gpusched.core.policy import IdleRules, Policy
from gpusched.core.sizes import GIB, MIB
from gpusched.core.stray import StrayPolicy, StrayRules

WHOLE = """
[sampling]
interval = "500ms"
deadline = "2s"
max_age = "7s"
max_gap = "1m"
boot_patience = "10s"

[leases]
attach_deadline = "1m30s"
keepalive = "20s"
history = 5
history_time = "2d"
grace = "3s"
settle = "4s"
tolerance = "8MiB"
idle_after = "30m"
idle_policy = "end"
idle_grace = "1s"

[events]
history = 6
history_time = "never"

[enforcement]
recheck = "50s"
guard = "on"
guard_top = "/user.slice"
guard_admits = ["x.service"]

[devices]
withheld = "1GiB"
placement = "spread"
infrastructure = ["Xorg"]
settle_starts = "40s"

[strays]
policy = "evict"
grace = "9s"
spare_uids = [0, 33]
dry_run = "on"

[strays.devices]
"GPU-1" = "report"

[access]
admin_group = "wheel"
connections_per_user = 3

[log]
level = "debug"

[prices]
"gpu.l4.1" = "0.80 €/h"
"""

TABLES = (
    "access, containers, devices, enforcement, events, health, leases, log, overuse, pools,"
    " prices, priorities, queue, quotas, sampling, strays"
)
FAULTS: dict[str, tuple[str, str]] = {
    "interval": (
        "[sampling]\ninterval = 5",
        'sampling.interval: 5 is not a time in quotes, such as "90s" or "5m"',
    ),
    "deadline": (
        '[sampling]\ndeadline = "5"',
        "sampling.deadline: '5' is not a time such as 90s, 5m or 1h30m",
    ),
    "gap": (
        '[sampling]\ninterval = "30s"',
        (
            "sampling.max_gap: 30s is not more than sampling.interval, 30s: each sample would pass"
            " for a sleep of the host, and no clock would run out"
        ),
    ),
    "keepalive": ('[leases]\nkeepalive = "0s"', "leases.keepalive: '0s' is not more than nothing"),
    "drain": (
        '[devices]\ndrain_deadline = "3000000d"',
        "devices.drain_deadline: '3000000d' is more than 100 years",
    ),
    "history": ("[leases]\nhistory = 0", "leases.history: 0 is not a whole number of 1 or more"),
    "truth": (
        "[leases]\nhistory = true",
        "leases.history: True is not a whole number of 1 or more",
    ),
    "half": ("[leases]\nhistory = 1.5", "leases.history: 1.5 is not a whole number of 1 or more"),
    "withheld": (
        "[devices]\nwithheld = 5",
        'devices.withheld: 5 is not a size in quotes, such as "512MiB"',
    ),
    "unit": (
        '[devices]\nwithheld = "5"',
        "devices.withheld: '5' is not a size such as 4GiB, 4000MiB or 4GB",
    ),
    "placement": (
        '[devices]\nplacement = "heap"',
        "devices.placement: 'heap' is not one of pack, spread, topology",
    ),
    "words": (
        '[devices]\ninfrastructure = "Xorg"',
        "devices.infrastructure: 'Xorg' is not a list of words in quotes",
    ),
    "numbers": (
        "[devices]\ninfrastructure = [1]",
        "devices.infrastructure: [1] is not a list of words in quotes",
    ),
    "guard": (
        '[enforcement]\nguard = "maybe"',
        "enforcement.guard: 'maybe' is not one of on, off",
    ),
    "group": ('[access]\nadmin_group = ""', "access.admin_group: '' is not a word in quotes"),
    "gid": ("[access]\nadmin_group = 7", "access.admin_group: 7 is not a word in quotes"),
    "level": (
        '[log]\nlevel = "loud"',
        "log.level: 'loud' is not one of debug, info, warning, error",
    ),
    "price": ("[prices]\ncheap = 1", "prices.cheap: 1 is not words in quotes"),
    "option": ("[log]\nlevle = 'info'", "log.levle: no such option; known: level"),
    "table": (
        "[lease]\nhistory = 1",
        f"lease: there is no such table; known: {TABLES}",
    ),
    "value": ("log = 'info'", "log: is a table, [log], not a value"),
}


def faults_in(text: str) -> tuple[str, ...]:
    """The faults of a configuration."""
    with pytest.raises(ConfigFaults) as caught:
        parse(text)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return caught.value.faults


def test_an_empty_file_gives_the_defaults() -> None:
    """Whoever sets nothing gets what the table of options says."""
    config = parse("")
    assert config.policy == Policy()
    assert (config.interval, config.sample_deadline, config.boot_patience) == (1.0, 5.0, 30.0)
    assert (config.admin_group, config.connections_per_user) == ("gpusched", 1024)
    assert (config.log_level, config.prices) == ("info", {})
    assert (config.events_kept, config.events_time) == (100_000, 30 * 86_400 * SECOND)
    assert config.guard_top == "/"
    assert "nvidia-persistenced.service" in config.guard_admits


def test_every_option_is_read() -> None:
    """Each key of the file reaches its setting."""
    config = parse(WHOLE)
    assert config.policy == Policy(
        placement="spread",
        withheld=GIB,
        attach_deadline=90 * SECOND,
        keepalive=20 * SECOND,
        max_sample_age=7 * SECOND,
        max_tick_gap=60 * SECOND,
        history=5,
        history_time=2 * 86_400 * SECOND,
        infrastructure=("Xorg",),
        grace=3 * SECOND,
        settle=4 * SECOND,
        tolerance=8 * MIB,
        recheck=50 * SECOND,
        guard=True,
        strays=StrayRules(
            StrayPolicy.EVICT,
            {DeviceUuid("GPU-1"): StrayPolicy.REPORT},
            grace=9 * SECOND,
            spare_uids=(0, 33),
            dry_run=True,
        ),
        settle_starts=40 * SECOND,
        idle=IdleRules(after=30 * 60 * SECOND, end=True, grace=SECOND),
    )
    assert (config.interval, config.sample_deadline, config.boot_patience) == (0.5, 2.0, 10.0)
    assert (config.admin_group, config.connections_per_user) == ("wheel", 3)
    assert (config.events_kept, config.events_time) == (6, None)
    assert (config.guard_top, config.guard_admits) == ("/user.slice", ("x.service",))
    assert (config.log_level, config.prices) == ("debug", {"gpu.l4.1": "0.80 €/h"})


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_its_key(case: str) -> None:
    """A wrong value is told with its key, what was found, and what would be right."""
    text, fault = FAULTS[case]
    assert faults_in(text) == (fault,)


def test_all_faults_are_told_at_once() -> None:
    """An operator mends a file in one go."""
    text = '[log]\nlevel = "loud"\ncolour = 1\n[leases]\nhistory = 0\n[tables]\n'
    assert [one.split(":")[0] for one in faults_in(text)] == [
        "log.colour",
        "tables",
        "leases.history",
        "log.level",
    ]


def test_prices_have_to_be_a_table() -> None:
    """Prices without rows are a fault like any other."""
    assert faults_in("prices = 1") == ("prices: is a table, [prices], not a value",)


def test_what_is_not_toml_is_told_with_its_line() -> None:
    """A typing error in the file is told with the line where it is."""
    (fault,) = faults_in("[log]\nlevel = info\n")
    assert fault.startswith("not TOML: ")
    assert "line 2" in fault


def test_a_file_without_end_of_brackets_is_a_fault() -> None:
    """What is nested more deeply than can be read is a fault of the file, not a defect."""
    assert faults_in("x = " + "[" * 100_000) == (
        "not TOML that can be read: it is nested too deeply",
    )


def test_nothing_withheld_can_be_said() -> None:
    """`0` needs no unit."""
    assert parse('[devices]\nwithheld = "0"').policy.withheld == 0


def test_every_default_is_a_value_of_its_option() -> None:
    """The defaults of the table pass their own checks, and each option says what it means."""
    for option in options.OPTIONS:
        option.read(option.default)
        assert option.meaning.endswith(".")
    assert len({one.key for one in options.OPTIONS}) == len(options.OPTIONS)


def test_a_named_file_is_read(tmp_path: Path) -> None:
    """The file of the command line goes before the one of the environment."""
    named, other = tmp_path / "a.toml", tmp_path / "b.toml"
    named.write_text("[leases]\nhistory = 1\n", encoding="utf-8")
    other.write_text("[leases]\nhistory = 2\n", encoding="utf-8")
    environment = {"GPUSCHED_CONFIG": str(other)}
    assert read(named, environment).policy.history == 1
    assert read(None, environment).policy.history == 2


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    """Whoever names a file means it: a missing one is a fault."""
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigFaults) as by_argument:
        read(path, {})
    with pytest.raises(ConfigFaults) as by_environment:
        read(None, {"GPUSCHED_CONFIG": str(path)})
    for caught in (by_argument, by_environment):
        assert caught.value.faults == (f"{path}: there is no such file",)


def test_the_system_s_file_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any file the defaults hold; the system's own is read where it is."""
    system = tmp_path / "gpusched.toml"
    monkeypatch.setattr("gpusched.config.read.SYSTEM_CONFIG", system)
    assert read(None, {"GPUSCHED_CONFIG": ""}) == parse("")
    system.write_text("[leases]\nhistory = 9\n", encoding="utf-8")
    assert read(None, {}).policy.history == 9


def test_the_faults_of_a_file_name_the_file(tmp_path: Path) -> None:
    """Each fault stands behind the path of its file, and so does a file that is no text."""
    path = tmp_path / "a.toml"
    path.write_text("[leases]\nhistory = 0\n[log]\nlevel = 1\n", encoding="utf-8")
    with pytest.raises(ConfigFaults) as caught:
        read(path, {})
    assert [one.split(": ")[:2] for one in caught.value.faults] == [
        [str(path), "leases.history"],
        [str(path), "log.level"],
    ]
    with pytest.raises(ConfigFaults, match=r": not readable: Is a directory$"):
        read(tmp_path, {})
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigFaults, match=r"a\.toml: not readable: not UTF-8$"):
        read(path, {})
    with pytest.raises(ConfigFaults, match="not readable: "):
        read(tmp_path, {})
