"""How requests wait, in the configuration file, and every fault of it."""

import pytest

from gpusched.config.principals import Names
from gpusched.config.read import ConfigFaults, parse
from gpusched.core.ids import SECOND
from gpusched.core.priority import CLASSES, FIRST_COME, PriorityClass
from gpusched.core.rights import Rights

NAMES = Names({"ann": 1000}.get, {"oncall": 100}.get)

TEXT = """
[queue]
default_priority = "batch"
ageing = "90s"
grace = "10s"
preemption = "off"
preemption_notice = "1m"

[priorities.urgent]
value = 20
users = ["ann", 7]
groups = ["oncall"]

[priorities.batch]
value = -5
preemptible = true

[priorities.high]
"""


def test_classes_and_rules() -> None:
    """Every option of the queue is read; a class that is configured replaces that of its name."""
    found = parse(TEXT, NAMES).policy.queue
    assert (found.default, found.ageing, found.grace) == ("batch", 90 * SECOND, 10 * SECOND)
    assert (found.preemption, found.notice) == (False, 60 * SECOND)
    rights = Rights(frozenset({1000, 7}), frozenset({100}), "user ann, uid 7, group oncall")
    assert found.classes == {
        "high": PriorityClass(),
        "normal": CLASSES["normal"],
        "low": CLASSES["low"],
        "urgent": PriorityClass(20, rights=rights),
        "batch": PriorityClass(-5, preemptible=True),
    }


def test_without_a_word() -> None:
    """Nothing has to be said: there are three classes, the middle one for who names none."""
    found = parse("").policy.queue
    assert found == FIRST_COME
    assert list(found.classes) == ["high", "normal", "low"]


def test_a_class_in_words() -> None:
    """A reload tells of a class what it is worth, that it gives way, and whose it is."""
    assert str(CLASSES["high"]) == "10, for administrators"
    assert str(CLASSES["low"]) == "-10, preemptible"


FAULTS = {
    "default": (
        '[queue]\ndefault_priority = "batch"',
        "queue.default_priority: there is no class 'batch'; known: high, normal, low",
    ),
    "table": (
        "priorities = 1",
        "priorities: is a table of tables, each begun by [priorities.NAME]",
    ),
    "class": (
        "[priorities]\nbatch = 1",
        "priorities.batch: is a table, [priorities.batch], not a value",
    ),
    "name": (
        '[priorities."a b"]\nvalue = 1',
        "priorities.a b: a class is named by up to 64 letters, digits and . _ -",
    ),
    "key": (
        "[priorities.batch]\nweight = 1",
        "priorities.batch.weight: no such option; known: value, preemptible, users, groups",
    ),
    "value": (
        '[priorities.batch]\nvalue = "5"',
        "priorities.batch.value: '5' is no whole number of at most 1000000",
    ),
    "truth": (
        "[priorities.batch]\nvalue = true",
        "priorities.batch.value: True is no whole number of at most 1000000",
    ),
    "most": (
        "[priorities.batch]\nvalue = -1000001",
        "priorities.batch.value: -1000001 is no whole number of at most 1000000",
    ),
    "preemptible": (
        '[priorities.batch]\npreemptible = "yes"',
        "priorities.batch.preemptible: 'yes' is neither true nor false",
    ),
    "user": (
        '[priorities.batch]\nusers = ["zoe"]',
        "priorities.batch.users: this host has no user 'zoe'; correct the name, or write the uid",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_its_key(case: str) -> None:
    """A wrong value is told with its key, what was found, and what would be right."""
    text, fault = FAULTS[case]
    with pytest.raises(ConfigFaults) as found:
        parse(text, NAMES)
    assert found.value.faults == (fault,)
