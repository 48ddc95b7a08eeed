"""Bytes in words and words in bytes: the only place where MiB and GiB are known."""

import re

from gpusched.core.errors import InvalidRequest

MIB = 1 << 20
GIB = 1 << 30
LARGEST = 1 << 63
"""More bytes than this have no name on the wire."""

_UNITS = {
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 1 << 10,
    "MIB": MIB,
    "GIB": GIB,
    "TIB": 1 << 40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def parse_size(text: str, field: str = "memory") -> int:
    """Read `4GiB`, `4000MiB` or `4GB` (decimal) as bytes.

    Raises:
        InvalidRequest: It is not a positive size below 2^63 bytes with a unit; a bare number is
            none.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None:
        raise InvalidRequest(field, f"{text!r} is not a size such as 4GiB, 4000MiB or 4GB")
    # Compared before it is made whole: so many digits may be no number that can be.
    if float(found[1]) * unit >= LARGEST:
        raise InvalidRequest(field, f"{text!r} is not less than 2^63 bytes")
    size = int(float(found[1]) * unit)
    if size <= 0:
        raise InvalidRequest(field, f"{text!r} is not more than nothing")
    return size


def in_words(size: int) -> str:
    """Give *size* bytes as `12 GiB`, `8.1 GiB` or `642 MiB`."""
    if size >= GIB:
        return f"{size / GIB:.1f}".removesuffix(".0") + " GiB"
    return f"{size // MIB} MiB"


def of_size(part: int, whole: int) -> str:
    """Give a part of bytes and the whole as `8.1 of 12 GiB` or `642 MiB of 12 GiB`."""
    said, other = in_words(part) if part >= MIB else "0", in_words(whole)
    unit = f" {other.split()[1]}"
    return f"{said.removesuffix(unit)} of {other}"


def rounded_down(size: int) -> int:
    """Give the most whole GiB, or MiB below one: who reads it takes a moment to type it."""
    return size - size % (GIB if size >= GIB else MIB)


def as_flag(size: int) -> str:
    """Give *size* bytes as the command line takes it, rounded down to whole MiB."""
    return f"{size // GIB}GiB" if size % GIB == 0 else f"{size // MIB}MiB"
