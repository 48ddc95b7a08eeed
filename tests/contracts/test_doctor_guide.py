"""The guide of `gpusched doctor` against the code: its tables have what the code has."""

import re
from pathlib import Path

from gpusched.doctor.kernel import SINCE
from gpusched.doctor.table import CHECKS
from gpusched.doctor.versions import written

_GUIDE = Path(__file__).parent.parent.parent / "docs/guides/doctor.md"


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, its head left out."""
    text = _GUIDE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = text.partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_kernel_version_is_documented() -> None:
    """The table of kernels has each version with what it brings, in the code's words and order."""
    assert _rows("Kernel versions") == [[written(since), what] for since, what in SINCE]


def test_every_check_is_documented() -> None:
    """The table of checks has each check, in the order in which they look."""
    named = [name for row in _rows("Checks") for name in re.findall(r"`([^`]+)`", row[0])]
    assert named == [name for name, _ in CHECKS]
