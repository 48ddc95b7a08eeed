"""The durable form of leases and story lines."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given

from gpusched.adapters.store.device_rows import decode_ghost, decode_marks, ghost_row, marks_row
from gpusched.adapters.store.fields import UnreadableRow
from gpusched.adapters.store.rows import (
    decode_lease,
    decode_story,
    lease_columns,
    lease_row,
    story_columns,
)
from gpusched.core.changes import StoryKind, StoryLine
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.ghost import Ghost
from gpusched.core.giving_way import GivingWay
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import Instant, LeaseId, Moment, ProcessId, RequestId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.marks import Marks
from gpusched.core.request import Request
from gpusched.core.share import Share
from gpusched.core.violation import Violation, ViolationKind
from tests.examples import examples
from tests.fakes.full_request import FULL_REQUEST, GPU
from tests.fakes.strategies import ghosts, leases, marks, story_lines

GOLDEN = Path(__file__).with_name("lease_row.golden.json")
FULL_LEASE = Lease(
    id=LeaseId("lease-0123456789"),
    state=LeaseState.ENDED,
    request=FULL_REQUEST,
    uid=1000,
    gid=100,
    user="ann",
    shares=(
        Share(GPU, GPU, 4 << 30, baseline=5, peak=6, total=8, pool="training", alone=True),
        Share(GPU, GPU, None),
    ),
    created=Moment(Instant(20), 21),
    processes=(ProcessId(30, 31),),
    cgroup=LeaseCgroup("/gpusched/lease-0123456789", 80, made=True),
    origin="/user.slice/user-1000.slice/session-1.scope",
    clocks=Clocks(Instant(40), Instant(41), Instant(42), Instant(43), Instant(44)),
    level=Level.DEVICE_PROGRAM,
    level_reason="the kernel holds its mask again",
    entered=Moment(Instant(50), 51),
    ending=Moment(Instant(60), 61),
    ended=Moment(Instant(70), 71),
    reason=EndReason.RELEASED,
    detail="not needed",
    peak=7,
    violations=(
        Violation(
            ViolationKind.OUTSIDE_MASK,
            GPU,
            ProcessId(90, 91),
            Moment(Instant(92), 93),
            94,
            Instant(95),
            Instant(96),
            dry_run=True,
        ),
    ),
    adopted=True,
    groups=(4, 27),
    idle=Idle(
        IdleKind.NO_UTILIZATION,
        Moment(Instant(100), 101),
        unseen=102,
        stopped=Instant(103),
        kept=104,
        reported=True,
        deadline=Instant(105),
    ),
    giving_way=GivingWay((1001, RequestId("urgent")), Instant(106)),
    priority="high",
)


def row_with(change: Callable[[dict[str, object]], object]) -> str:
    row: dict[str, object] = json.loads(lease_columns(FULL_LEASE)[-1])
    change(row)
    return json.dumps(row)


def request_with(**values: object) -> str:
    def change(row: dict[str, object]) -> None:
        request = row["request"]
        assert isinstance(request, dict)
        request.update(values)

    return row_with(change)


@examples(60)
@given(leases())
def test_lease_survives(lease: Lease) -> None:
    """Every lease comes back as it was written."""
    assert decode_lease(lease_columns(lease)[-1]) == lease


@examples(60)
@given(ghosts)
def test_ghost_survives(ghost: Ghost) -> None:
    """All that is known of ghost memory comes back as it was written."""
    text = ghost_row(ghost)
    assert decode_ghost(text) == ghost
    assert json.loads(text).keys() == {field.name for field in fields(Ghost)}


@examples(60)
@given(story_lines)
def test_story_line_survives(line: StoryLine) -> None:
    """Every story line comes back as it was written."""
    assert decode_story(story_columns(line)) == line


@examples(60)
@given(marks)
def test_marks_survive(found: Marks) -> None:
    """Cordon and taints of a device come back as they were written."""
    assert decode_marks(marks_row(found)) == found


def test_form_is_the_golden_one() -> None:
    """The durable form changes only on purpose: with a new format number and a migration."""
    golden: dict[str, object] = json.loads(GOLDEN.read_text())
    assert json.loads(json.dumps(lease_row(FULL_LEASE))) == golden


def test_golden_row_is_readable() -> None:
    """What a gpusched of this format wrote is read."""
    assert decode_lease(GOLDEN.read_text()) == FULL_LEASE


def test_every_field_is_durable() -> None:
    """No field of a lease, or of what it consists of, is left out of the row."""
    row = json.loads(json.dumps(lease_row(FULL_LEASE)))
    assert row.keys() == {"format"} | {field.name for field in fields(Lease)}
    parts = [(row["request"], Request), (row["clocks"], Clocks), (row["cgroup"], LeaseCgroup)]
    parts += [(one, Violation) for one in row["violations"]]
    parts += [(row["idle"], Idle)]
    for part, kind in [*parts, *((one, Share) for one in row["shares"])]:
        assert part.keys() == {field.name for field in fields(kind)}


def test_columns_repeat_what_queries_need() -> None:
    """Id, state, user and wall times of a lease can be queried without reading its JSON."""
    columns = lease_columns(FULL_LEASE)
    assert columns[:-1] == ("lease-0123456789", "ended", 1000, 21, 71)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the row is"),
        ("{}", "format is missing"),
        (row_with(lambda row: row.update(format=1)), "format 1 instead of 4"),
        (row_with(lambda row: row.update(format=5)), "format 5 instead of 4"),
        (row_with(lambda row: row.update(state="asleep")), "unknown state 'asleep'"),
        (row_with(lambda row: row.update(reason="boredom")), "unknown reason 'boredom'"),
        (row_with(lambda row: row.update(uid="0")), "uid is '0' instead of a number"),
        (row_with(lambda row: row.update(uid=True)), "uid is True instead of a number"),
        (row_with(lambda row: row.update(uid=1.0)), "uid is 1.0 instead of a number"),
        (row_with(lambda row: row.update(groups=5)), "groups is 5 instead of a list"),
        (row_with(lambda row: row.update(groups=[True])), "groups is [True] instead of numbers"),
        (row_with(lambda row: row.update(user=None)), "user is None instead of a str"),
        (row_with(lambda row: row.update(created=5)), "created is 5 instead of a dict"),
        (row_with(lambda row: row.update(shares={})), "shares is {} instead of a list"),
        (row_with(lambda row: row.pop("reason")), "reason is missing"),
        (
            request_with(count=9),
            "request.count: 9 devices asked for",
        ),
        (
            request_with(attach_caller=1),
            "attach_caller is 1 instead of a bool",
        ),
        (
            request_with(memory_fraction=1),
            "memory_fraction is 1 instead of a float",
        ),
        (
            request_with(labels={"a": 1}),
            "labels is 1 instead of a str",
        ),
    ],
)
def test_unreadable_lease_says_why(text: str, why: str) -> None:
    """A row that no gpusched wrote, or only a newer one, is refused with the reason."""
    with pytest.raises(UnreadableRow) as refusal:
        decode_lease(text)
    assert str(refusal.value).startswith(why)


def test_unknown_story_kind_is_refused() -> None:
    """A story line of a kind that does not exist is refused with the reason."""
    with pytest.raises(UnreadableRow, match="unknown kind 'gossip'"):
        decode_story((1, 1, "gossip", "daemon", "", "{}"))


def test_sentence_may_quote_any_bytes() -> None:
    """A process name that is not UTF-8 does not make its story line unwritable."""
    line = StoryLine(1, StoryKind.DAEMON, "daemon", "saw b\udcffd", sequence=1)
    assert decode_story(story_columns(line)).sentence == "saw b\\udcffd"
