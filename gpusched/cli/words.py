"""Bytes, times and enum names of the API in the words of the screen.

Kept apart from `core.sizes` and `core.durations` because of the cold start: those bring
dataclasses, which cost as much as a whole `gpusched status`.
"""

import time

from gpusched.client.document import Document

_MIB = 1 << 20
_GIB = 1 << 30
NONE = "-"
"""Stands where there is nothing to say."""


def mib(size: int | None) -> str:
    """Give bytes as nvidia-smi prints them, whole MiB rounded down; None is `N/A`."""
    return "N/A" if size is None else f"{size // _MIB}MiB"


def gib(size: int) -> str:
    """Give bytes in GiB with at most one decimal, `15.5 GiB`."""
    return f"{size / _GIB:.1f}".removesuffix(".0") + " GiB"


def size_of(size: int) -> str:
    """Give bytes as `3.9 GiB` or `642 MiB`."""
    return gib(size) if size >= _GIB else f"{size // _MIB} MiB"


def of_size(part: int, whole: int) -> str:
    """Give a part of bytes and the whole as `3.9 of 12 GiB`, `642 MiB of 12 GiB`."""
    said, unit = size_of(part).split()
    other = size_of(whole)
    return f"{said} of {other}" if other.endswith(unit) else f"{said} {unit} of {other}"


def name_of(value: str, prefix: str) -> str:
    """Give an enum value as words: `LEASE_STATE_ACTIVE` is `active`."""
    return value.removeprefix(f"{prefix}_").replace("_", " ").lower()


def instant(text: str) -> float | None:
    """Give a timestamp of the API in Unix seconds; None where there is none."""
    if not text:
        return None
    from datetime import datetime  # noqa: PLC0415 - cold start: most screens need no instant

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def now() -> float:
    """Give the wall time in Unix seconds, for ages on the screen."""
    return time.time_ns() / 1e9


def clock(text: str) -> str:
    """Give a timestamp as local date and time."""
    seconds = instant(text)
    return NONE if seconds is None else time.strftime("%F %T", time.localtime(seconds))


def seconds_of(text: str) -> float | None:
    """Give a duration of the API, such as `0.4s`, in seconds; None where there is none."""
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return None


def span(seconds: float) -> str:
    """Give a time in its two largest units: `45s`, `5m`, `1h30m`, `2d3h`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join([f"{number}{unit}" for number, unit in parts if number][:2]) or "0s"


def device_name(device: Document) -> str:
    """Give a device in short: its index, and for a MIG instance or a lost device its UUID."""
    uuid = device.text("uuid")
    index = device.optional("index")
    return uuid if index is None or uuid.startswith("MIG-") else str(index)


def user_of(holder: Document) -> str:
    """Give the name of a holder; its uid where it has none, a dash where it is not told."""
    uid = str(holder.number("uid")) if "uid" in holder else NONE
    return holder.text("user") or uid
