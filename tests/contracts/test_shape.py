"""The shape of the project: small files, small functions, words where they are due.

Holds what ruff, mypy and import-linter cannot say. Each test lists every place that breaks its
rule, so that one run is enough to mend them all.
"""

import ast
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings

_ROOT = Path(__file__).parent.parent.parent
_GENERATED = _ROOT / "gpusched" / "api"
_CODE = ("gpusched", "tests", "tools", "bench", "demo")
_MAX_FILE_LINES = 300
_MAX_FUNCTION_LINES = 40
_BANNED_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager"})
_NOT_OURS = re.compile(r"^(\..*|__pycache__|build|dist|htmlcov|mutants|.*\.egg-info)$")
_OUR_HIDDEN = frozenset({".ci", ".gitignore"})
# Written so that this file does not break its own rules.
_MACHINE_PATH = re.compile(r"(?<![\w.*-])/(wor[k]|far[m])/")
_WRONG_DISTRIBUTION = re.compile(r"pip3? instal[l]( -\S+)* ['\"]?gpusched(?![\w-])")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def _project_files() -> tuple[Path, ...]:
    found: list[Path] = []
    for folder, folders, names in os.walk(_ROOT):
        folders[:] = [f for f in folders if f in _OUR_HIDDEN or not _NOT_OURS.match(f)]
        found += [Path(folder) / n for n in names if n in _OUR_HIDDEN or not _NOT_OURS.match(n)]
    return tuple(sorted(path for path in found if not path.is_relative_to(_GENERATED)))


@functools.cache
def _code() -> dict[Path, ast.Module]:
    paths = [p for p in _project_files() if p.suffix == ".py" and _place(p).parts[0] in _CODE]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def _place(path: Path) -> Path:
    return path.relative_to(_ROOT)


def _functions(tree: ast.Module) -> Iterator[_Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines_matching(pattern: re.Pattern[str]) -> list[str]:
    wrong: list[str] = []
    for path in _project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or a database: nothing that a reader would type
        wrong += [f"{_place(path)}:{n}" for n, line in enumerate(lines, 1) if pattern.search(line)]
    return wrong


def test_the_code_is_found() -> None:
    """The rules below are checked on the package, on the tests and on the tools."""
    assert {"gpusched", "tests", "tools"} <= {_place(path).parts[0] for path in _code()}


def test_a_file_has_at_most_300_lines() -> None:
    """A file that grows past 300 lines holds two thoughts and is parted."""
    sizes = {_place(path): len(path.read_text().splitlines()) for path in _code()}
    assert [f"{p}: {n}" for p, n in sizes.items() if n > _MAX_FILE_LINES] == []


def test_a_function_has_at_most_40_lines() -> None:
    """A function fits on a screen, its docstring included."""
    wrong: list[str] = []
    for path, tree in _code().items():
        for function in _functions(tree):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > _MAX_FUNCTION_LINES:
                wrong.append(f"{_place(path)}:{function.lineno} {function.name}: {lines}")
    assert wrong == []


def test_every_module_says_why_it_exists() -> None:
    """Every module begins with a docstring."""
    assert [
        str(_place(path)) for path, tree in _code().items() if not ast.get_docstring(tree)
    ] == []


def test_every_test_is_a_sentence() -> None:
    """The docstring of a test is a sentence of the specification, so it ends with a full stop."""
    wrong: list[str] = []
    for path, tree in _code().items():
        if _place(path).parts[0] != "tests":
            continue
        for function in _functions(tree):
            sentence = ast.get_docstring(function) or ""
            if function.name.startswith("test_") and not sentence.endswith("."):
                wrong.append(f"{_place(path)}:{function.lineno} {function.name}")
    assert wrong == []


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    """A file or folder of code is named after what it holds, never after its being useful."""
    wrong = [
        str(_place(path))
        for path in _code()
        if _BANNED_NAMES & {part.removesuffix(".py") for part in _place(path).parts}
    ]
    assert wrong == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """A path of one developer's machine means nothing to anybody else."""
    assert _lines_matching(_MACHINE_PATH) == []


def test_nobody_is_told_to_install_another_distribution() -> None:
    """The distribution is gpusched-daemon; the short name may be anybody's on a package index."""
    assert _lines_matching(_WRONG_DISTRIBUTION) == []


def test_no_property_is_broken_by_a_busy_machine() -> None:
    """Property tests have no deadline: how long an example takes says nothing of what holds."""
    assert settings().deadline is None
