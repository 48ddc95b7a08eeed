"""Reads `users` and `groups` of a table: who may use what it is about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpusched.config.principals import Names, gid_of, in_words, uid_of
from gpusched.core.rights import Rights


@dataclass(frozen=True, slots=True)
class _Kind:
    """A key, what a name under it is one of, what a number is called, and how each is read."""

    key: str
    word: str
    number: str
    read: Callable[[object, Names], int]


_USERS = _Kind("users", "user", "uid", uid_of)
_GROUPS = _Kind("groups", "group", "gid", gid_of)

NAMES = (_USERS.key, _GROUPS.key)
"""The keys that say who."""


def rights_of(place: str, table: Mapping[str, object], names: Names) -> tuple[Rights, list[str]]:
    """Read who may use something; give that, and every fault of it.

    Args:
        place: Name of the table, for the faults.
        table: What TOML has there.
        names: Where users and groups are looked up.
    """
    reader = _Reader(place, table, names)
    uids, gids = reader.who(_USERS), reader.who(_GROUPS)
    return Rights(uids, gids, ", ".join(reader.words)), reader.faults


class _Reader:
    """Takes users and groups out of a table and collects what is wrong."""

    def __init__(self, place: str, table: Mapping[str, object], names: Names) -> None:
        self.faults: list[str] = []
        self.words: list[str] = []
        self._place = place
        self._table = table
        self._names = names

    def who(self, kind: _Kind) -> frozenset[int]:
        """Give the numbers of those who are named under a key."""
        said, place = self._table.get(kind.key), f"{self._place}.{kind.key}"
        if said is None:
            return frozenset()
        if not isinstance(said, list) or not said:
            fault = f"{place}: {said!r} is no list of {kind.word}s; leave it out for all"
            self.faults.append(fault)
            return frozenset()
        found: set[int] = set()
        for one in said:
            self.words.append(in_words(one, kind.word, kind.number))
            try:
                found.add(kind.read(one, self._names))
            except ValueError as error:
                self.faults.append(f"{place}: {error}")
        return frozenset(found)
