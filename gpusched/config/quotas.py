"""Reads `[[quotas]]`: one table for each user, group or label, with what it may have."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gpusched.config.option import duration, size
from gpusched.config.principals import Names, gid_of, in_words, uid_of
from gpusched.core.quota import Bounds, Exempt, Quotas, Resource
from gpusched.core.tally import Subject

EACH = "*"
"""As a user: each one, on his own account."""

_MOST = 1_000_000_000
_WHOSE = ("user", "group", "label")


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError(f"{value!r} is not a whole number from 0 to {_MOST}")
    return value


_BOUNDS: Mapping[str, tuple[Resource, Callable[[object], int]]] = MappingProxyType(
    {
        "devices": (Resource.DEVICES, _number),
        "memory": (Resource.MEMORY, size),
        "leases": (Resource.LEASES, _number),
        "waiting": (Resource.WAITING, _number),
        "time_limit": (Resource.TIME_LIMIT, duration),
    }
)


def quotas_of(found: object, exempt: Exempt, names: Names) -> tuple[Quotas, list[str]]:
    """Read all quotas; give them, and every fault of theirs.

    Args:
        found: What TOML has under `quotas`.
        exempt: Whom they do not bound.
        names: Where users and groups are looked up.
    """
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return Quotas(), ["quotas: is a list of tables, each begun by [[quotas]]"]
    reader = _Reader(names)
    for number, table in enumerate(found, 1):
        reader.read(f"quotas, number {number}", table)
    return Quotas(reader.bounds, reader.each, exempt), reader.faults


class _Reader:
    """Takes quotas out of their tables and collects what is wrong."""

    def __init__(self, names: Names) -> None:
        self.bounds: dict[Subject, Bounds] = {}
        self.each: Bounds | None = None
        self.faults: list[str] = []
        self._names = names

    def read(self, place: str, table: Mapping[str, object]) -> None:
        """Read one table."""
        for key in sorted(table.keys() - {*_WHOSE, *_BOUNDS}):
            there = ", ".join((*_WHOSE, *_BOUNDS))
            self.faults.append(f"{place}: {key}: no such key; there are {there}")
        allowed = self._allowed(place, table)
        whose = [key for key in _WHOSE if key in table]
        if len(whose) != 1:
            self.faults.append(
                f"{place}: says {' and '.join(whose) or 'not whose it is'};"
                f" write one of {', '.join(_WHOSE)}"
            )
            return
        try:
            self._take(whose[0], table[whose[0]], allowed)
        except ValueError as error:
            self.faults.append(f"{place}: {whose[0]}: {error}")

    def _allowed(self, place: str, table: Mapping[str, object]) -> dict[Resource, int]:
        allowed: dict[Resource, int] = {}
        for key, (resource, read) in _BOUNDS.items():
            if key not in table:
                continue
            try:
                allowed[resource] = read(table[key])
            except (TypeError, ValueError) as error:
                self.faults.append(f"{place}: {key}: {error}")
        if not _BOUNDS.keys() & table.keys():
            self.faults.append(f"{place}: bounds nothing; write one of {', '.join(_BOUNDS)}")
        return allowed

    def _take(self, key: str, value: object, allowed: Mapping[Resource, int]) -> None:
        """Put down whose the bounds are.

        Raises:
            ValueError: It is nobody, or he has a quota already.
        """
        again = f"{value!r} has a quota already; write all its bounds into one table"
        if key == "user" and value == EACH:
            if self.each is not None:
                raise ValueError(again)
            self.each = Bounds("each user", allowed)
            return
        subject, name = self._subject(key, value)
        if subject in self.bounds:
            raise ValueError(again)
        self.bounds[subject] = Bounds(name, allowed)

    def _subject(self, key: str, value: object) -> tuple[Subject, str]:
        if key == "user":
            return Subject("uid", uid_of(value, self._names)), in_words(value, "user", "uid")
        if key == "group":
            return Subject("gid", gid_of(value, self._names)), in_words(value, "group", "gid")
        name, equals, word = value.partition("=") if isinstance(value, str) else ("", "", "")
        if not (name and equals):
            raise ValueError(f'{value!r} is not such as "team=vision"')
        return Subject("label", (name, word)), f"label {value}"
