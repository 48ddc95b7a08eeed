"""The fenced code blocks of a document, with the comments above each that say how it is tried.

A block is run by tests/e2e/test_code_blocks.py as it stands: by bash, if it names no language, and
where it begins with a prompt, what is behind prompts. Comments in the lines above say otherwise:

    <!-- not run: why it cannot be -->
    <!-- needs: CAPABILITY -->      of tests/capabilities.py; elsewhere it is skipped
    <!-- file: NAME -->             it is written into the folder that blocks are run in
    <!-- until: TEXT -->            it does not end by itself: it is ended when it has said TEXT
    <!-- fails: CODE -->            it ends with that code
    <!-- output -->                 it is what the block before it prints; … stands for anything
    <!-- transcript -->             run by tests/e2e/test_transcript.py
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VERBS = frozenset({"not run", "needs", "file", "until", "fails", "output", "transcript"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)$")
_MARKER = re.compile(r"^ *<!-- (?P<verb>[a-z ]+?)(?:: (?P<words>.+?))? -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of its fence, from 1.
        language: The word behind the fence; empty without one.
        text: What stands between the fences, with a line feed at its end.
        markers: What the comments above it say, by verb.
    """

    line: int
    language: str
    text: str
    markers: Mapping[str, str]


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
        language = opened["language"].strip()
        found.append(Block(place + 1, language, text, _markers(lines[:place])))
        place = end + 1
    return found


def _markers(before: list[str]) -> dict[str, str]:
    """Read the comments that end the lines *before* a block; others say nothing about it."""
    found: dict[str, str] = {}
    for line in reversed(before):
        marker = _MARKER.match(line)
        if marker is None or marker["verb"] not in VERBS:
            break
        found[marker["verb"]] = marker["words"] or ""
    return found


def file_in(path: Path, name: str) -> str:
    """Give the text of the block that a document marks as the file *name*."""
    (found,) = (one for one in blocks_of(path) if one.markers.get("file") == name)
    return found.text
