"""`gpusched guard`: the host-wide guard, through the daemon.

`off` by root has been done before it gets here, in `bootstrap`; here the daemon is told.
"""

import argparse
import os

from gpusched.cli.command import Command, Invocation, complain, show_json
from gpusched.cli.exits import NEVER_HERE, NOT_ALLOWED, OK
from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("on", "off", "status"),
        metavar="on|off|status",
        help="`off` works also while no daemon runs, as root",
    )
    parser.add_argument(
        "--below",
        metavar="FOLDER",
        help="`off` without a daemon: look in this cgroup and the two levels below, not in all",
    )


def _guard(invocation: Invocation) -> int:
    action = invocation.options.action
    if action == "status":
        return _show(invocation)
    try:
        reply = invocation.call("Node/SetGuard", {"on": action == "on"})
    except DaemonUnreachable:
        if action == "on":
            raise
        return _off_alone(invocation)
    return _told(invocation, reply, wanted=action == "on")


def _show(invocation: Invocation) -> int:
    status = invocation.client.call("Node/Status", {"without_processes": True})
    guard = status.part("guard")
    if invocation.json:
        show_json(guard.fields)
    denied = guard.measured("denied_opens")
    count = "unknown" if denied is None else str(denied)
    invocation.say(_sentence(guard))
    if guard.flag("on"):
        invocation.say(f"denied opens: {count}")
    return OK


def _told(invocation: Invocation, guard: Document, *, wanted: bool) -> int:
    if guard.flag("on") is not wanted:
        complain(_sentence(guard))
        return NEVER_HERE
    invocation.note(_sentence(guard))
    return OK


def _sentence(guard: Document) -> str:
    return guard.text("sentence") or f"The guard is {'on' if guard.flag('on') else 'off'}"


def _off_alone(invocation: Invocation) -> int:
    """End `off` where no daemon answers: root has taken it off, nobody else can."""
    if os.geteuid() != 0:
        complain("no daemon answers, and without one only root can: sudo gpusched guard off")
        return NOT_ALLOWED
    if invocation.json:
        show_json({"on": False})
    invocation.warn(
        "no daemon was told, for none answers: one whose configuration has the guard on will"
        " switch it on when it starts"
    )
    return OK


COMMANDS = {"guard": Command(_arguments, _guard)}
