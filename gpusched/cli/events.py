"""`gpusched events`: the history, and with --follow what happens from now on."""

import argparse
from threading import Event

from gpusched.cli.command import Command, Invocation, show_json
from gpusched.cli.words import clock
from gpusched.client.document import Document

_PAUSE = 1.0
"""Seconds between two looks: the gateway has no streams, and a history can be read on from any
place, so nothing is lost between two looks."""


def event_line(event: Document) -> str:
    """Give a message `Event` as a line."""
    subject = event.text("id") or "daemon"
    return f"{clock(event.text('at'))}  {subject}  {event.text('kind')}: {event.text('sentence')}"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--follow", action="store_true", help="go on with what happens from now on"
    )


def _events(invocation: Invocation) -> int:
    if not invocation.options.follow:
        for event in invocation.call("Events/List").parts("events"):
            invocation.say(event_line(event))
        return 0
    listed = invocation.client.call("Events/List")
    never = Event()  # Ctrl-C ends the wait
    while True:
        for event in listed.parts("events"):
            _show(invocation, event)
        last = _last_of(listed)
        never.wait(_PAUSE)
        listed = invocation.client.call("Events/List", {"after_sequence": str(last)})


def _last_of(listed: Document) -> int:
    """Give the sequence to go on from: what was listed may not be all there is."""
    events = listed.parts("events")
    return events[-1].number("sequence") if events else listed.number("last_sequence")


def _show(invocation: Invocation, event: Document) -> None:
    if invocation.json:
        show_json(event.fields, one_line=True)
    else:
        print(event_line(event), flush=True)


COMMANDS = {"events": Command(_arguments, _events)}
