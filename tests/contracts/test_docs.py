"""The documents against the code: what can be compared is compared, so that neither runs ahead.

Sentences are for people to judge; tables, names and links are judged here.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from gpusched.cli import exits
from gpusched.config.options import OPTIONS, PRICES
from gpusched.core.lease import LIVE, LeaseState
from gpusched.web.gateway import ALIASES

_ROOT = Path(__file__).parent.parent.parent
_DOCS = _ROOT / "docs"
_ADRS = sorted((_DOCS / "adr").glob("*.md"))
_GUIDES = sorted((_DOCS / "guides").glob("*.md"))
_PAGES = [
    _ROOT / "README.md",
    _ROOT / "CHANGELOG.md",
    *sorted(_DOCS.glob("*.md")),
    *_GUIDES,
    *_ADRS,
]
_TRANSCRIPT_LINES = 15
_LINK = re.compile(r"(?<!!)\[[^]\n]+]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_VARIABLE = re.compile(r"\bGPUSCHED_[A-Z_]+\b")
# Written so that this file does not break the rule itself.
_OTHER_DISTRIBUTION = re.compile(r"pip3?\s+instal[l][^\n]*\bgpusched(?![\w-])")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _section(text: str, heading: str) -> str:
    """The text under *heading*, down to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {heading!r}"
    return found[1]


def _rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in *text*, heads left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [number for number, row in enumerate(rows) if set("".join(row)) <= set("-:")]
    heads = {number - 1 for number in rules} | set(rules)
    return [row for number, row in enumerate(rows) if number not in heads]


def _as_written(default: object) -> str:
    """A default as the configuration file would have it."""
    if default is None:
        return "unset"
    return f"`{json.dumps(default)}`"


def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_read(path)))
    return {heading.strip().replace(" ", "-") for heading in kept}


def test_every_option_is_documented_as_it_is() -> None:
    """The table of options has every key with its default and sentence, in the code's order."""
    documented = _rows(_section(_read(_DOCS / "operations.md"), "Configuration"))
    assert documented == [
        [f"`{one.key}`", _as_written(one.default), one.meaning] for one in OPTIONS
    ]


def test_prices_are_documented() -> None:
    """The table of free keys is named beside the options."""
    assert f"`[{PRICES}]`" in _section(_read(_DOCS / "operations.md"), "Configuration")


def test_every_environment_variable_is_documented() -> None:
    """Operations names each variable of ours that the code knows, and no other."""
    code = "".join(_read(path) for path in (_ROOT / "gpusched").rglob("*.py"))
    known = set(_VARIABLE.findall(code))
    assert set(_VARIABLE.findall(_read(_DOCS / "operations.md"))) == known


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes has the codes of the command line, and no other."""
    codes = [value for name, value in vars(exits).items() if name.isupper() and name[0] != "_"]
    rows = _rows(_section(_read(_DOCS / "operations.md"), "Exit codes"))
    assert [int(row[0]) for row in rows] == sorted(codes)


def _warnings() -> set[str]:
    """The events that the daemon logs as warning or error."""
    places = [one for one in (_ROOT / "gpusched").rglob("*.py") if one.parent.name != "client"]
    calls = (node for one in places for node in ast.walk(ast.parse(_read(one))))
    return {
        word.value
        for call in calls
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"warning", "error"}
        for word in call.args[:1]
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }


def test_every_warning_of_the_log_is_documented() -> None:
    """Operations says of each event that is logged as warning or error what to do."""
    rows = _rows(_section(_read(_DOCS / "operations.md"), "Logs"))
    told = {name for row in rows if row[1] != "info" for name in re.findall(r"`([^`]+)`", row[0])}
    assert _warnings() == told


def test_every_short_name_of_the_gateway_is_documented() -> None:
    """The API's page has the short names of the gateway, and no other."""
    text = _section(_read(_DOCS / "api.md"), "JSON over HTTP/1.1")
    assert re.findall(r"`(/v1/[a-z]+)`", text) == list(ALIASES)


def test_every_lease_state_is_documented() -> None:
    """The table of states has every state of a lease, and says which hold their shares."""
    rows = _rows(_section(_read(_DOCS / "architecture.md"), "5. Leases"))
    assert {row[0].strip("`"): row[2] for row in rows} == {
        state.name: "yes" if state in LIVE else "no" for state in LeaseState
    }


def test_every_module_of_the_core_has_its_place() -> None:
    """The layout in the architecture names every module of the core."""
    text = _section(_read(_DOCS / "architecture.md"), "3. Layout and imports")
    _, begins, rest = text.partition("  core/ ")
    listed, ends, _ = rest.partition("  config/ ")
    assert begins
    assert ends
    modules = {path.stem for path in (_ROOT / "gpusched/core").glob("*.py")} - {"__init__"}
    assert modules - set(re.findall(r"\w+", listed)) == set()


def test_records_are_numbered() -> None:
    """The records of decisions are numbered from 1 without a gap."""
    assert [int(path.name[:4]) for path in _ADRS] == list(range(1, len(_ADRS) + 1))


@pytest.mark.parametrize("path", _ADRS, ids=lambda path: path.stem)
def test_record_has_its_sections(path: Path) -> None:
    """A record of a decision has a number, a status, a context, a decision and what follows."""
    text = _read(path)
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.search(r"^Status: \w", text, re.MULTILINE)
    for heading in ("Context", "Decision", "Consequences"):
        assert _section(text, heading).strip()


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """A link from one document to another file of the project leads to a file and a heading."""
    wrong: list[str] = []
    for link in _LINK.findall(_read(path)):
        if ":" in link:
            continue  # the web changes without us
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_readme_names_the_commands() -> None:
    """The README shows the two commands that show that it works."""
    text = _read(_ROOT / "README.md")
    assert "$ make demo\n" in text
    assert "$ make test\n" in text


def test_readme_opens_with_a_short_transcript() -> None:
    """The README opens with a transcript of at most 15 lines."""
    found = re.match(
        r"# gpusched\n\n<!-- transcript -->\n```\n(.*?)```\n<!-- end of transcript -->\n",
        _read(_ROOT / "README.md"),
        re.DOTALL,
    )
    assert found is not None
    assert 0 < len(found[1].splitlines()) <= _TRANSCRIPT_LINES


def test_readme_installs_no_other_distribution() -> None:
    """Nobody who follows the README gets the other project of the same name."""
    assert _OTHER_DISTRIBUTION.findall(_read(_ROOT / "README.md")) == []
    assert "`gpusched-daemon`" in _read(_ROOT / "README.md")
