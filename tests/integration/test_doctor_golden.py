"""The golden suite of `gpusched doctor`: what it prints of hosts in a folder, to the letter.

The hosts are in `tests/fakes/doctor_cases.py`; run as a module that writes the files anew.
"""

from pathlib import Path

import pytest

from tests.fakes.doctor_cases import CASES, FILES, printed


@pytest.mark.parametrize("name", CASES)
def test_output(name: str) -> None:
    """Of each host it prints what its file says, with what to do, and ends with its exit code."""
    assert printed(CASES[name]) == (FILES / f"{name}.txt").read_text()


def test_no_file_is_left_over() -> None:
    """Each file is of a host."""
    assert {path.stem for path in Path(FILES).iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_remark_that_is_not_ok_says_what_to_do(name: str) -> None:
    """WARN and FAIL are followed by a line with what to do, OK is not."""
    *lines, _count, _code = (FILES / f"{name}.txt").read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert following.lstrip().startswith("→") is not line.startswith("OK ")
