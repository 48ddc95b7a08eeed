"""A JSON object read with suspicion: each field has the kind it must have, or the row is refused.

Knows JSON and nothing of leases.
"""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from gpusched.core.ids import Instant

E = TypeVar("E", bound=Enum)
T = TypeVar("T")


class UnreadableRow(Exception):
    """A row that this gpusched cannot have written, or cannot understand.

    Its text says why, without naming the row.
    """


def parsed(text: str) -> object:
    """Read JSON.

    Raises:
        UnreadableRow: It is none.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreadableRow(f"not JSON: {error}") from error
    return value


class Fields:
    """The fields of a JSON object, taken out one by one with the kind each must have.

    Every method raises `UnreadableRow` where the field is missing or of another kind.
    """

    def __init__(self, value: object, name: str = "the row") -> None:
        self._values: dict[str, object] = _expect(value, dict, name)

    def number(self, key: str) -> int:
        """Take an integer."""
        value = self._take(key)
        if type(value) is not int:  # isinstance would take True for 1
            raise UnreadableRow(f"{key} is {value!r} instead of a number")
        return value

    def fraction(self, key: str) -> float:
        """Take a number with a fraction."""
        return _expect(self._take(key), float, key)

    def instant(self, key: str) -> Instant:
        """Take an instant."""
        return Instant(self.number(key))

    def flag(self, key: str) -> bool:
        """Take true or false."""
        return _expect(self._take(key), bool, key)

    def text(self, key: str) -> str:
        """Take a string."""
        return _expect(self._take(key), str, key)

    def word(self, key: str, kind: type[E]) -> E:
        """Take the member of *kind* that has this value."""
        value = self.text(key)
        try:
            return kind(value)
        except ValueError:
            raise UnreadableRow(f"unknown {key} {value!r}") from None

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of strings."""
        values: list[object] = _expect(self._take(key), list, key)
        return tuple(_expect(value, str, key) for value in values)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Take a list of integers."""
        values: list[object] = _expect(self._take(key), list, key)
        if any(type(value) is not int for value in values):  # isinstance would take True for 1
            raise UnreadableRow(f"{key} is {values!r} instead of numbers")
        return tuple(_expect(value, int, key) for value in values)

    def texts_by_key(self, key: str) -> Mapping[str, str]:
        """Take an object of strings."""
        values: dict[str, object] = _expect(self._take(key), dict, key)
        return MappingProxyType({name: _expect(text, str, key) for name, text in values.items()})

    def fields(self, key: str) -> "Fields":
        """Take an object."""
        return Fields(self._take(key), key)

    def rows(self, key: str) -> "tuple[Fields, ...]":
        """Take a list of objects."""
        values: list[object] = _expect(self._take(key), list, key)
        return tuple(Fields(value, key) for value in values)

    def maybe(self, key: str, read: Callable[[str], T]) -> T | None:
        """Take null, or what *read* makes of the field."""
        return None if self._take(key) is None else read(key)

    def _take(self, key: str) -> object:
        try:
            return self._values[key]
        except KeyError:
            raise UnreadableRow(f"{key} is missing") from None


def _expect(value: object, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise UnreadableRow(f"{name} is {value!r} instead of a {kind.__name__}")
    return value
