"""The rules of nvidia-smi's cells: what is cut and how, roundings, what a missing value is.

Texts are laid out in bytes, as nvidia-smi does it: each character of a laid-out text is one byte
of the output (`as_bytes` and `written`), so a name in UTF-8 shifts its row as there.
"""

from collections.abc import Sequence

from gpusched.cli.smi.survey import NO_PERMISSION, Value

_DOTS = "..."
_MIB = 1 << 20
_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "?")
MISSING = "N/A"
ERROR = "ERR!"


def as_bytes(text: str) -> str:
    """Give *text* with a character for each of its UTF-8 bytes; what moves the cursor is `?`."""
    return text.translate(_CONTROL).encode("utf-8", "replace").decode("latin-1")


def lines_of(text: str) -> list[str]:
    """Give the lines of a text whose characters are right already, as bytes."""
    return text.removesuffix("\n").encode("utf-8", "replace").decode("latin-1").split("\n")


def written(lines: Sequence[str]) -> bytes:
    """Give laid-out lines as they are written."""
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def keep_end(text: str, width: int) -> str:
    """Cut the beginning: of a process name the program survives."""
    return text if len(text) <= width else _DOTS + text[len(text) - width + len(_DOTS) :]


def keep_start(text: str, width: int) -> str:
    """Cut the end: of a card's name the series survives."""
    return text if len(text) <= width else text[: width - len(_DOTS)] + _DOTS


def mib(size: int, *, ceil: bool = False) -> str:
    """Give bytes in whole MiB, rounded down unless *ceil*."""
    return f"{-(-size // _MIB) if ceil else size // _MIB}MiB"


def pid_of(number: int, longest: int) -> str:
    """Give a signed PID as nvidia-smi prints it: cut where it is longer than any real one."""
    text = str(number)
    return text if len(text) <= longest else text[: longest - len(_DOTS)] + _DOTS


def state_of(value: Value) -> str:
    """Give an `Enabled` or `Disabled` as `On` or `Off`."""
    return gap_of(value) if value.missing else {"Enabled": "On", "Disabled": "Off"}[value.text]


def gap_of(value: Value) -> str:
    """Give what stands for a missing value: `N/A` where the card has none, else `ERR!`."""
    return MISSING if value.not_there else ERROR


def shown(value: Value, unit: str = "", scale: int = 1) -> str:
    """Give a value with its unit, or what stands for a missing one."""
    if value.missing:
        return gap_of(value)
    if value.number is None:
        return as_bytes(value.text)
    return f"{value.number // scale}{unit}"


def hidden(value: Value) -> bool:
    """Say whether the caller may not see it, which nvidia-smi shows as `N/A`."""
    return value.missing and value.code == NO_PERMISSION


def fitted(cell: str, width: int) -> str:
    """Give a right-aligned cell its width; one that is too long takes of its leading spaces."""
    excess = len(cell) - width
    return cell[excess:] if excess > 0 and not cell[:excess].strip() else cell.rjust(width)
