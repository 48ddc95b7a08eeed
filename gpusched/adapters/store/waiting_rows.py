"""The durable form of a request that waits: numbered, and checked when read back.

WARNING: a change of the form needs a new `FORMAT`, a migration in `schema` and a new golden row.
"""

from typing import TypeAlias

from gpusched.adapters.store.fields import Fields, UnreadableRow, parsed
from gpusched.adapters.store.parts import compact, moment_of, moment_row
from gpusched.adapters.store.request_rows import request_of, request_row
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import LeaseId
from gpusched.core.waiting import Waiting

FORMAT = 1
"""Number of the form of such a row."""

WaitingColumns: TypeAlias = tuple[int, str, str]
"""Values of `waiting`: uid, request_id, row."""


def waiting_columns(waiting: Waiting) -> WaitingColumns:
    """Give the column values of `waiting` for one version of a request."""
    return waiting.uid, waiting.request.request_id, compact(waiting_row(waiting))


def waiting_row(waiting: Waiting) -> dict[str, object]:
    """Give the durable form, ready for JSON. Every field is always there."""
    return {
        "format": FORMAT,
        "request": request_row(waiting.request),
        "uid": waiting.uid,
        "gid": waiting.gid,
        "user": waiting.user,
        "admin": waiting.admin,
        "lease_id": waiting.lease_id,
        "arrived": moment_row(waiting.arrived),
        "number": waiting.number,
        "rank": waiting.rank,
        "priority": waiting.priority,
        "deadline": waiting.deadline,
        "abandoned": waiting.abandoned,
        "groups": waiting.groups,
    }


def decode_waiting(text: str) -> Waiting:
    """Read a request that waits back from the `row` column.

    Raises:
        UnreadableRow: Not JSON, another format, a field missing or of the wrong kind, or a request
            that breaks its own rules.
    """
    row = Fields(parsed(text))
    found = row.number("format")
    if found != FORMAT:
        raise UnreadableRow(f"format {found} instead of {FORMAT}")
    try:
        request = request_of(row.fields("request"))
    except InvalidRequest as error:
        raise UnreadableRow(f"request.{error}") from error
    return Waiting(
        request=request,
        uid=row.number("uid"),
        gid=row.number("gid"),
        user=row.text("user"),
        admin=row.flag("admin"),
        lease_id=LeaseId(row.text("lease_id")),
        arrived=moment_of(row.fields("arrived")),
        number=row.number("number"),
        rank=row.number("rank"),
        priority=row.text("priority"),
        deadline=row.maybe("deadline", row.instant),
        abandoned=row.maybe("abandoned", row.instant),
        groups=row.numbers("groups"),
    )
