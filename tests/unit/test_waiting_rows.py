"""The durable form of requests that wait."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gpusched.adapters.store.fields import UnreadableRow
from gpusched.adapters.store.waiting_rows import decode_waiting, waiting_columns, waiting_row
from gpusched.core.ids import Instant, LeaseId, Moment, RequestId
from gpusched.core.request import Request
from gpusched.core.waiting import Waiting
from tests.fakes.full_request import FULL_REQUEST

GOLDEN = Path(__file__).with_name("waiting_row.golden.json")
FULL = Waiting(
    request=replace(
        FULL_REQUEST,
        request_id=RequestId("train-7"),
        memory=None,
        memory_fraction=0.5,
        devices=(),
        max_count=2,
        wait=None,
        wait_without_limit=True,
    ),
    uid=1000,
    gid=100,
    user="ann",
    admin=True,
    lease_id=LeaseId("lease-0123456789"),
    arrived=Moment(Instant(20), 21),
    number=22,
    rank=-23,
    priority="high",
    deadline=Instant(24),
    abandoned=Instant(25),
    groups=(4, 27),
)


def row_with(change: Callable[[dict[str, object]], object]) -> str:
    row: dict[str, object] = json.loads(waiting_columns(FULL)[-1])
    change(row)
    return json.dumps(row)


def request_with(**values: object) -> str:
    def change(row: dict[str, object]) -> None:
        request = row["request"]
        assert isinstance(request, dict)
        request.update(values)

    return row_with(change)


def test_form_is_the_golden_one() -> None:
    """The durable form changes only on purpose: with a new format number and a migration."""
    golden: dict[str, object] = json.loads(GOLDEN.read_text())
    assert json.loads(json.dumps(waiting_row(FULL))) == golden


def test_golden_row_is_readable() -> None:
    """What a gpusched of this format wrote is read."""
    assert decode_waiting(GOLDEN.read_text()) == FULL


def test_every_field_is_durable() -> None:
    """No field of a request that waits, or of what it asks for, is left out of the row."""
    row = json.loads(json.dumps(waiting_row(FULL)))
    assert row.keys() == {"format"} | {field.name for field in fields(Waiting)}
    assert row["request"].keys() == {field.name for field in fields(Request)}


def test_columns_repeat_what_queries_need() -> None:
    """Whose request it is, and which, can be queried without reading its JSON."""
    assert waiting_columns(FULL)[:-1] == (1000, "train-7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("{}", "format is missing"),
        (row_with(lambda row: row.update(format=2)), "format 2 instead of 1"),
        (row_with(lambda row: row.pop("rank")), "rank is missing"),
        (row_with(lambda row: row.update(admin=1)), "admin is 1"),
        (row_with(lambda row: row.update(deadline="soon")), "deadline is 'soon'"),
        (request_with(memory_fraction=2.0), "request.memory_fraction: 2.0 is not"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, why: str) -> None:
    """A row of another format, with a field missing, or against its own rules is not guessed."""
    with pytest.raises(UnreadableRow, match=why):
        decode_waiting(text)
