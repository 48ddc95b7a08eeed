"""The golden suite: what `gpusched nvidia-smi` prints of simulated hosts, to the byte.

Everything passes the structures of NVML's C library: scenario, simulated library, binding, survey.
More cases are more files; see `smi_golden/README.md`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import gateway, reply
from tests.fakes.smi_cases import OTHERS, Case, cases
from tests.fakes.surveyed import surveyed

CASES = cases()


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_utc")
@pytest.mark.parametrize("case", CASES, ids=[one.name for one in CASES])
def test_output(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], case: Case) -> None:
    """Each command prints what its file says, and ends with the exit code that it says."""
    answer = {**surveyed(case.scenario), "at": case.at}
    with gateway(tmp_path, {"Node/Survey": reply(answer)}) as served:
        before = ["--socket", str(served.path), "nvidia-smi"]
        code = command_line.main([*before, *case.words], never)
    # A name that was cut within a character is no UTF-8 any more.
    printed = capsysbinary.readouterr().out.decode("utf-8", "backslashreplace")
    if case.output is not None:
        assert printed == case.output
    rest = iter(printed.splitlines())
    assert [one for one in case.lines if one not in rest] == []
    assert code == case.code


def test_each_branch_has_cases_of_each_kind() -> None:
    """Five layouts, and for each the kinds of hosts that the suite is there for."""
    kinds = {
        *("types", "widths", "utf8", "not-available", "100gib", "mig", "mig-empty"),
        *("duplicates", "dead-pids", "lost-gpu", "no-permission", "idle"),
    }
    found = {
        (one.name.partition(":")[0], one.words[1])
        for one in CASES
        if one.words[:1] == ("--layout",)
    }
    wanted = {(kind, layout) for kind in kinds for layout in ("470", "535", "550", "555", "570")}
    assert sorted(wanted - found) == []


def test_cases_of_others_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of somebody else's files is run as well; a file that is not understood is told."""
    monkeypatch.setenv(OTHERS, str(tmp_path))
    file = tmp_path / "theirs.toml"
    file.write_text('scenario = "T4"\ncommand = "-L"\nlines = "GPU 0: Tesla T4"\n')
    found = [one for one in cases() if one.name.startswith("theirs")]
    assert [(one.words, one.lines, one.output) for one in found] == [
        (("-L",), ("GPU 0: Tesla T4",), None)
    ]
    file.write_text('scenario = "T4"\nexpected = ""\n')
    with pytest.raises(ValueError, match="expected"):
        cases()
    file.write_text('scenario = "T4"\ncommand = "-L"\n')
    with pytest.raises(ValueError, match="neither output nor lines"):
        cases()
