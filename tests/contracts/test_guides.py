"""The guides against the tests: what a guide says is shown by a test, and that test is there."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent.parent
_GUIDES = sorted((_ROOT / "docs/guides").glob("*.md"))
_SEEDS = _ROOT / "docs/guides/seeds.md"
_NAMED = re.compile(r"\btests/[\w/]+\.py(?:::\w+)?")


def _is_there(test: str) -> bool:
    name, _, function = test.partition("::")
    path = _ROOT / name
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    return not function or function in names


@pytest.mark.parametrize("path", _GUIDES, ids=lambda path: path.stem)
def test_every_named_test_is_there(path: Path) -> None:
    """A test that a guide names exists."""
    named = _NAMED.findall(path.read_text(encoding="utf-8"))
    assert [one for one in named if not _is_there(one)] == []


def test_every_statement_of_the_seeds_has_a_test() -> None:
    """Each row of the table of statements ends with a test."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in _SEEDS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| statement")
    ]
    assert len(rows) > 30
    assert [row for row in rows if len(row) != 3 or not _NAMED.search(row[2])] == []


def test_the_tested_versions_are_those_that_are_installed() -> None:
    """The table of frameworks names, as tested, the versions that `make frameworks` installs."""
    table = (_ROOT / "docs/guides/frameworks.md").read_text(encoding="utf-8")
    tested = dict(re.findall(r"^\| \*\*(\w+)\*\* ([\d.]+), \*tested\*", table, re.MULTILINE))
    assert tested.pop("PyTorch") == tested["torchrun"]
    tested["torch"] = tested.pop("torchrun")
    files = sorted((_ROOT / "tools").glob("frameworks-*.txt"))
    texts = "".join(path.read_text(encoding="utf-8") for path in files)
    pinned = dict(re.findall(r"^(\w+)==([\d.]+)", texts, re.MULTILINE))
    assert {name.lower() for name in tested} == pinned.keys()
    for name, version in tested.items():
        assert f"{pinned[name.lower()]}.".startswith(f"{version}.")
