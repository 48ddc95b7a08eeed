"""`gpusched leases` and `gpusched renew`: what a holder has, and that he still wants it."""

import argparse

from gpusched.cli.command import Command, Invocation
from gpusched.cli.lease_table import end_of, ended_lines, lease_lines
from gpusched.cli.status import terminal_width
from gpusched.cli.table import printable
from gpusched.cli.words import NONE, now, user_of


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mine", action="store_true", help="only your own")
    parser.add_argument("--ended", action="store_true", help="those that have ended, latest first")


def _renewing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help="a lease's id, or the beginning of it")


def _leases(invocation: Invocation) -> int:
    options = invocation.options
    listed = invocation.call("Leases/List", {"mine": options.mine, "ended": options.ended})
    leases = listed.parts("leases")
    if leases:
        lay_out = ended_lines if options.ended else lease_lines
        invocation.say("\n".join(lay_out(leases, now(), terminal_width())))
    else:
        invocation.say("no leases have ended" if options.ended else "no leases")
    for waiting in listed.parts("waiting"):
        request = waiting.part("request").text("request_id")
        place, why = waiting.number("position"), waiting.text("waits_for") or NONE
        line = f"waiting: {request} of {user_of(waiting)}, place {place}: {why}"
        invocation.say(printable(line))
    return 0


def _renew(invocation: Invocation) -> int:
    lease = invocation.call("Leases/Renew", {"lease_id": invocation.options.lease})
    invocation.note(f"{lease.text('id')} ends {end_of(lease, now())}")
    return 0


COMMANDS = {
    "leases": Command(_listing, _leases),
    "renew": Command(_renewing, _renew),
}
