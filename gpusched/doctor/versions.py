"""Versions: read out of what programs print, and compared by number, not by letter."""

import re
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, ...]

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)+|\d+")


def version_in(text: str) -> Version | None:
    """Give the first version in *text*, `28.2.2` before a lone `28`; None: there is none."""
    found = _NUMBER.findall(text)
    dotted = [one for one in found if "." in one]
    first = (dotted or found)[:1]
    return tuple(int(part) for part in first[0].split(".")) if first else None


def written(version: Version) -> str:
    """Give a version as it is written."""
    return ".".join(map(str, version))
