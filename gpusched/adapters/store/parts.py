"""The durable form of what rows of several kinds consist of. See `rows` for the rules."""

import json

from gpusched.adapters.store.fields import Fields
from gpusched.core.giving_way import GivingWay
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import DeviceUuid, Moment, ProcessId, RequestId
from gpusched.core.violation import Violation, ViolationKind

# One encoder for all: `json.dumps` with arguments builds a new one per call, twice the time.
compact = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def moment_row(moment: Moment) -> dict[str, object]:
    """Give the durable form of a moment."""
    return {"instant": moment.instant, "wall": moment.wall}


def process_row(process: ProcessId) -> dict[str, object]:
    """Give the durable form of a process."""
    return {"pid": process.pid, "start_ticks": process.start_ticks}


def violation_row(violation: Violation) -> dict[str, object]:
    """Give the durable form of a violation."""
    process = violation.process
    return {
        "kind": violation.kind.value,
        "device": violation.device,
        "process": None if process is None else process_row(process),
        "since": moment_row(violation.since),
        "memory": violation.memory,
        "deadline": violation.deadline,
        "within": violation.within,
        "dry_run": violation.dry_run,
    }


def idle_row(idle: Idle) -> dict[str, object]:
    """Give the durable form of the idleness of a lease."""
    return {
        "kind": idle.kind.value,
        "since": moment_row(idle.since),
        "unseen": idle.unseen,
        "stopped": idle.stopped,
        "kept": idle.kept,
        "reported": idle.reported,
        "deadline": idle.deadline,
    }


def way_row(way: GivingWay) -> dict[str, object]:
    """Give the durable form of that a lease gives way."""
    uid, request_id = way.key
    return {"uid": uid, "request_id": request_id, "deadline": way.deadline}


def moment_of(row: Fields) -> Moment:
    """Read a moment back."""
    return Moment(instant=row.instant("instant"), wall=row.number("wall"))


def process_of(row: Fields) -> ProcessId:
    """Read a process back."""
    return ProcessId(pid=row.number("pid"), start_ticks=row.number("start_ticks"))


def violation_of(row: Fields) -> Violation:
    """Read a violation back."""
    return Violation(
        kind=row.word("kind", ViolationKind),
        device=DeviceUuid(row.text("device")),
        process=row.maybe("process", lambda key: process_of(row.fields(key))),
        since=moment_of(row.fields("since")),
        memory=row.number("memory"),
        deadline=row.maybe("deadline", row.instant),
        within=row.maybe("within", row.instant),
        dry_run=row.flag("dry_run"),
    )


def idle_of(row: Fields) -> Idle:
    """Read the idleness of a lease back."""
    return Idle(
        kind=row.word("kind", IdleKind),
        since=moment_of(row.fields("since")),
        unseen=row.number("unseen"),
        stopped=row.maybe("stopped", row.instant),
        kept=row.number("kept"),
        reported=row.flag("reported"),
        deadline=row.maybe("deadline", row.instant),
    )


def way_of(row: Fields) -> GivingWay:
    """Read back for whom a lease gives way."""
    key = (row.number("uid"), RequestId(row.text("request_id")))
    return GivingWay(key, row.instant("deadline"))
