"""The flags of nvidia-smi in NVIDIA's spelling: `--query-gpu=…`, `-i 0`, `--id=0`, `-lms 100`.

A parser of its own, because scripts also depend on what is refused and with which words.
"""

from gpusched.cli.smi.layouts import DEFAULT, LAYOUTS

SUCCESS = 0
INVALID = 2
NOT_THERE = 6

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


class Refused(Exception):
    """The flags are not understood; the argument is what nvidia-smi says."""


class Flags:
    """What was asked for.

    Attributes:
        given: Values by their flag, in one word: `query_gpu`; an empty value where it has none.
    """

    def __init__(self, words: list[str]) -> None:
        self.given = _read(words)
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
        return (self.given.get("format") or "").split(",")

    def _check(self) -> None:
        kinds = {"list", "query", "query_gpu", "query_apps", "version"} & set(self.given)
        queries = kinds & {"query_gpu", "query_apps"}
        wrong = (
            len(kinds) > 1
            or ("xml" in self.given and ("query" not in self.given or "display" in self.given))
            or ("display" in self.given and "query" not in self.given)
            or ("format" in self.given and not queries)
            or ("layout" in self.given and self.given["layout"] not in LAYOUTS)
        )
        if wrong:
            raise _invalid()
        if queries and "format" not in self.given:
            raise Refused("\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.")
        if "format" in self.given:
            self._check_formats()
        for name in _OPTIONAL:
            if not _is_time(self.given.get(name, "1"), whole=name == "loop_ms"):
                raise _invalid()

    def _check_formats(self) -> None:
        unknown = [one for one in self.formats if one not in _FORMATS]
        if unknown:
            raise Refused(f'"{unknown[0]}" is not a valid format. Use csv[,noheader][,nounits].')
        if "csv" not in self.formats:
            raise Refused("\"--format=\" needs csv. Please run 'nvidia-smi -h' for help.")


def _invalid() -> Refused:
    return Refused("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.")


def _is_time(text: str, *, whole: bool) -> bool:
    try:
        return (int(text) if whole else float(text)) > 0
    except ValueError:
        return False


def _read(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in _HELP and not equals:
            given["help_names"] = _HELP[flag]
            continue
        if flag in _ALONE and not equals:
            given[_ALONE[flag]] = ""
            continue
        name = _WITH_VALUE.get(flag)
        if name is None:
            raise _invalid()
        if not equals:
            value = _following(rest, name)
        if not value:
            raise _invalid()
        given[name] = value
    return given


def _following(rest: list[str], name: str) -> str:
    """Take the value from the next word; a flag is none."""
    if rest and not (rest[0].startswith("-") and len(rest[0]) > 1):
        return rest.pop(0)
    return _OPTIONAL.get(name, "")
