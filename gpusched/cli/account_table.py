"""Whose the memory of each device is, in one row for each memory. Pure: messages in, lines out.

Compute instances of one GPU instance share a memory, so they have one row together. A memory of
which leases have all that is used has none: that stands beside the device already.
"""

from collections.abc import Iterator, Sequence

from gpusched.cli.table import GAP, Column, lines_of, printable, width_of
from gpusched.cli.words import mib
from gpusched.client.document import Document

_COLUMNS = (Column("GPU", right=True), Column("GI", right=True), Column("Used", right=True))
_HEADING = "Held by"
_PARTS = ("leases", "strays", "unknown", "infrastructure", "ghost", "unattributed")
_NAMES = {"unknown": "unknown processes", "ghost": "ghost memory"}
_UNREAD = ("HEALTH_LOST", "HEALTH_UNREAD")
_LEAST = 24
"""Columns that the last one has at least, on the narrowest terminal too."""


def account_lines(devices: Sequence[Document], width: int | None) -> list[str]:
    """Lay out the accounts.

    Args:
        devices: Messages `Device`.
        width: Columns of the terminal; None: as wide as it needs.
    """
    told: dict[tuple[str, int | None], tuple[Document, list[str]]] = {}
    for device in devices:
        # What is wrong with it stands beside the device.
        if device.text("health") in _UNREAD:
            continue
        told.setdefault(_memory_of(device), (device, list(_words(device))))
    rows = [(_cells(device), words) for device, words in told.values() if words]
    if not rows:
        return []
    heading, *left = lines_of(_COLUMNS, [cells for cells, _ in rows], None)
    margin = max(width_of(one) for one in (heading, *left)) + len(GAP)
    lines = [heading.ljust(margin) + _HEADING]
    for begun, (_, words) in zip(left, rows, strict=True):
        first, *more = _wrapped(words, None if width is None else max(_LEAST, width - margin))
        lines += [begun.ljust(margin) + first, *(" " * margin + one for one in more)]
    return lines


def _memory_of(device: Document) -> tuple[str, int | None]:
    """Name the memory that a device allocates from."""
    if "mig" not in device:
        return device.text("uuid"), None
    mig = device.part("mig")
    return mig.text("parent_uuid"), mig.number("gpu_instance")


def _cells(device: Document) -> list[str]:
    mig = device.part("mig")
    whole = "mig" not in device
    index = device.optional("index") if whole else mig.number("parent_index")
    return [
        "?" if index is None else str(index),
        "N/A" if whole else str(mig.number("gpu_instance")),
        mib(device.part("memory").measured("used")),
    ]


def _words(device: Document) -> Iterator[str]:
    """Give the parts that are not zero, and name those that are not known with the reason."""
    account = device.part("account")
    sizes = {name: account.measured(name) for name in _PARTS}
    unknown, strays = sizes["unknown"], sizes["strays"]
    if strays is not None and unknown is not None:
        sizes["strays"] = strays - unknown
    known = all(account.part(name).text("unavailable") == "" for name in _PARTS)
    if known and not any(account.measured(name) for name in (*_PARTS[1:], "overlap")):
        return
    sign = ""
    for name in _PARTS:
        if size := sizes[name]:
            yield f"{sign}{_NAMES.get(name, name)} {_size(size)}"
            sign = "+ "
    if overlap := account.measured("overlap"):
        yield f"- {_size(overlap)} counted twice"
    left = device.part("memory").number("difference_bytes")
    if left:
        yield f"(the driver's own figures differ by {_size(abs(left))})"
    yield from _not_known(account, sign)


def _not_known(account: Document, sign: str) -> Iterator[str]:
    reasons = {name: account.part(name).text("unavailable") for name in _PARTS}
    names = [_NAMES.get(name, name) for name, reason in reasons.items() if reason]
    if names:
        reason = next(one for one in reasons.values() if one)
        yield printable(f"{sign}not known: {', '.join(names)}: {reason}")


def _size(size: int) -> str:
    return mib(size) if size >= 1 << 20 else "<1MiB"


def _wrapped(words: Sequence[str], room: int | None) -> list[str]:
    """Fill lines with words; one that is longer than a line is not cut."""
    lines: list[str] = []
    for word in words:
        if lines and (room is None or width_of(lines[-1]) + 1 + width_of(word) <= room):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
