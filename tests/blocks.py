"""The fenced code blocks of a document, with the comment above each that says how it is tried.

A block is run by tests/e2e/test_code_blocks.py as it stands, unless a comment in the line above it
says otherwise:

    <!-- not run: why it cannot be -->
    <!-- file: NAME -->             it is written into the folder in which later blocks run
    <!-- until: TEXT -->            it does not end by itself: it is ended when it has said TEXT
    <!-- fails: CODE -->            its last command ends with that code
    <!-- output -->                 it is what the block before it prints
"""

import re
from dataclasses import dataclass
from pathlib import Path

VERBS = ("not run", "file", "until", "fails", "output")
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)$")
_MARKER = re.compile(r"^ *<!-- (?P<verb>[a-z ]+?)(?:: (?P<words>.+?))? -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of its fence, from 1.
        language: The word behind the fence; empty without one.
        text: What stands between the fences, with a line feed at its end.
        verb: What the comment above it says is to be done with it; empty: it is run.
        words: What the comment adds to that.
    """

    line: int
    language: str
    text: str
    verb: str
    words: str


def blocks_of(path: Path) -> list[Block]:
    """Read a document's blocks, in order.

    Raises:
        ValueError: A block is not closed.
    """
    found: list[Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    place = 0
    while place < len(lines):
        opened = _FENCE.match(lines[place])
        if opened is None:
            place += 1
            continue
        end = place + 1
        while end < len(lines) and lines[end].strip() != opened["fence"]:
            end += 1
        if end == len(lines):
            raise ValueError(f"{path.name}:{place + 1}: the block is not closed")
        indent = len(opened["indent"])
        text = "".join(f"{line[indent:]}\n" for line in lines[place + 1 : end])
        verb, words = _marker(lines[place - 1] if place else "")
        found.append(Block(place + 1, opened["language"].strip(), text, verb, words))
        place = end + 1
    return found


def _marker(line: str) -> tuple[str, str]:
    """Read the comment above a block; one that is none of ours says nothing about it."""
    found = _MARKER.match(line)
    if found is None or found["verb"] not in VERBS:
        return "", ""
    return found["verb"], found["words"] or ""


def file_in(path: Path, name: str) -> str:
    """Give the text of the block that a document marks as the file *name*."""
    (found,) = (one for one in blocks_of(path) if (one.verb, one.words) == ("file", name))
    return found.text
