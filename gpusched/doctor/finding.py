"""What the doctor says: a level, what was seen, and what to do about it. Values only."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Level(Enum):
    """How good or bad it is; the value is what is printed."""

    OK = "OK"
    """It works."""
    WARN = "WARN"
    """It works, but less than it could; or nobody could see whether it does."""
    FAIL = "FAIL"
    """It does not work until somebody mends it."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check says, one line each without a full stop.

    Attributes:
        level: How good or bad it is.
        seen: What was seen.
        advice: What to do; empty where nothing is to be done.
    """

    level: Level
    seen: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark with the name of the check that made it."""

    name: str
    level: Level
    seen: str
    advice: str = ""


Remarks: TypeAlias = Iterator[Remark]


def ok(seen: str) -> Remark:
    """Say that something works."""
    return Remark(Level.OK, seen)


def warn(seen: str, advice: str) -> Remark:
    """Say that something could be better, or could not be seen."""
    return Remark(Level.WARN, seen, advice)


def fail(seen: str, advice: str) -> Remark:
    """Say that something does not work."""
    return Remark(Level.FAIL, seen, advice)
