"""The flags of nvidia-smi in NVIDIA's spelling: `--query-gpu=…`, `-i 0`, `--id=0`, `-lms 100`.

A parser of its own, because scripts also depend on what is refused and with which words.
"""

from gpusched.cli.smi import refusals
from gpusched.cli.smi.layouts import DEFAULT, LAYOUTS
from gpusched.cli.smi.refusals import Refused

_WITH_VALUE = {
    "-i": "id",
    "--id": "id",
    "-f": "file",
    "--filename": "file",
    "-d": "display",
    "--display": "display",
    "-l": "loop",
    "--loop": "loop",
    "-lms": "loop_ms",
    "--loop-ms": "loop_ms",
    "--query-gpu": "query_gpu",
    "--query-compute-apps": "query_apps",
    "--format": "format",
    "--layout": "layout",
    "--socket": "socket",
}
_ALONE = {
    "--version": "version",
    "-L": "list",
    "--list-gpus": "list",
    "-q": "query",
    "--query": "query",
    "-a": "query",
    "-x": "xml",
    "--xml-format": "xml",
    "--json": "json",
}
_HELP = {
    "--help-query-gpu": "--query-gpu",
    "--help-query-compute-apps": "--query-compute-apps",
}
_OPTIONAL = {"loop": "5", "loop_ms": "100"}
"""What a flag stands for whose value is left out."""

_FORMATS = frozenset({"csv", "noheader", "nounits"})
_COMMANDS = ("list", "version")
_OURS = ("layout", "socket", "json")
_NOT_OF_A_QUERY = ("query", "xml", "display")
_LONGEST = 1 << 32
"""Seconds or milliseconds between two outputs; no clock waits for any longer."""

_OLD = "470"
_UNKNOWN = "unknown"
_MISSING = "missing"


class Flags:
    """What was asked for.

    Attributes:
        given: Values by their flag, in one word: `query_gpu`; an empty value where it has none.
    """

    def __init__(self, words: list[str]) -> None:
        self.given, found = _read(words)
        self._check_words(found)
        self._check()

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def value(self, name: str) -> str | None:
        """Give the value of a flag; None when it was not given."""
        return self.given.get(name)

    @property
    def seconds(self) -> float | None:
        """The time between two outputs; None: only one."""
        if "loop_ms" in self.given:
            return int(self.given["loop_ms"]) / 1000
        return float(self.given["loop"]) if "loop" in self.given else None

    @property
    def layout(self) -> str:
        """The branch to print as."""
        return self.given.get("layout", DEFAULT)

    @property
    def formats(self) -> list[str]:
        """The parts of `--format`."""
        return [one for one in (self.given.get("format") or "").split(",") if one]

    def check_formats(self) -> None:
        """Refuse a format that nobody knows; nvidia-smi looks at the fields first."""
        if not _FORMATS.issuperset(self.formats):
            raise Refused(refusals.NO_SUCH_FORMAT)
        if "csv" not in self.formats:
            raise Refused(refusals.NOT_CSV)

    def _check_words(self, found: list[tuple[str, str]]) -> None:
        """Refuse the first word that is wrong where it stands."""
        if self.layout not in LAYOUTS:
            raise refusals.invalid()
        old = self.layout == _OLD
        query = bool({"query_gpu", "query_apps"} & set(self.given))
        commands = [name for name, _ in found if name in _COMMANDS]
        others = (_UNKNOWN, *(_NOT_OF_A_QUERY if query else ("format",)))
        for name, word in found:
            if name in _OURS:
                continue
            if commands and name != commands[0]:
                raise refusals.invalid() if old else refusals.not_beside(word)
            if name == _MISSING:
                raise refusals.without_value(word, old=old)
            if name in others:
                raise refusals.invalid() if old else refusals.unknown(word, query=query)
        if len(commands) > 1:
            raise refusals.invalid() if old else refusals.twice()

    def _check(self) -> None:
        if "xml" in self.given and "query" not in self.given:
            raise refusals.without_query("-x/--xml-format", "an XML")
        if "display" in self.given and "query" not in self.given:
            raise refusals.without_query("-d/--display", "a filtered")
        if "display" in self.given and "xml" in self.given:
            raise refusals.xml_of_sections()
        if "query_gpu" in self.given and "query_apps" in self.given:
            raise Refused(refusals.TWO_QUERIES)
        queries = {"query_gpu", "query_apps"} & set(self.given)
        if queries and "format" not in self.given:
            raise Refused(refusals.NO_FORMAT)
        for name, flag in (("loop", "-l | --loop="), ("loop_ms", "-lms | --loop-ms=")):
            _check_time(self.given.get(name, "1"), flag, whole=name == "loop_ms")


def _check_time(text: str, flag: str, *, whole: bool) -> None:
    try:
        time = int(text) if whole else float(text)
    except ValueError:
        raise refusals.no_time(flag, text) from None
    if _LONGEST < time < float("inf"):
        raise refusals.no_time(flag, text)
    if not 0 < time < float("inf"):
        raise refusals.never()


def _read(words: list[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Give the values by name, and for each word its name, or what is wrong with it."""
    given: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if flag in _HELP and not equals:
            given["help_names"] = _HELP[flag]
        elif flag in _ALONE:
            given[_ALONE[flag]] = ""
            found.append((_ALONE[flag], word))
            if equals:
                found.append((_UNKNOWN, value))
        elif flag in _WITH_VALUE:
            name = _WITH_VALUE[flag]
            value = value if equals else _following(rest, name)
            # An equals sign without a format is a format that is not CSV.
            complete = bool(value) or (bool(equals) and name == "format")
            found.append((name, word) if complete else (_MISSING, flag))
            given[name] = value
        else:
            found.append((_UNKNOWN, word))
    return given, found


def _following(rest: list[str], name: str) -> str:
    """Take the value from the next word; a flag is none."""
    if rest and not (rest[0].startswith("-") and len(rest[0]) > 1):
        return rest.pop(0)
    return _OPTIONAL.get(name, "")
