"""The golden suite: what `gpusched explain`, refusals and screens say, to the letter.

More cases are more files; see `golden/explain/README.md`.
"""

import time
from collections.abc import Iterator

import pytest

from tests.fakes.explain_cases import OTHERS, Case, cases
from tests.fakes.situation import Situation

CASES = cases()


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_utc")
@pytest.mark.parametrize("case", CASES, ids=[one.name for one in CASES])
def test_what_is_said(capsys: pytest.CaptureFixture[str], case: Case) -> None:
    """Each command prints what its file says, and ends with the exit code that it says."""
    situation = Situation(case.host, case.config, case.start)
    for step in case.before:
        situation.happen(step)
    generation = situation.authority.ledger.generation
    printed, code = situation.printed(case.command, case.by, capsys)
    assert printed == case.output
    assert code == case.code
    if case.command.startswith("gpusched explain") or code:
        assert situation.authority.ledger.generation == generation, "it has changed something"


def test_there_are_situations_enough() -> None:
    """Twenty situations, and no two of them are one file."""
    files = {one.name.partition(":")[0] for one in CASES}
    assert len(files) >= 20, OTHERS
