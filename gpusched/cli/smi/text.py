"""The text of `-q`: the elements of `-q -x` with their labels, indented.

Made from the XML, so that the two cannot tell different things. The colons of branches before 580
stand further left: 550.163 measured, 570.124, 575.57 and 580.142 in public captures.
"""

from collections.abc import Callable
from functools import partial
from xml.etree.ElementTree import Element, fromstring

from gpusched.cli.smi.cells import as_bytes
from gpusched.cli.smi.labels import (
    BAR1_OF_MIG,
    HEXADECIMAL,
    LEFT_OUT,
    OF_A_PROCESS,
    SECTIONS,
    label_of,
)

_COLON, _OLD_COLON = 55, 42
_WIDE = 580
"""The first branch whose colons stand further right, but for those of processes."""

_STEP = 4
_NO_MEMORY = "Not available in WDDM driver model"


Line = Callable[[int, str, str], str]
"""Gives a line of a depth, a title and a text, with the colon where the branch has it."""


class UnknownSection(Exception):
    """A word that `-d` does not know; the argument is the word."""


def wanted_of(sections: str) -> frozenset[str]:
    """Give the elements of the sections that `-d` names.

    Raises:
        UnknownSection: One of the words is none.
    """
    wanted: set[str] = set()
    for word in sections.upper().split(","):
        if word not in SECTIONS:
            raise UnknownSection(word)
        wanted.update(SECTIONS[word].split())
    return frozenset(wanted)


def text_lines(xml: str, wanted: frozenset[str] | None = None) -> list[str]:
    """Give the text.

    Args:
        xml: What `-q -x` prints.
        wanted: The elements of each GPU to show; None: all.
    """
    # The declaration of the document type names a file that nobody has.
    log = fromstring(xml)  # noqa: S314 - our own text, made a moment ago
    branch = (log.findtext("driver_version") or "").partition(".")[0]
    old = branch.isdecimal() and int(branch) < _WIDE
    line = partial(_line, colon=_OLD_COLON if old else _COLON)
    lines = ["", "==============NVSMI LOG==============", ""]
    for one in log:
        if one.tag == "attached_gpus":
            lines += ["", line(0, "Attached GPUs", _text(one))]
        elif one.tag == "gpu":
            lines += [f"GPU {one.get('id')}", *_gpu(one, wanted, line), ""]
        else:
            lines.append(line(0, _TITLES.get(one.tag, label_of(one.tag)), _text(one)))
    return lines


_TITLES = {"cuda_version": "CUDA Version"}


def _gpu(gpu: Element, wanted: frozenset[str] | None, line: Line) -> list[str]:
    lines: list[str] = []
    for one in gpu:
        shown = one.tag in wanted if wanted else one.tag not in LEFT_OUT
        if shown:
            lines += _processes(one, line) if one.tag == "processes" else _element(one, 1, line)
    return lines


def _element(element: Element, depth: int, line: Line) -> list[str]:
    if element.tag == "retired_pages":
        return _retired(element, depth, line)
    if element.tag == "mig_devices":
        return [each for one in element for each in _element(one, depth, line)]
    if len(element) == 0:
        prefix = "0x" if element.tag in HEXADECIMAL else ""
        return [line(depth, label_of(element.tag), prefix + _text(element))]
    of_mig = element.tag == "bar1_memory_usage" and depth > 1
    title = BAR1_OF_MIG if of_mig else label_of(element.tag)
    lines = [" " * (_STEP * depth) + title]
    for one in element:
        if one.tag not in LEFT_OUT:
            lines += _element(one, depth + 1, line)
    return lines


def _retired(element: Element, depth: int, line: Line) -> list[str]:
    """Give the counts of retired pages, which the XML has one level deeper."""
    places = (
        ("Single Bit ECC", "multiple_single_bit_retirement/retired_count"),
        ("Double Bit ECC", "double_bit_retirement/retired_count"),
        ("Pending Page Blacklist", "pending_blacklist"),
    )
    return [
        " " * (_STEP * depth) + "Retired Pages",
        *(
            line(depth + 1, title, element.findtext(place, "N/A").strip())
            for title, place in places
        ),
    ]


def _processes(element: Element, line: Line) -> list[str]:
    if len(element) == 0:
        return [line(1, "Processes", _text(element) or "None")]
    lines = [" " * _STEP + "Processes"]
    for row in element:
        for one in row:
            depth = 3 if one.tag in ("type", "process_name", "used_memory") else 2
            text = _text(one)
            if one.tag == "used_memory" and text == "N/A":
                text = _NO_MEMORY
            title = OF_A_PROCESS.get(one.tag) or label_of(one.tag)
            lines.append(_line(depth, title, text, _OLD_COLON))
    return lines


def _text(element: Element) -> str:
    return as_bytes((element.text or "").strip())


def _line(depth: int, title: str, text: str, colon: int) -> str:
    return f"{' ' * (_STEP * depth) + title:<{colon}}: {text}"
