"""`gpusched events`: the history, and with --follow what happens from now on."""

import argparse

from gpusched.cli.command import Command, Invocation, show_json
from gpusched.cli.table import printable
from gpusched.cli.words import clock
from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable


def event_line(event: Document) -> str:
    """Give a message `Event` as a line."""
    subject = event.text("id") or "daemon"
    what = event.text("sentence") or event.text("kind")
    return printable(f"{clock(event.text('at'))}  {subject}  {what}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--follow", action="store_true", help="go on with what happens from now on"
    )


def _events(invocation: Invocation) -> int:
    if not invocation.options.follow:
        for event in invocation.call("Events/List").parts("events"):
            invocation.say(event_line(event))
        return 0
    client = invocation.client
    listed = client.call("Events/List")
    for event in listed.parts("events"):
        _show(invocation, event)
    last = str(listed.number("last_sequence"))
    for event in client.stream("Events/Watch", {"after_sequence": last}):
        _show(invocation, event)
    raise DaemonUnreachable("the daemon ended the stream of events: it stops; try again")


def _show(invocation: Invocation, event: Document) -> None:
    if invocation.json:
        show_json(event.fields, one_line=True)
    else:
        print(event_line(event), flush=True)


COMMANDS = {"events": Command(_arguments, _events)}
