"""Lays out tables: columns as wide as they must be, one that may give way, nothing else cut.

Pure text in, text out. Widths are those of a terminal: a wide character takes two columns, and a
character that would move the cursor is shown as `?` (a process chooses its own name).
"""

from collections.abc import Sequence

GAP = "   "
"""Between two columns."""

_DOTS = "..."
_LEAST = 12


class Column:
    """One column.

    Attributes:
        title: Its heading.
        right: Whether its cells stand at the right.
        gives_way: Whether its cells may lose their beginning where the terminal is narrow.
        optional: Whether it is left out where the terminal is too narrow, or all cells are empty.
    """

    __slots__ = ("gives_way", "optional", "right", "title")

    def __init__(
        self, title: str, *, right: bool = False, gives_way: bool = False, optional: bool = False
    ) -> None:
        self.title = title
        self.right = right
        self.gives_way = gives_way
        self.optional = optional


def lines_of(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """Lay out a table.

    Args:
        columns: What the columns are.
        rows: The cells, as many as there are columns.
        width: Columns of the terminal; None: as wide as it needs.

    Returns:
        The heading and a line for each row, no spaces at the end.
    """
    clean = [[column.title for column in columns]]
    clean += [[printable(cell) for cell in row] for row in rows]
    widths = [max(width_of(row[at]) for row in clean) for at in range(len(columns))]
    kept = _kept(columns, clean, widths, width)
    columns, widths = [columns[at] for at in kept], [widths[at] for at in kept]
    _give_way(columns, widths, width)
    return [_line(columns, widths, [row[at] for at in kept]) for row in clean]


def _kept(
    columns: Sequence[Column], clean: Sequence[Sequence[str]], widths: list[int], width: int | None
) -> list[int]:
    """Say which columns are shown: the last optional one goes first."""
    kept = [
        at
        for at, column in enumerate(columns)
        if not column.optional or any(row[at] for row in clean[1:])
    ]
    for at in reversed(kept.copy()):
        total = sum(widths[one] for one in kept) + len(GAP) * (len(kept) - 1)
        if width is not None and total > width and columns[at].optional:
            kept.remove(at)
    return kept


def width_of(text: str) -> int:
    """Count the columns that *text* takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - cold start: seldom needed

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def tail_of(text: str, width: int) -> str:
    """Give *text* in at most *width* columns; its end survives, as in nvidia-smi."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - len(_DOTS):
        text = text[1:]
    return _DOTS + text


def _give_way(columns: Sequence[Column], widths: list[int], width: int | None) -> None:
    if width is None:
        return
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    for at, column in enumerate(columns):
        if column.gives_way and excess > 0:
            smaller = max(widths[at] - excess, min(widths[at], _LEAST))
            excess -= widths[at] - smaller
            widths[at] = smaller


def _line(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str]) -> str:
    cells: list[str] = []
    for column, width, cell in zip(columns, widths, row, strict=True):
        text = tail_of(cell, width) if column.gives_way else cell
        space = " " * (width - width_of(text))
        cells.append(space + text if column.right else text + space)
    return GAP.join(cells).rstrip()


def printable(text: str) -> str:
    """Give *text* without what would move the cursor: names and reasons are other people's."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "?" for one in text)
