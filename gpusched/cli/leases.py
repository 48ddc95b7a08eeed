"""`gpusched leases` and `gpusched renew`: what a holder has, and that he still wants it."""

import argparse

from gpusched.cli.arguments import add_lease
from gpusched.cli.command import Command, Invocation
from gpusched.cli.lease_table import end_of, ended_lines, lease_lines
from gpusched.cli.terminal import terminal_width
from gpusched.cli.waiting_table import waiting_lines
from gpusched.cli.words import now
from gpusched.client.document import Document


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mine", action="store_true", help="only your own")
    parser.add_argument("--ended", action="store_true", help="those that have ended, latest first")


def _renewing(parser: argparse.ArgumentParser) -> None:
    add_lease(parser)


def _leases(invocation: Invocation) -> int:
    options = invocation.options
    listed = invocation.call("Leases/List", {"mine": options.mine, "ended": options.ended})
    invocation.say("\n".join(_lines(listed, ended=options.ended)))
    return 0


def _lines(listed: Document, *, ended: bool) -> list[str]:
    """Lay out a message `LeaseList`: the leases, and who waits for some."""
    leases, at, width = listed.parts("leases"), now(), terminal_width()
    if ended:
        return ended_lines(leases, at, width) if leases else ["no leases have ended"]
    usual = listed.text("default_priority")
    lines = lease_lines(leases, at, width, usual) if leases else ["no leases"]
    waiting = listed.parts("waiting")
    return [*lines, "", *waiting_lines(waiting, at, width)] if waiting else lines


def _renew(invocation: Invocation) -> int:
    lease = invocation.call("Leases/Renew", {"lease_id": invocation.options.lease})
    invocation.note(f"{lease.text('id')} ends {end_of(lease, now())}")
    return 0


COMMANDS = {
    "leases": Command(_listing, _leases),
    "renew": Command(_renewing, _renew),
}
