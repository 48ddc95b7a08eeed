"""Tables of requests that wait. Pure: messages and the time in, lines out."""

from collections.abc import Iterator, Sequence

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import NONE, instant, span, user_of
from gpusched.client.document import Document

_COLUMNS = (
    Column("Place", right=True),
    Column("Request"),
    Column("User"),
    Column("Class"),
    Column("Wants", optional=True),
    Column("Waited", right=True),
    Column("Leaves", optional=True),
    Column("Waits for", optional=True),
)
_LOUD = tuple(
    Column(one.title.upper(), right=one.right, optional=one.optional) for one in _COLUMNS
)


def waiting_lines(
    waiting: Sequence[Document], at: float, width: int | None, *, loud: bool = True
) -> list[str]:
    """Lay out requests that wait, in the order of service.

    Args:
        waiting: Messages `WaitingRequest`.
        at: Unix seconds.
        width: Columns of the terminal; None: as wide as it needs.
        loud: Whether the headings are capitals.
    """
    return lines_of(_LOUD if loud else _COLUMNS, [[*_row(one, at)] for one in waiting], width)


def _row(waiting: Document, at: float) -> Iterator[str]:
    since = instant(waiting.text("enqueued_at"))
    yield str(waiting.number("position"))
    yield waiting.part("request").text("request_id")
    yield user_of(waiting)
    yield waiting.text("priority") or NONE
    yield waiting.text("wanted")
    yield NONE if since is None else span(at - since)
    yield _leaves(waiting, at)
    yield waiting.text("waits_for")


def _leaves(waiting: Document, at: float) -> str:
    """Say when it gives up; empty where it does not."""
    ends = [
        (deadline, words)
        for name, words in (("wait_deadline", ""), ("abandoned_deadline", " (its client is gone)"))
        if (deadline := instant(waiting.text(name))) is not None
    ]
    if not ends:
        return ""
    deadline, words = min(ends)
    return f"in {span(deadline - at)}{words}"
