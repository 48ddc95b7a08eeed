"""Reads `[priorities.NAME]`: the classes of requests, beside those that are there anyway."""

from collections.abc import Mapping
from types import MappingProxyType

from gpusched.config.named import faults_of
from gpusched.config.principals import Names
from gpusched.config.rights import NAMES, rights_of
from gpusched.core.priority import CLASSES, PriorityClass

_KEYS = ("value", "preemptible", *NAMES)
_MOST = 1_000_000


def priorities_of(found: object, names: Names) -> tuple[Mapping[str, PriorityClass], list[str]]:
    """Read all classes; give them with those that are there anyway, and every fault of theirs.

    Args:
        found: What TOML has under `priorities`.
        names: Where users and groups are looked up.
    """
    if not isinstance(found, dict):
        return CLASSES, ["priorities: is a table of tables, each begun by [priorities.NAME]"]
    classes, faults = dict(CLASSES), list[str]()
    for name, table in found.items():
        place = f"priorities.{name}"
        faults += faults_of(place, "a class", table, _KEYS)
        if isinstance(table, dict):
            classes[name] = _class(place, table, names, faults)
    return MappingProxyType(classes), faults


def _class(
    place: str, table: Mapping[str, object], names: Names, faults: list[str]
) -> PriorityClass:
    value = table.get("value", 0)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST:
        faults.append(f"{place}.value: {value!r} is no whole number of at most {_MOST}")
        value = 0
    preemptible = table.get("preemptible", False)
    if not isinstance(preemptible, bool):
        faults.append(f"{place}.preemptible: {preemptible!r} is neither true nor false")
    rights, wrong = rights_of(place, table, names)
    faults += wrong
    return PriorityClass(value, preemptible is True, rights)
