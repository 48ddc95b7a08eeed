"""Quotas and pools in the configuration file, and every fault of theirs."""

import pytest

from gpusched.config.principals import HOST, Names
from gpusched.config.read import Config, ConfigFaults, parse
from gpusched.core.ids import SECOND
from gpusched.core.policy import Policy
from gpusched.core.pool import DEFAULT_POOL, Pools
from gpusched.core.quota import Bounds, Exempt, Quotas, Resource
from gpusched.core.rights import Rights
from gpusched.core.sizes import GIB
from gpusched.core.tally import Subject

NAMES = Names({"ann": 1000, "bob": 1001}.get, {"students": 100}.get)

QUOTAS = """
[access]
quota_exempt = "admins"

[[quotas]]
user = "*"
devices = 2
waiting = 20

[[quotas]]
user = "ann"
devices = 4
memory = "160GiB"
leases = 10
time_limit = "24h"

[[quotas]]
user = 1001
memory = "0"

[[quotas]]
group = "students"
devices = 0

[[quotas]]
group = 27
leases = 3

[[quotas]]
label = "team=vision=2"
devices = 2
"""

POOLS = """
[pools.training]
devices = ["GPU-1", "0"]
users = ["ann", 1001]
groups = ["students", 27]

[pools.serving]
devices = ["MIG-1", "3"]

[pools.default]
groups = ["students"]
"""


def read(text: str) -> Config:
    """The configuration of a host with two users and a group."""
    return parse(text, NAMES)


def faults_in(text: str) -> tuple[str, ...]:
    """What is wrong with a text."""
    with pytest.raises(ConfigFaults) as caught:
        read(text)
    return caught.value.faults


def test_quotas_are_read() -> None:
    """Users, groups and labels have their bounds, each user a default; names become numbers."""
    day = 24 * 3600 * SECOND
    assert read(QUOTAS).policy.quotas == Quotas(
        {
            Subject("uid", 1000): Bounds(
                "user ann",
                {
                    Resource.DEVICES: 4,
                    Resource.MEMORY: 160 * GIB,
                    Resource.LEASES: 10,
                    Resource.TIME_LIMIT: day,
                },
            ),
            Subject("uid", 1001): Bounds("uid 1001", {Resource.MEMORY: 0}),
            Subject("gid", 100): Bounds("group students", {Resource.DEVICES: 0}),
            Subject("gid", 27): Bounds("gid 27", {Resource.LEASES: 3}),
            Subject("label", ("team", "vision=2")): Bounds(
                "label team=vision=2", {Resource.DEVICES: 2}
            ),
        },
        Bounds("each user", {Resource.DEVICES: 2, Resource.WAITING: 20}),
        Exempt.ADMINS,
    )


def test_pools_are_read() -> None:
    """A pool has devices by UUID and index, and users and groups who may use it."""
    rights = Rights(
        frozenset({1000, 1001}),
        frozenset({100, 27}),
        "user ann, uid 1001, group students, gid 27",
    )
    assert read(POOLS).policy.pools == Pools(
        {
            DEFAULT_POOL: Rights(gids=frozenset({100}), words="group students"),
            "training": rights,
            "serving": Rights(),
        },
        {"GPU-1": "training", "MIG-1": "serving"},  # type: ignore[dict-item]  # words are UUIDs
        {0: "training", 3: "serving"},
    )


def test_without_quotas_and_pools() -> None:
    """A file that says nothing bounds nobody, and every device is in one pool."""
    assert read("").policy == Policy()


QUOTA = "[[quotas]]\n"
POOL = "[pools.training]\n"
LIST = 'list UUIDs or indices of GPUs, such as ["GPU-…", "0"]'
BOUNDS = "devices, memory, leases, waiting, time_limit"
FAULTS: dict[str, tuple[str, str]] = {
    "not tables": ("quotas = 1", "quotas: is a list of tables, each begun by [[quotas]]"),
    "one table": (
        "[quotas]\ndevices = 1",
        "quotas: is a list of tables, each begun by [[quotas]]",
    ),
    "nobody's": (
        QUOTA + "devices = 1",
        "quotas, number 1: says not whose it is; write one of user, group, label",
    ),
    "two": (
        QUOTA + 'user = "ann"\ngroup = "students"\ndevices = 1',
        "quotas, number 1: says user and group; write one of user, group, label",
    ),
    "more than anybody has": (
        QUOTA + 'user = "ann"\ndevices = 18446744073709551616',  # 2^64
        f"quotas, number 1: devices: {1 << 64} is not a whole number from 0 to 1000000000",
    ),
    "nothing": (
        QUOTA + 'user = "ann"',
        f"quotas, number 1: bounds nothing; write one of {BOUNDS}",
    ),
    "key": (
        QUOTA + 'user = "ann"\ndevices = 1\ngpus = 1',
        f"quotas, number 1: gpus: no such key; there are user, group, label, {BOUNDS}",
    ),
    "number": (
        QUOTA + 'user = "ann"\ndevices = -1',
        "quotas, number 1: devices: -1 is not a whole number from 0 to 1000000000",
    ),
    "truth": (
        QUOTA + 'user = "ann"\nleases = true',
        "quotas, number 1: leases: True is not a whole number from 0 to 1000000000",
    ),
    "size": (
        QUOTA + 'user = "ann"\nmemory = 5',
        'quotas, number 1: memory: 5 is not a size in quotes, such as "512MiB"',
    ),
    "time": (
        QUOTA + 'user = "ann"\ntime_limit = "0s"',
        "quotas, number 1: time_limit: '0s' is not more than nothing",
    ),
    "user": (
        QUOTA + 'user = "anne"\ndevices = 1',
        "quotas, number 1: user: this host has no user 'anne'; correct the name, or write the uid",
    ),
    "group": (
        QUOTA + 'group = "pupils"\ndevices = 1',
        (
            "quotas, number 1: group: this host has no group 'pupils'; correct the name, or write"
            " the gid"
        ),
    ),
    "uid": (
        QUOTA + "user = -1\ndevices = 1",
        "quotas, number 1: user: -1 is neither the name of a user in quotes nor a uid",
    ),
    "true user": (
        QUOTA + "user = true\ndevices = 1",
        "quotas, number 1: user: True is neither the name of a user in quotes nor a uid",
    ),
    "no name": (
        QUOTA + 'group = ""\ndevices = 1',
        "quotas, number 1: group: '' is neither the name of a group in quotes nor a gid",
    ),
    "label": (
        QUOTA + 'label = "team"\ndevices = 1',
        "quotas, number 1: label: 'team' is not such as \"team=vision\"",
    ),
    "no label": (
        QUOTA + "label = 5\ndevices = 1",
        'quotas, number 1: label: 5 is not such as "team=vision"',
    ),
    "again": (
        QUOTA + 'user = "ann"\ndevices = 1\n' + QUOTA + "user = 1000\nleases = 1",
        "quotas, number 2: user: 1000 has a quota already; write all its bounds into one table",
    ),
    "each again": (
        QUOTA + 'user = "*"\ndevices = 1\n' + QUOTA + 'user = "*"\nleases = 1',
        "quotas, number 2: user: '*' has a quota already; write all its bounds into one table",
    ),
    "exempt": (
        '[access]\nquota_exempt = "me"',
        "access.quota_exempt: 'me' is not one of nobody, root, admins",
    ),
    "pools": ("pools = 1", "pools: is a table of tables, each begun by [pools.NAME]"),
    "pool": ("[pools]\ntraining = 1", "pools.training: is a table, [pools.training], not a value"),
    "name": (
        '[pools."a b"]\ndevices = ["0"]',
        "pools.a b: a pool is named by up to 64 letters, digits and . _ -",
    ),
    "pool key": (
        POOL + 'devices = ["0"]\ngpus = 1',
        "pools.training.gpus: no such option; known: devices, users, groups",
    ),
    "no devices": (POOL, f"pools.training.devices: names no device; {LIST}"),
    "numbers": (
        POOL + "devices = [0]",
        f"pools.training.devices: [0] is no such list; {LIST}",
    ),
    "device": (
        POOL + 'devices = ["gpu0"]',
        f"pools.training.devices: 'gpu0' is neither a UUID nor an index; {LIST}",
    ),
    "two pools": (
        POOL + 'devices = ["0"]\n[pools.serving]\ndevices = ["00"]',
        "pools.serving.devices: '00' is in pool training already; a device belongs to one pool",
    ),
    "two pools by UUID": (
        POOL + 'devices = ["GPU-1"]\n[pools.serving]\ndevices = ["GPU-1"]',
        "pools.serving.devices: 'GPU-1' is in pool training already; a device belongs to one pool",
    ),
    "default": (
        '[pools.default]\ndevices = ["0"]',
        "pools.default.devices: it has every device that no other pool names; leave it out",
    ),
    "no user": (
        POOL + 'devices = ["0"]\nusers = []',
        "pools.training.users: [] is no list of users; leave it out for all",
    ),
    "one group": (
        POOL + 'devices = ["0"]\ngroups = "students"',
        "pools.training.groups: 'students' is no list of groups; leave it out for all",
    ),
    "unknown user": (
        POOL + 'devices = ["0"]\nusers = ["anne"]',
        "pools.training.users: this host has no user 'anne'; correct the name, or write the uid",
    ),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_a_fault_names_its_key_and_what_to_write(case: str) -> None:
    """Each fault says where it is, what is wrong, and what to do."""
    text, fault = FAULTS[case]
    assert faults_in(text) == (fault,)


def test_all_faults_of_a_quota_are_told_at_once() -> None:
    """An operator mends a quota in one go."""
    assert len(faults_in(QUOTA + 'user = "anne"\ndevices = -1\nmemory = 5\ngpus = 1')) == 4


def test_names_are_those_of_the_host() -> None:
    """Where nothing else is said, users and groups are looked up on this host."""
    assert (HOST.uid("root"), HOST.gid("root")) == (0, 0)
    assert (HOST.uid("no-such-user"), HOST.gid("no-such-group")) == (None, None)
    assert (HOST.uid("a\0b"), HOST.gid("a\0b")) == (None, None)
