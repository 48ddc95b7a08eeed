"""What a command is: its arguments, what it does, and what it is given to do it with."""

import argparse
import json
import os
import sys
from collections.abc import Callable

from gpusched.cli.table import printable
from gpusched.client.address import socket_path
from gpusched.client.document import Document
from gpusched.client.thin import ThinClient

_CONTROLS = {one: f"\\u{one:04x}" for one in range(0x7F, 0xA0)}
"""What JSON may leave as it is and a terminal obeys: delete, and the controls beyond ASCII."""


class UsageError(Exception):
    """Words that the command line does not understand; one line, with the next step."""


class Invocation:
    """One call of the command line.

    Attributes:
        name: The command's name.
        options: What the parser read.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name = name
        self.options = options

    @property
    def json(self) -> bool:
        """Whether to print the gateway's JSON instead of text."""
        return bool(self.options.json)

    @property
    def client(self) -> ThinClient:
        """The client of the daemon that the user means."""
        return ThinClient(socket_path(self.options.socket, os.environ))

    def call(self, method: str, message: dict[str, object] | None = None) -> Document:
        """Call the daemon; with --json, what it answers is printed as well."""
        reply = self.client.call(method, message)
        if self.json:
            show_json(reply.fields)
        return reply

    def to_paste(self, command: str) -> str:
        """Give a command that asks the daemon which this one asks, wherever it is pasted."""
        if not (self.options.socket and command):
            return command
        import shlex  # noqa: PLC0415 - cold start: only where there is something to paste

        socket = shlex.quote(self.options.socket)
        return f"gpusched --socket {socket} {command.removeprefix('gpusched ')}"

    def say(self, text: str) -> None:
        """Print what was asked for, unless JSON was."""
        if not self.json:
            print(text)

    def note(self, text: str) -> None:
        """Print that something was done, unless that goes without saying; one line."""
        if not self.options.quiet:
            self.say(printable(text))

    def warn(self, sentence: str) -> None:
        """Tell the user what to know, beside the output."""
        if not self.options.quiet:
            complain(sentence)


class Command:
    """A command of the command line.

    Attributes:
        arguments: Adds what it takes to a parser.
        run: Does it, and gives the exit code.
    """

    __slots__ = ("arguments", "run")

    def __init__(
        self,
        arguments: Callable[[argparse.ArgumentParser], None],
        run: Callable[[Invocation], int],
    ) -> None:
        self.arguments = arguments
        self.run = run


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing beside the flags that every command has."""


def show_json(fields: dict[str, object], *, one_line: bool = False) -> None:
    """Print a message in its JSON form."""
    text = json.dumps(fields, ensure_ascii=False, indent=None if one_line else 2)
    print(text.translate(_CONTROLS), flush=one_line)


def complain(sentence: str) -> None:
    """Print one line on standard error."""
    print(f"gpusched: {printable(' '.join(sentence.split()))}", file=sys.stderr)
