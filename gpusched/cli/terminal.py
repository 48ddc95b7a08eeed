"""How wide the terminal is. What is laid out for it is decided elsewhere."""

import os
import sys

_USUAL = 80


def columns() -> int:
    """Give the terminal's width; COLUMNS overrides it, and 80 is taken where there is none."""
    text = os.environ.get("COLUMNS", "")
    if text.isdigit() and int(text) > 0:
        return int(text)
    try:
        return os.get_terminal_size(1).columns or _USUAL
    except OSError:
        return _USUAL


def terminal_width() -> int | None:
    """Give the width to lay out for; None where the output is no terminal."""
    return columns() if sys.stdout.isatty() else None
