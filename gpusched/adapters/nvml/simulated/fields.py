"""Reads the tables of a TOML document and collects everything that is wrong, each with its key.

Knows types and ranges, not what a key means. It never raises for what a user wrote: whoever
parses asks for all fields first and for the faults at the end.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

from gpusched.core.errors import InvalidRequest
from gpusched.core.sizes import parse_size

D = TypeVar("D")


class Fields:
    """One table that is being read."""

    def __init__(self, table: Mapping[str, object], place: str, faults: list[str]) -> None:
        """Read *table*.

        Args:
            table: As `tomllib` gives it.
            place: Its name in messages; empty for the document itself.
            faults: Where to put what is wrong.
        """
        self._table = table
        self._place = place
        self._faults = faults
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def path(self, key: str) -> str:
        """Name *key* in full."""
        return f"{self._place}.{key}" if self._place else key

    def fault(self, key: str, why: str) -> None:
        """Note that *key* is wrong; once, however often the same table is read."""
        self._note(f"{self.path(key)}: {why}")

    def text(self, key: str, default: D) -> str | D:
        """Read a text that is not empty."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, str) and found:
            return found
        self.fault(key, f"{found!r} is not a text")
        return default

    def choice(self, key: str, known: Iterable[str], default: str) -> str:
        """Read one of the words *known*."""
        found = self._take(key)
        words = tuple(known)
        if found is None:
            return default
        if isinstance(found, str) and found in words:
            return found
        self.fault(key, f"{found!r} is none of {', '.join(words)}")
        return default

    def number(self, key: str, default: D, least: int = 0, greatest: int = 2**31) -> int | D:
        """Read a whole number."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and least <= found <= greatest:
            return found
        self.fault(key, f"{found!r} is not a whole number from {least} to {greatest}")
        return default

    def decimal(self, key: str, default: D) -> float | D:
        """Read a number that is not negative."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
            return float(found)
        self.fault(key, f"{found!r} is not a number of 0 or more")
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        found = self._take(key)
        if found is None:
            return default
        if isinstance(found, bool):
            return found
        self.fault(key, f"{found!r} is neither true nor false")
        return default

    def size(self, key: str, default: D) -> int | D:
        """Read a size such as `4GiB`, or 0."""
        found = self._take(key)
        if found is None:
            return default
        if type(found) is int and found == 0:
            return 0
        if isinstance(found, str):
            try:
                return parse_size(found, self.path(key))
            except InvalidRequest as error:
                self._note(str(error))
                return default
        self.fault(key, f'{found!r} is not a size such as "4GiB", nor 0')
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts."""
        found = self._take(key)
        if found is None:
            return ()
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return tuple(found)
        self.fault(key, f"{found!r} is not a list of texts")
        return ()

    def anything(self, key: str) -> object:
        """Give what stands there, None where nothing does; the caller checks it."""
        return self._take(key)

    def table(self, key: str) -> Mapping[str, object]:
        """Read a table of its own."""
        found = self._take(key)
        if found is None:
            return {}
        if isinstance(found, dict):
            return cast("dict[str, object]", found)
        self.fault(key, "is not a table")
        return {}

    def tables(self, key: str) -> "list[Fields]":
        """Read an array of tables (`[[key]]`)."""
        found = self._take(key)
        if found is None:
            return []
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return [
                Fields(one, f"{self.path(key)}[{place}]", self._faults)
                for place, one in enumerate(found)
            ]
        self.fault(key, f"is not an array of tables; write [[{self.path(key)}]]")
        return []

    def within(self, key: str) -> "Fields":
        """Read a table of its own, field by field."""
        return Fields(self.table(key), self.path(key), self._faults)

    def finish(self) -> None:
        """Note the keys that nobody asked for."""
        known = ", ".join(sorted(self._asked))
        for key in self._table:
            if key not in self._asked:
                self.fault(key, f"is not known here; known are {known}")

    def _note(self, fault: str) -> None:
        if fault not in self._faults:
            self._faults.append(fault)

    def _take(self, key: str) -> object:
        self._asked.add(key)
        return self._table.get(key)
