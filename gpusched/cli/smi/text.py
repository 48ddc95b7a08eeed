"""The text of `-q`: the elements of `-q -x` with their labels, indented.

Made from the XML, so that the two cannot tell different things.
"""

from xml.etree.ElementTree import Element, fromstring

from gpusched.cli.smi.cells import as_bytes
from gpusched.cli.smi.labels import HEXADECIMAL, LEFT_OUT, SECTIONS, label_of

_COLON = 55
_COLON_OF_PROCESSES = 42
_STEP = 4
_NO_MEMORY = "Not available in WDDM driver model"


class UnknownSection(Exception):
    """A word that `-d` does not know; the argument is the word."""


def wanted_of(sections: str) -> frozenset[str]:
    """Give the elements of the sections that `-d` names.

    Raises:
        UnknownSection: One of the words is none.
    """
    wanted: set[str] = set()
    for word in sections.split(","):
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
    lines = ["", "==============NVSMI LOG==============", ""]
    for one in log:
        if one.tag == "attached_gpus":
            lines += ["", _line(0, "Attached GPUs", _text(one))]
        elif one.tag == "gpu":
            lines += [f"GPU {one.get('id')}", *_gpu(one, wanted), ""]
        else:
            lines.append(_line(0, _TITLES.get(one.tag, label_of(one.tag)), _text(one)))
    return lines


_TITLES = {"cuda_version": "CUDA Version"}


def _gpu(gpu: Element, wanted: frozenset[str] | None) -> list[str]:
    lines: list[str] = []
    for one in gpu:
        shown = one.tag in wanted if wanted else one.tag not in LEFT_OUT
        if shown:
            lines += _processes(one) if one.tag == "processes" else _element(one, 1)
    return lines


def _element(element: Element, depth: int) -> list[str]:
    if element.tag == "retired_pages":
        return _retired(element, depth)
    if element.tag == "mig_devices":
        return [line for one in element for line in _element(one, depth)]
    if len(element) == 0:
        prefix = "0x" if element.tag in HEXADECIMAL else ""
        return [_line(depth, label_of(element.tag), prefix + _text(element))]
    lines = [" " * (_STEP * depth) + label_of(element.tag)]
    for one in element:
        if one.tag not in LEFT_OUT:
            lines += _element(one, depth + 1)
    return lines


def _retired(element: Element, depth: int) -> list[str]:
    """Give the counts of retired pages, which the XML has one level deeper."""
    places = (
        ("Single Bit ECC", "multiple_single_bit_retirement/retired_count"),
        ("Double Bit ECC", "double_bit_retirement/retired_count"),
        ("Pending Page Blacklist", "pending_blacklist"),
    )
    return [
        " " * (_STEP * depth) + "Retired Pages",
        *(
            _line(depth + 1, title, element.findtext(place, "N/A").strip())
            for title, place in places
        ),
    ]


def _processes(element: Element) -> list[str]:
    if len(element) == 0:
        return [_line(1, "Processes", _text(element) or "None")]
    lines = [" " * _STEP + "Processes"]
    for row in element:
        for one in row:
            depth = 3 if one.tag in ("type", "process_name", "used_memory") else 2
            text = _text(one)
            if one.tag == "used_memory" and text == "N/A":
                text = _NO_MEMORY
            lines.append(_line(depth, label_of(one.tag), text, _COLON_OF_PROCESSES))
    return lines


def _text(element: Element) -> str:
    return as_bytes((element.text or "").strip())


def _line(depth: int, title: str, text: str, colon: int = _COLON) -> str:
    return f"{' ' * (_STEP * depth) + title:<{colon}}: {text}"
