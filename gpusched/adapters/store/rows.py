"""The durable form of leases and story lines: explicit, numbered, and checked when read back.

What is written here outlives this program. WARNING: a change of the form needs a new `FORMAT`, a
migration in `schema` and a new golden row in the tests. No SQL stands here, no reflection either:
a field that is added to `Lease` is durable only once it is named twice below.
"""

from typing import TypeAlias

from gpusched.adapters.store.fields import Fields, UnreadableRow, parsed
from gpusched.adapters.store.parts import (
    compact,
    idle_of,
    idle_row,
    moment_of,
    moment_row,
    process_of,
    process_row,
    violation_of,
    violation_row,
    way_of,
    way_row,
)
from gpusched.adapters.store.request_rows import request_of, request_row
from gpusched.core.changes import NO_DATA, StoryKind, StoryLine
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.share import Share

FORMAT = 4
"""Number of the form of a lease's row."""

LeaseColumns: TypeAlias = tuple[str, str, int, int, int | None, str]
"""Values of `lease`: id, state, uid, created, ended (both Unix time in nanoseconds), row."""

StoryColumns: TypeAlias = tuple[int, int, str, str, str, str]
"""Values of `story`: sequence, wall (Unix time in nanoseconds), kind, entity, sentence, data."""


def lease_columns(lease: Lease) -> LeaseColumns:
    """Give the column values of `lease` for one version of a lease."""
    ended = lease.ended
    return (
        lease.id,
        lease.state.value,
        lease.uid,
        lease.created.wall,
        None if ended is None else ended.wall,
        compact(lease_row(lease)),
    )


def story_columns(line: StoryLine) -> StoryColumns:
    """Give the column values of `story` for one line.

    A sentence may quote what other people named (a process): bytes that are not UTF-8 are escaped
    for good, because SQLite would refuse them and a commit must not fail over a name.
    """
    sentence = line.sentence.encode("utf-8", "backslashreplace").decode()
    data = "{}" if not line.data else compact(dict(line.data))
    return (line.sequence, line.wall, line.kind.value, line.entity, sentence, data)


def lease_row(lease: Lease) -> dict[str, object]:
    """Give the durable form of a lease, ready for JSON. Every field is always there."""
    reason = lease.reason
    clocks = lease.clocks
    return {
        "format": FORMAT,
        "id": lease.id,
        "state": lease.state.value,
        "request": request_row(lease.request),
        "uid": lease.uid,
        "gid": lease.gid,
        "user": lease.user,
        "shares": [_share_row(share) for share in lease.shares],
        "created": moment_row(lease.created),
        "processes": [process_row(process) for process in lease.processes],
        "cgroup": None if lease.cgroup is None else _cgroup_row(lease.cgroup),
        "origin": lease.origin,
        "clocks": {
            "attach": clocks.attach,
            "keepalive": clocks.keepalive,
            "time_limit": clocks.time_limit,
            "kill": clocks.kill,
            "settle": clocks.settle,
        },
        "level": lease.level.value,
        "level_reason": lease.level_reason,
        "entered": None if lease.entered is None else moment_row(lease.entered),
        "ending": None if lease.ending is None else moment_row(lease.ending),
        "ended": None if lease.ended is None else moment_row(lease.ended),
        "reason": None if reason is None else reason.value,
        "detail": lease.detail,
        "peak": lease.peak,
        "violations": [violation_row(one) for one in lease.violations],
        "adopted": lease.adopted,
        "groups": lease.groups,
        "idle": None if lease.idle is None else idle_row(lease.idle),
        "giving_way": None if lease.giving_way is None else way_row(lease.giving_way),
        "priority": lease.priority,
    }


def _share_row(share: Share) -> dict[str, object]:
    return {
        "device": share.device,
        "domain": share.domain,
        "memory": share.memory,
        "baseline": share.baseline,
        "peak": share.peak,
        "total": share.total,
        "pool": share.pool,
        "alone": share.alone,
    }


def _cgroup_row(cgroup: LeaseCgroup) -> dict[str, object]:
    return {"path": cgroup.path, "inode": cgroup.inode, "made": cgroup.made}


def decode_lease(text: str) -> Lease:
    """Read a lease back from the `row` column.

    Raises:
        UnreadableRow: Not JSON, another format, a field missing or of the wrong kind, a word that
            no enum has, or a request that breaks its own rules.
    """
    row = Fields(parsed(text))
    found = row.number("format")
    if found != FORMAT:
        raise UnreadableRow(f"format {found} instead of {FORMAT}")
    try:
        return _lease(row)
    except InvalidRequest as error:
        raise UnreadableRow(f"request.{error}") from error


def decode_story(columns: StoryColumns) -> StoryLine:
    """Read a story line back from its columns.

    Raises:
        UnreadableRow: A kind that does not exist, or data that is no object of strings.
    """
    sequence, wall, kind, entity, sentence, data = columns
    fields = Fields({"kind": kind, "data": parsed(data)})
    return StoryLine(
        wall=wall,
        kind=fields.word("kind", StoryKind),
        entity=entity,
        sentence=sentence,
        data=fields.texts_by_key("data") or NO_DATA,
        sequence=sequence,
    )


def _lease(row: Fields) -> Lease:
    return Lease(
        id=LeaseId(row.text("id")),
        state=row.word("state", LeaseState),
        request=request_of(row.fields("request")),
        uid=row.number("uid"),
        gid=row.number("gid"),
        user=row.text("user"),
        shares=tuple(_share(share) for share in row.rows("shares")),
        created=moment_of(row.fields("created")),
        processes=tuple(process_of(process) for process in row.rows("processes")),
        cgroup=row.maybe("cgroup", lambda key: _cgroup(row.fields(key))),
        origin=row.text("origin"),
        clocks=_clocks(row.fields("clocks")),
        level=row.word("level", Level),
        level_reason=row.text("level_reason"),
        entered=row.maybe("entered", lambda key: moment_of(row.fields(key))),
        ending=row.maybe("ending", lambda key: moment_of(row.fields(key))),
        ended=row.maybe("ended", lambda key: moment_of(row.fields(key))),
        reason=row.maybe("reason", lambda key: row.word(key, EndReason)),
        detail=row.text("detail"),
        peak=row.maybe("peak", row.number),
        violations=tuple(violation_of(one) for one in row.rows("violations")),
        adopted=row.flag("adopted"),
        groups=row.numbers("groups"),
        idle=row.maybe("idle", lambda key: idle_of(row.fields(key))),
        giving_way=row.maybe("giving_way", lambda key: way_of(row.fields(key))),
        priority=row.maybe("priority", row.text),
    )


def _share(row: Fields) -> Share:
    return Share(
        device=DeviceUuid(row.text("device")),
        domain=row.text("domain"),
        memory=row.maybe("memory", row.number),
        baseline=row.maybe("baseline", row.number),
        peak=row.maybe("peak", row.number),
        total=row.maybe("total", row.number),
        pool=row.text("pool"),
        alone=row.flag("alone"),
    )


def _cgroup(row: Fields) -> LeaseCgroup:
    return LeaseCgroup(path=row.text("path"), inode=row.number("inode"), made=row.flag("made"))


def _clocks(row: Fields) -> Clocks:
    return Clocks(
        attach=row.maybe("attach", row.instant),
        keepalive=row.maybe("keepalive", row.instant),
        time_limit=row.maybe("time_limit", row.instant),
        kill=row.maybe("kill", row.instant),
        settle=row.maybe("settle", row.instant),
    )
