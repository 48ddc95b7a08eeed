"""What an option of the configuration file is, and the forms that its value can have.

A reader turns what TOML gives into ours, or raises TypeError or ValueError with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpusched.core.durations import parse_duration
from gpusched.core.errors import InvalidRequest
from gpusched.core.marks import TaintEffect
from gpusched.core.quota import Exempt
from gpusched.core.sight import Sight, sight_of
from gpusched.core.sizes import parse_size
from gpusched.core.stray import StrayPolicy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One key of the file.

    Attributes:
        key: `table.name`.
        default: As the file would have it; None: unset.
        read: Turns the file's value into ours; raises ValueError with the reason.
        meaning: One sentence for the documentation.
    """

    key: str
    default: object
    read: Callable[[object], T]
    meaning: str


def duration(value: object) -> int:
    """Read a time."""
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a time in quotes, such as "90s" or "5m"')
    try:
        return parse_duration(value, "")
    except InvalidRequest as error:
        raise ValueError(error.why) from None


def no_duration(value: object) -> int | None:
    """Read a time; unset is none."""
    return None if value is None else duration(value)


def retention(value: object) -> int | None:
    """Read a time after which something goes, or `never`."""
    return None if value == "never" else duration(value)


def size(value: object) -> int:
    """Read a size, or 0."""
    if value == "0":
        return 0
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a size in quotes, such as "512MiB"')
    try:
        return parse_size(value, "")
    except InvalidRequest as error:
        raise ValueError(error.why) from None


def count(value: object) -> int:
    """Read a number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of 1 or more")
    return value


def word(value: object) -> str:
    """Read a word."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a word in quotes")
    return value


def words(value: object) -> tuple[str, ...]:
    """Read a list of words."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{value!r} is not a list of words in quotes")
    return tuple(value)


def numbers(value: object) -> tuple[int, ...]:
    """Read a list of whole numbers."""
    wrong = TypeError(f"{value!r} is not a list of whole numbers")
    if not isinstance(value, list | tuple):
        raise wrong
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        raise wrong
    return tuple(value)


def effect(value: object) -> TaintEffect:
    """Read what a taint does."""
    return TaintEffect(one_of(*(one.value for one in TaintEffect))(value))


def stray_policy(value: object) -> StrayPolicy:
    """Read what is done about strays.

    Raises:
        ValueError: It is no policy.
    """
    return StrayPolicy(one_of(*(one.value for one in StrayPolicy))(value))


def exempt(value: object) -> Exempt:
    """Read whom no quota bounds."""
    return Exempt(one_of(*(one.value for one in Exempt))(value))


def sight(value: object) -> Sight:
    """Read what a user may see of others."""
    return sight_of(words(value))


def one_of(*allowed: str) -> Callable[[object], str]:
    """Give what reads one of these words."""

    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return read
