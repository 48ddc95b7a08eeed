"""Time in words and words in time: nanoseconds inside, `90s` and `1h30m` at the edges."""

import re

from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND

_UNITS = {
    "ms": SECOND // 1000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
}
LONGEST = 100 * 365 * _UNITS["d"]
"""Nanoseconds: the end of so long a time has a date and fits into 64 bits, whenever it begins."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str, field: str) -> int:
    """Read `500ms`, `90s`, `5m`, `1h30m` or `2d` as nanoseconds.

    Raises:
        InvalidRequest: It is not a positive time with units, of at most 100 years; a bare number
            is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise InvalidRequest(field, f"{text!r} is not a time such as 90s, 5m or 1h30m")
    spans = [float(number) * _UNITS[unit] for number, unit in parts]
    if sum(spans) > LONGEST:
        raise InvalidRequest(field, f"{text!r} is more than 100 years")
    duration = sum(map(int, spans))
    if duration <= 0:
        raise InvalidRequest(field, f"{text!r} is not more than nothing")
    return duration


def as_flag(duration: int) -> str:
    """Give nanoseconds exactly, to the millisecond, as `parse_duration` reads them: `1h30m5s`."""
    left, parts = duration // _UNITS["ms"], ""
    for unit in ("d", "h", "m", "s", "ms"):
        number, left = divmod(left, _UNITS[unit] // _UNITS["ms"])
        parts += f"{number}{unit}" if number else ""
    return parts


def in_words(duration: int) -> str:
    """Give nanoseconds as `45s`, `5m`, `1h30m` or `2d3h`: the two largest units."""
    seconds = duration // SECOND
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [
        f"{n}{unit}" for n, unit in zip((days, hours, minutes, seconds), "dhms", strict=True) if n
    ]
    return "".join(parts[:2]) or "0s"
