"""What is wrong with a table `[kind.NAME]`, whatever it is about: its name, its keys, its form."""

import re
from collections.abc import Collection, Iterator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def faults_of(place: str, what: str, table: object, keys: Collection[str]) -> Iterator[str]:
    """Give the faults of a table.

    Args:
        place: Such as `pools.training`.
        what: What has such a name, for a person.
        table: What TOML has there.
        keys: Those that it may have.
    """
    if not _NAME.fullmatch(place.partition(".")[2]):
        yield f"{place}: {what} is named by up to 64 letters, digits and . _ -"
    if not isinstance(table, dict):
        yield f"{place}: is a table, [{place}], not a value"
        return
    for key in sorted(table.keys() - set(keys)):
        yield f"{place}.{key}: no such option; known: {', '.join(keys)}"
