"""The verbs of a holder: `leases`, `attach`, `renew`, `release`, `cancel`."""

import argparse

from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.lease_table import end_of, lease_lines, state_of
from gpusched.cli.status import terminal_width
from gpusched.cli.table import printable
from gpusched.cli.words import NONE, now, user_of
from gpusched.client.document import Document

_LEASE_HELP = "a lease's id, or the beginning of it"


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mine", action="store_true", help="only your own")
    parser.add_argument("--ended", action="store_true", help="those that have ended, latest first")


def _attaching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help=_LEASE_HELP)
    parser.add_argument("--pid", type=_pid, metavar="P", help="a process and its descendants")
    parser.add_argument("--unit", metavar="U", help="a systemd unit (not in this version)")
    parser.add_argument("--container", metavar="C", help="a container (not in this version)")


def _renewing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help=_LEASE_HELP)


def _releasing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help=_LEASE_HELP)
    parser.add_argument("--kill", action="store_true", help="end it (not in this version)")


def _cancelling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="REQUEST", help="the request id that the client chose")


def _pid(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id")
    return int(text)


def _leases(invocation: Invocation) -> int:
    options = invocation.options
    listed = invocation.call("Leases/List", {"mine": options.mine, "ended": options.ended})
    leases = listed.parts("leases")
    if leases:
        invocation.say("\n".join(lease_lines(leases, now(), terminal_width())))
    else:
        invocation.say("no leases have ended" if options.ended else "no leases")
    for waiting in listed.parts("waiting"):
        request = waiting.part("request").text("request_id")
        place, why = waiting.number("position"), waiting.text("waits_for") or NONE
        line = f"waiting: {request} of {user_of(waiting)}, place {place}: {why}"
        invocation.say(printable(line))
    return 0


def _attach(invocation: Invocation) -> int:
    options = invocation.options
    for flag in ("unit", "container"):
        if getattr(options, flag) is not None:
            raise UsageError(
                f"--{flag} is not in this version: it arrives with enforcement; instead: --pid P"
            )
    if options.pid is None:
        raise UsageError("say which process: --pid P")
    message: dict[str, object] = {"lease_id": options.lease, "process": {"pid": options.pid}}
    reply = invocation.call("Leases/Attach", message)
    lease = reply.part("lease").text("id")
    for sentence in reply.texts("warnings"):
        invocation.warn(sentence)
    invocation.note(f"process {options.pid} is under {lease}")
    return 0


def _renew(invocation: Invocation) -> int:
    lease = invocation.call("Leases/Renew", {"lease_id": invocation.options.lease})
    invocation.note(f"{lease.text('id')} ends {end_of(lease, now())}")
    return 0


def _release(invocation: Invocation) -> int:
    if invocation.options.kill:
        raise UsageError(
            "--kill is not in this version: it arrives with enforcement; instead: end its"
            " processes, the lease ends with the last"
        )
    reply = invocation.call("Leases/Release", {"lease_id": invocation.options.lease})
    for lease in reply.parts("leases"):
        invocation.note(_after(lease))
    return 0


def _cancel(invocation: Invocation) -> int:
    request = invocation.options.request
    reply = invocation.call("Leases/Cancel", {"request_id": request})
    if "lease" in reply:
        invocation.note(_after(reply.part("lease")))
    else:
        invocation.note(f"{request} no longer waits")
    return 0


def _after(lease: Document) -> str:
    """Say where a lease is after its end was asked for."""
    name = lease.text("id")
    if state_of(lease) == "releasing":
        return f"{name} is released; its memory is not confirmed back yet"
    return f"{name} has ended"


COMMANDS = {
    "leases": Command(_listing, _leases),
    "attach": Command(_attaching, _attach),
    "renew": Command(_renewing, _renew),
    "release": Command(_releasing, _release),
    "cancel": Command(_cancelling, _cancel),
}
