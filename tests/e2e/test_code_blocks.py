"""Every code block of README and guides is run, or says why it cannot be: see tests/blocks.py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests import capabilities
from tests.blocks import Block, blocks_of
from tests.e2e.block_runner import Desk, Wrong, printed
from tests.e2e.host import Host
from tools.stage import ROOT

_DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md")))
_ELSEWHERE = frozenset({"not run", "transcript", "output"})
_FEWEST_WORDS = 3


def _cases() -> list[tuple[Path, int]]:
    return [
        (path, number)
        for path in _DOCUMENTS
        for number, block in enumerate(blocks_of(path))
        if not _ELSEWHERE & block.markers.keys()
    ]


def _name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


class Desks:
    """The desk of the document whose turn it is, with its files in their place."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._open = contextlib.ExitStack()
        self._desk: Desk | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def of(self, path: Path) -> Desk:
        """Give the desk of a document; that of another one is cleared away."""
        if self._desk is None or path != self._path:
            self._open.close()
            host = self._open.enter_context(Host())
            host.start_daemon()
            self._path, self._desk = path, Desk(host)
            for one in blocks_of(path):
                if name := one.markers.get("file"):
                    self._desk.write(name, one.text)
        return self._desk


@pytest.fixture
def no_process_left_behind() -> None:
    """Do not count the daemon of a document, which the test of its first block starts."""


@pytest.fixture(scope="module")
def desks() -> Iterator[Desks]:
    """A daemon for all blocks of a document, and one document after the other."""
    with Desks() as found:
        yield found


@pytest.mark.parametrize(("path", "number"), _cases(), ids=_name)
def test_a_code_block_does_what_it_says(desks: Desks, path: Path, number: int) -> None:
    """A block of README and guides runs to its end as it stands, and prints what is shown."""
    desk, blocks = desks.of(path), blocks_of(path)
    block = blocks[number]
    for name in block.markers.get("needs", "").split():
        capabilities.require(name)
    try:
        said = desk.do(block)
    except Wrong as error:
        pytest.fail(f"the block in line {block.line} {error}", pytrace=False)
    following = blocks[number + 1] if number + 1 < len(blocks) else None
    if following is not None and "output" in following.markers:
        assert printed(said, following.text) == []


@pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.stem)
def test_what_is_not_run_says_why(path: Path) -> None:
    """A block that is not run has a reason above it, and one that is shown follows what runs."""
    blocks = blocks_of(path)
    reasons = [one.markers["not run"] for one in blocks if "not run" in one.markers]
    assert [one for one in reasons if len(one.split()) < _FEWEST_WORDS] == []
    shown = [number for number, one in enumerate(blocks) if "output" in one.markers]
    runs = [number for number, one in enumerate(blocks) if not _ELSEWHERE & one.markers.keys()]
    assert {number - 1 for number in shown} <= set(runs)


@pytest.mark.parametrize(
    ("language", "text", "markers", "why"),
    [
        ("", "gpusched: 1 device wanted\n", {}, "ended with 127"),
        ("", "$ gpusched no-such-command\ngpusched: what?\n", {}, "ended with 64"),
        ("", "$ echo one\ntwo\n", {}, r"has not printed \['two'\]"),
        ("text", "anything\n", {}, "nothing runs text"),
        ("bash", "false | true\n", {}, "ended with 1 instead of 0"),
        ("bash", "gpusched run --gpus 99 -- true\n", {"fails": "75"}, "ended with 78"),
        ("bash", "echo begins\n", {"until": "ready"}, "has not said 'ready'"),
        ("python", "import gpusched.no_such_module\n", {}, "ended with 1"),
        ("json", "{", {}, "is no json"),
        ("toml", "[sampling]\nintervall = '1s'\n", {}, "intervall"),
    ],
)
def test_a_block_that_cannot_be_run_is_found(
    desks: Desks, language: str, text: str, markers: dict[str, str], why: str
) -> None:
    """A block that fails, or that nothing runs, is a failure where no comment gives a reason."""
    desk = desks.of(_DOCUMENTS[0])
    with pytest.raises(Wrong, match=why):
        desk.do(Block(1, language, text, markers))


def test_what_is_shown_is_compared() -> None:
    """A line that a document shows and that was not printed is found; … stands for anything."""
    assert printed("one  two\nlease-1 is granted\n", "one two\nlease-… is granted\n") == []
    assert printed("one\n", "one\ntwo\n") == ["two"]
