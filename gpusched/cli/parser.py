"""Parses the command line: finds the command, loads only its parser, takes global flags anywhere.

One parser per command instead of argparse's sub-parsers: the thirty that were not asked for would
cost more than the command itself.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module

from gpusched import __version__
from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.index import INDEX
from gpusched.cli.terminal import columns

_WIDEST_HELP = 100
_WITH_VALUE = ("--socket",)
_GLOBAL = ("--json", "--quiet", "-q", "--help", "-h", "--version")
GLOBAL_HELP = """global flags, before or behind the command:
  --socket PATH  the daemon's socket; else $GPUSCHED_SOCKET, /run/gpusched/gpusched.sock,
                 $XDG_RUNTIME_DIR/gpusched/gpusched.sock
                 example: gpusched --socket /tmp/g.sock status
  --json         print the API's JSON instead of text (docs/api.md)
                 example: gpusched devices --json
  --quiet, -q    print results only: no notes, no warnings
                 example: gpusched --quiet release lease-3f9k
  --help, -h     print help, also for a command
                 example: gpusched run --help
  --version      print the version
                 example: gpusched --version"""


class Help(Exception):
    """Help or the version was asked for; the text is the argument."""


class _Formatter(argparse.HelpFormatter):
    """Knows its width: argparse would import shutil, on every start, to find it out.

    An example, which has lines of its own, stays as it is.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(columns(), _WIDEST_HELP) - 2, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser whose failures are one line and whose help is a value."""

    def error(self, message: str) -> None:  # type: ignore[override]  # NoReturn is in typing, which the cold start does without
        """Refuse what was typed."""
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def print_help(self, file: object = None) -> None:
        """Give the help as a value, so that one place prints."""
        del file
        raise Help(self.format_help())


def parse(words: Sequence[str]) -> tuple[Invocation, Command]:
    """Read the command line.

    Raises:
        Help: Help or the version was asked for.
        UsageError: It cannot be understood.
    """
    place = _command_place(words)
    before = list(words[:place])
    name = words[place] if place < len(words) else ""
    if "--version" in before:
        raise Help(f"gpusched {__version__}")
    if not name:
        if "--help" in before or "-h" in before:
            raise Help(overview())
        raise UsageError("no command; try `gpusched status` or `gpusched --help`")
    if name not in INDEX:
        raise UsageError(f"there is no command {name!r}{_similar(name)}; see `gpusched --help`")
    command = load(name)
    own, behind = _split(name, list(words[place + 1 :]))
    options = parser_of(name, command).parse_args([*before, *own])
    options.command = behind
    return Invocation(name, options), command


def load(name: str) -> Command:
    """Load a command of the index."""
    commands: dict[str, Command] = import_module(f"gpusched.cli.{INDEX[name].module}").COMMANDS
    return commands[name]


def parser_of(name: str, command: Command) -> Parser:
    """Make the parser of a command, global flags included."""
    entry = INDEX[name]
    parser = Parser(
        prog=f"gpusched {name}",
        usage=f"gpusched {name} {entry.usage}".rstrip(),
        description=entry.summary,
        epilog=f"example:\n  {entry.example}",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    # Behind nvidia-smi, -q is NVIDIA's.
    short = () if name == "nvidia-smi" else ("-q",)
    parser.add_argument("--quiet", *short, action="store_true", help="no notes, no warnings")
    command.arguments(parser)
    return parser


def overview() -> str:
    """Give the help of gpusched itself."""
    lines = [
        "usage: gpusched COMMAND …",
        "",
        "Leases the GPUs of this host to processes. ALLOC is what to allocate: see",
        "`gpusched allocate --help`. LEASE is a lease's id or the beginning of it, REQUEST the id",
        "of a request that waits: see `gpusched leases`.",
        "",
    ]
    lines += ["commands:", *(f"  {name:<12}{entry.summary}" for name, entry in INDEX.items()), ""]
    lines += [GLOBAL_HELP, "", "example:", "  gpusched run --gpus 1 -- python train.py"]
    return "\n".join(lines)


def _command_place(words: Sequence[str]) -> int:
    """Find the first word that is neither a global flag nor its value."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        flag = words[place].partition("=")[0]
        if flag not in (*_WITH_VALUE, *_GLOBAL):
            raise UsageError(
                f"there is no global flag {flag}; flags of a command stand behind it, see"
                " `gpusched --help`"
            )
        place += 2 if words[place] in _WITH_VALUE else 1
    return place


def _split(name: str, words: list[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from those that are another program's."""
    helps = [one for one in words if one in ("--help", "-h")]
    if name == "nvidia-smi":  # its flags are NVIDIA's, also those that are spelled like ours
        return (helps, []) if helps else ([], words)
    if name == "bentoml":  # what is behind `serve` is BentoML's, its help as well
        return (words, []) if words[:1] in (["--help"], ["-h"]) else ([], words)
    if name != "run":
        return words, []
    if "--" in words:
        place = words.index("--")
        return words[:place], words[place + 1 :]
    if helps:
        return helps, []
    raise UsageError(
        "run: there is no `--` before the command; write for example"
        " `gpusched run --gpus 1 -- python train.py`"
    )


def _similar(name: str) -> str:
    """Suggest what was probably meant."""
    from difflib import get_close_matches  # noqa: PLC0415 - cold start: only for a mistake

    near = get_close_matches(name, INDEX, n=1)
    return f", perhaps {near[0]!r} is meant" if near else ""
