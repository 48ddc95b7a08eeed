"""What being a stray leads to, beside the row of the process table."""

from gpusched.api.v1 import process_pb2
from gpusched.core.ids import Moment, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.stray_story import consequence
from gpusched.rpc.convert_reading import deadline_of, time_of


def foretold(
    rows: list[process_pb2.Process], ledger: Ledger, now: Moment
) -> list[process_pb2.Process]:
    """Add to the rows of strays since when they are there, and what that leads to."""
    for row in rows:
        identity = ProcessId(row.process.pid, row.process.start_ticks)
        stray = ledger.strays.get(identity)
        if stray is None or row.kind != process_pb2.PROCESS_KIND_STRAY:
            continue
        row.stray_since.CopyFrom(time_of(stray.since.wall))
        row.stray_consequence = consequence(stray, ledger.policy.strays, now.instant)
        due = deadline_of(stray.deadline, now)
        if due is not None:
            row.signal_at.CopyFrom(due)
    return rows
