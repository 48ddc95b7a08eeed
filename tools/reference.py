"""Writes `docs/reference/python.md` from the docstrings of what users import, or checks it.

What is public is what the stubs of `gpusched` and `gpusched.testing` list. griffe reads the
sources without running them; the order and the words around are here.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import griffe

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "reference" / "python.md"
_HEAD = """# Python

Written by `make reference` from the docstrings: change those. `import gpusched` costs nothing;
each name loads what it needs on first use. The package is typed (`py.typed`), so that a program
is checked by `mypy --strict`. Messages such as `lease_pb2.Lease` are those of
[`protos/`](../../protos/gpusched/v1), and [the API](../api.md) says what they mean.
"""
_WIDTH = 99
_PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("A lease for a block", "gpusched", ("lease", "async_lease", "HeldLease", "LeasedDevice")),
    ("", "gpusched", ("Enforcement", "Wish")),
    ("Devices for one of several workers", "gpusched", ("worker_lease", "WorkerLease")),
    ("Notices", "gpusched", ("Notice", "NoticeKind", "NoticeAction")),
    (
        "Errors",
        "gpusched",
        (
            *("GpuschedError", "CouldFitLater", "NeverHere", "BadRequest", "NotAllowed"),
            *("DaemonUnreachable", "NotFound", "WrongState", "NotYet", "NoSuchDevice"),
            "DaemonFault",
        ),
    ),
    ("Everything that the daemon answers", "gpusched", ("Client", "AsyncClient")),
    (
        "For your own tests",
        "gpusched.testing",
        ("daemon", "SimulatedHost", "Worker", "HostFault"),
    ),
)
_SAME = {"AsyncClient": "Client"}
"""Classes whose methods are those of another one, to be awaited: listed once."""


class Unfinished(Exception):
    """The reference cannot be written; the text says what is missing."""


def page() -> str:
    """Give the page.

    Raises:
        Unfinished: Something public is in no part, or has no docstring.
    """
    package = griffe.load(
        "gpusched",
        search_paths=[_ROOT],
        allow_inspection=False,
        docstring_parser="google",
        resolve_aliases=True,
    )
    if not isinstance(package, griffe.Module):
        raise Unfinished("gpusched is no package")
    _check_all_are_there(package)
    lines = [_HEAD]
    for title, place, names in _PARTS:
        module = (
            package[place.removeprefix("gpusched").removeprefix(".")] if "." in place else package
        )
        if title:
            lines += [f"## {title}", ""]
        if place != "gpusched":
            lines += [_text(module), ""]
        for name in names:
            lines += _entry(f"{place}.{name}", module[name].final_target)
    return "\n".join(lines).rstrip("\n") + "\n"


def _check_all_are_there(package: griffe.Module) -> None:
    shown = {f"{place}.{name}" for _, place, names in _PARTS for name in names}
    public = {f"gpusched.{one}" for one in package.exports or () if str(one) != "__version__"}
    testing = package["testing"]
    public |= {f"gpusched.testing.{one}" for one in testing.exports or ()}
    if public != shown:
        raise Unfinished(f"public and in no part, or the reverse: {sorted(public ^ shown)}")


def _entry(path: str, what: griffe.Object) -> Iterator[str]:
    name = path.rpartition(".")[2]
    if isinstance(what, griffe.Function):
        yield from (f"### `{path}`", "", *_code(_signature(name, what)))
        yield from _docstring(what)
        return
    if not isinstance(what, griffe.Class):
        raise Unfinished(f"{path} is neither function nor class")
    bases = ", ".join(f"`{one}`" for one in what.bases)
    yield from (f"### `{path}`", "")
    if bases:
        yield from (f"{'An' if bases[1] in 'AEIOU' else 'A'} {bases}.", "")
    if "__init__" in what.members and _is_called(what):
        yield from _code(_signature(name, what["__init__"]))
    yield from _docstring(what)
    yield from _values(what)
    if name in _SAME:
        yield from (f"Its methods are those of `gpusched.{_SAME[name]}`, to be awaited.", "")
        return
    for member in what.members.values():
        if not member.name.startswith("_") and not member.is_alias:
            yield from _member(name, member)


def _is_called(what: griffe.Class) -> bool:
    """Say whether the user calls the class himself: then its docstring has the arguments."""
    parsed = what.docstring.parsed if what.docstring else []
    return any(isinstance(one, griffe.DocstringSectionParameters) for one in parsed)


def _values(what: griffe.Class) -> Iterator[str]:
    """List the members of an enumeration."""
    if "StrEnum" not in {str(one) for one in what.bases}:
        return
    yield from ("| value | |", "|---|---|")
    for member in what.members.values():
        if isinstance(member, griffe.Attribute) and member.docstring:
            yield f"| `{member.name}` = `{member.value}` | {_line(member.docstring.value)} |"
    yield ""


def _member(owner: str, member: griffe.Object | griffe.Alias) -> Iterator[str]:
    if isinstance(member, griffe.Function):
        yield from (f"#### `{owner}.{member.name}`", "", *_code(_signature(member.name, member)))
        yield from _docstring(member)
    elif isinstance(member, griffe.Attribute) and "property" in member.labels:
        kind = f": `{member.annotation}`" if member.annotation else ""
        yield from (f"#### `{owner}.{member.name}`{kind}", "", _text(member), "")


def _signature(name: str, function: griffe.Object | griffe.Alias) -> str:
    if not isinstance(function, griffe.Function):
        raise Unfinished(f"{function.path} is no function")
    begin, end = _around(name, function)
    parts = list(_parameters(function))
    line = f"{begin}({', '.join(parts)}){end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{begin}(", *(f"    {one}," for one in parts), f"){end}"])


def _around(name: str, function: griffe.Function) -> tuple[str, str]:
    """Give what stands before and behind the parameters: how it is called, what it gives."""
    blocks = {"contextmanager": "with", "asynccontextmanager": "async with"}
    for one in function.decorators:
        word = blocks.get(str(one.value))
        if word is not None and isinstance(function.returns, griffe.ExprSubscript):
            return f"{word} {name}", f" as {function.returns.slice}"
    awaited = "async " if "async" in function.labels else ""
    returns = "" if name == "__init__" or not function.returns else f" -> {function.returns}"
    return f"{awaited}{name}", returns


def _parameters(function: griffe.Function) -> Iterator[str]:
    keyword_only, many, more = (
        griffe.ParameterKind.keyword_only,
        griffe.ParameterKind.var_positional,
        griffe.ParameterKind.var_keyword,
    )
    bare = False
    for one in function.parameters:
        if one.name == "self":
            continue
        if one.kind is keyword_only and not bare:
            yield "*"
        bare = bare or one.kind in (keyword_only, many)
        stars = {more: "**", many: "*"}.get(one.kind, "") if one.kind is not None else ""
        text = f"{stars}{one.name}" + (f": {one.annotation}" if one.annotation else "")
        yield text if one.default is None or stars else f"{text} = {one.default}"


def _code(text: str) -> list[str]:
    return ["```text", text, "```", ""]


def _docstring(what: griffe.Object) -> Iterator[str]:
    if what.docstring is None:
        raise Unfinished(f"{what.path} has no docstring")
    for section in what.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionText):
            yield from (section.value, "")
        elif isinstance(section, griffe.DocstringSectionRaises):
            rows = [(str(one.annotation), one.description) for one in section.value]
            yield from _table("raises", rows)
        elif isinstance(section, griffe.DocstringSectionReturns):
            yield from (
                f"Returns: {' '.join(_line(one.description) for one in section.value)}",
                "",
            )
        elif isinstance(
            section, griffe.DocstringSectionParameters | griffe.DocstringSectionAttributes
        ):
            title = "argument" if section.kind.value == "parameters" else "attribute"
            yield from _table(title, [_row(one) for one in section.value])


def _row(one: griffe.DocstringParameter | griffe.DocstringAttribute) -> tuple[str, str]:
    kind = "" if one.annotation is None else f": {one.annotation}"
    return f"{one.name}{kind}", one.description


def _table(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    body = [f"| `{_cell(name)}` | {_cell(_line(text))} |" for name, text in rows]
    return [f"| {title} | |", "|---|---|", *body, ""]


def _text(what: griffe.Object | griffe.Alias) -> str:
    if what.docstring is None:
        raise Unfinished(f"{what.path} has no docstring")
    return what.docstring.value


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or say that it is stale."""
    parser = argparse.ArgumentParser(prog="reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where stale")
    check = parser.parse_args().check
    try:
        text = page()
    except Unfinished as error:
        print(f"reference: {error}", file=sys.stderr)
        return 1
    if check:
        if _PAGE.exists() and _PAGE.read_text(encoding="utf-8") == text:
            return 0
        place = _PAGE.relative_to(_ROOT)
        print(
            f"reference: {place} is not what the docstrings say; run `make reference`",
            file=sys.stderr,
        )
        return 1
    _PAGE.parent.mkdir(parents=True, exist_ok=True)
    _PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
