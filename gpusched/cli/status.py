"""`gpusched status` and `gpusched processes`: fetch, lay out, print, and again with --watch."""

import argparse
import sys

from gpusched.cli.command import Command, Invocation, no_arguments, show_json
from gpusched.cli.process_table import process_lines
from gpusched.cli.status_screen import screen
from gpusched.cli.terminal import terminal_width
from gpusched.client.errors import DaemonUnreachable

_PAUSE = 1.0
"""Seconds between two screens: the daemon samples once a second."""

_CLEAR = "\x1b[H\x1b[J"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="show it again each second")


def _status(invocation: Invocation) -> int:
    if not invocation.options.watch:
        status = invocation.call("Node/Status")
        invocation.say("\n".join(screen(status, terminal_width())))
        return 0
    from threading import Event  # noqa: PLC0415 - cold start: not needed for a single screen

    never = Event()  # Ctrl-C ends the wait
    while True:
        _show(invocation)
        never.wait(_PAUSE)


def _show(invocation: Invocation) -> None:
    """Show one screen of many; a daemon that restarts does not end the watch."""
    try:
        status = invocation.client.call("Node/Status")
    except DaemonUnreachable as error:
        invocation.say((_CLEAR if sys.stdout.isatty() else "") + f"gpusched: {error.sentence}")
        return
    if invocation.json:
        show_json(status.fields, one_line=True)
        return
    text = "\n".join(screen(status, terminal_width()))
    print((_CLEAR + text) if sys.stdout.isatty() else f"{text}\n", flush=True)


def _processes(invocation: Invocation) -> int:
    listed = invocation.call("Processes/List")
    rows, unreadable = listed.parts("processes"), listed.parts("unreadable")
    invocation.say("\n".join(process_lines(rows, unreadable, terminal_width())))
    return 0


COMMANDS = {
    "status": Command(_arguments, _status),
    "processes": Command(no_arguments, _processes),
}
