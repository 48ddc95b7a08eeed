"""What the screens say of who waits, and of leases that give way."""

import json

import pytest

from gpusched.cli.command import show_json
from gpusched.cli.explain import explain_lines
from gpusched.cli.lease_table import end_of, lease_lines
from gpusched.cli.waiting_table import waiting_lines
from gpusched.client.document import Document
from tests.fakes.messages import lease, waiting

NOON = 1795348800.0  # 2026-11-22T12:00:00Z


def ends(**changed: object) -> str:
    """What ends a lease next, a minute after noon."""
    return end_of(Document(lease("lease-a", **changed)), NOON + 60)


def test_a_lease_that_gives_way_says_when() -> None:
    """What ends it first: that, or a clock that runs out before."""
    way = {"deadline": "2026-11-22T12:01:26Z", "priority": "normal"}
    assert ends(giving_way=way) == "gives way in 26s"
    sooner = {"time_limit_deadline": "2026-11-22T12:01:05Z"}
    assert ends(giving_way=way, **sooner) == "in 5s"


def test_classes_are_told_where_they_are_not_usual() -> None:
    """The column is there only if a lease has another class."""
    leases = [Document(lease("lease-a", priority="low")), Document(lease("lease-b", priority=""))]
    heading, low, plain = lease_lines(leases, NOON, None, "normal")
    assert "USER    CLASS   DEVICES" in heading
    assert "alice   low     1 " in low
    assert "alice           1 " in plain
    assert "CLASS" not in lease_lines(leases, NOON, None, "low")[0]


def test_a_request_without_its_client_says_when_it_leaves() -> None:
    """The first of its two clocks; nothing where none runs, and nothing of what is not told."""
    gone = waiting(1, "train-7", abandoned_deadline="2026-11-22T12:02:00Z")
    ever = waiting(2, "train-8", wait_deadline=None, wanted="", waits_for="", user="", uid=7)
    lines = waiting_lines([Document(gone), Document(ever)], NOON, None)
    heading = "PLACE REQUEST USER CLASS WANTS WAITED LEAVES WAITS FOR"
    assert " ".join(lines[0].split()) == heading
    assert "4m   in 2m (its client is gone)   the end of" in lines[1]
    assert lines[2] == "    2   train-8   7       normal                   4m"
    assert waiting_lines([Document(ever)], NOON, None)[0].endswith("CLASS    WAITED")


def test_what_is_said_of_who_waits_or_would() -> None:
    """When it begins, and who makes way; of who waits already in the present tense."""
    begins = {"waiting": {"waits_for": "leases to end", "begins_by": "2999-01-01T00:00:00Z"}}
    one = Document({"sentence": "so", "preempted_lease_ids": ["lease-1"], **begins})
    lines = explain_lines(one, None, waits=True)
    assert lines[2] == "it waits for leases to end"
    assert lines[3].startswith("enough ends in ")
    assert lines[3].endswith("at the latest: then it begins, unless others go first")
    assert lines[4] == "lease-1 gives way to it"
    lines = explain_lines(one, None)
    assert lines[2] == "it would wait for leases to end"
    assert lines[3].endswith("then it would begin, unless others go first")
    assert lines[4] == "lease-1 would give way to it"
    two = Document({"sentence": "so", "preempted_lease_ids": ["lease-1", "lease-2"]})
    assert explain_lines(two, None, waits=True)[2] == "lease-1, lease-2 give way to it"


def test_no_word_of_an_explanation_moves_the_cursor() -> None:
    """What it waits for and what would do may have words of another user in them."""
    reply: dict[str, object] = {
        "sentence": "why",
        "waiting": {"waits_for": "\x1b[2J"},
        "rejection": {"nearest_command": "gpusched run --label 'a=\x9b2J' -- CMD"},
    }
    lines = explain_lines(Document(reply), None, waits=True)
    assert all(one.isprintable() for one in lines)
    assert "it waits for ?[2J" in lines


def test_json_on_a_terminal_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Controls beyond ASCII, which JSON may leave as they are, are escaped; it reads the same."""
    fields: dict[str, object] = {"name": "a\x9b2J\x7f\x1b[2J", "word": "é"}
    show_json(fields, one_line=True)
    text = capsys.readouterr().out
    assert text.removesuffix("\n").isprintable()
    assert "é" in text
    assert json.loads(text) == fields
