"""The verbs that end a lease: `release`, `revoke`, `cancel`.

Where processes are ended too, the command stays until the lease has ENDED: what is typed next
finds the devices free. Who stops the wait does not stop the end.
"""

import argparse

from gpusched.cli.arguments import add_lease, add_signal_in_place
from gpusched.cli.command import Command, Invocation, UsageError, show_json
from gpusched.cli.lease_table import state_of
from gpusched.client import asking
from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable

_PATIENCE = 1.0
"""Seconds for which nothing is said."""


def _releasing(parser: argparse.ArgumentParser) -> None:
    add_lease(parser)
    parser.add_argument(
        "--kill",
        action="store_true",
        help="end its processes too: SIGTERM, and SIGKILL after the grace; only where gpusched"
        " made their cgroup. Waits until the lease has ended",
    )
    _add_ending(parser)


def _revoking(parser: argparse.ArgumentParser) -> None:
    add_lease(parser)
    parser.add_argument("--reason", required=True, metavar="R", help="why; its holder is told")
    add_signal_in_place(parser)
    _add_ending(parser)


def _add_ending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grace",
        metavar="TIME",
        help="between SIGTERM and SIGKILL, such as 30s; 0s kills at once; default: the daemon's",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait until its processes are gone"
    )


def _cancelling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "request",
        metavar="REQUEST",
        help="the id of a request that waits, as `gpusched leases` lists it; or the request id of"
        " a lease that nobody uses yet",
    )


def _release(invocation: Invocation) -> int:
    options = invocation.options
    if not options.kill and (options.grace is not None or options.no_wait):
        raise UsageError("--grace and --no-wait go with --kill: without it no process is ended")
    message: dict[str, object] = {"lease_id": options.lease}
    if options.kill:
        message |= {"kill": True, **_grace(options)}
    reply = invocation.client.call("Leases/Release", message)
    leases = reply.parts("leases")
    if options.kill:
        leases = [_followed(invocation, one) for one in leases]
        reply.fields["leases"] = [one.fields for one in leases]
    if invocation.json:
        show_json(reply.fields)
    for lease in leases:
        invocation.note(_after(lease, "released"))
    return 0


def _revoke(invocation: Invocation) -> int:
    options = invocation.options
    message: dict[str, object] = {
        "lease_id": options.lease,
        "reason": options.reason,
        **_grace(options),
    }
    if options.signal_in_place:
        message["signal_in_place"] = True
    lease = _followed(invocation, invocation.client.call("Leases/Revoke", message))
    if invocation.json:
        show_json(lease.fields)
    invocation.note(_after(lease, "revoked"))
    return 0


def _cancel(invocation: Invocation) -> int:
    request = invocation.options.request
    reply = invocation.call("Leases/Cancel", {"request_id": request})
    if "lease" in reply:
        invocation.note(_after(reply.part("lease"), "cancelled"))
    else:
        invocation.note(f"{request} no longer waits")
    return 0


def _grace(options: argparse.Namespace) -> dict[str, object]:
    return {} if options.grace is None else {"grace": asking.grace(options.grace)}


def _followed(invocation: Invocation, lease: Document) -> Document:
    """Give *lease* as it is when its processes are gone, if the daemon ends them."""
    if invocation.options.no_wait or not _ends_its_processes(lease):
        return lease
    from threading import Timer  # noqa: PLC0415 - cold start: most verbs wait for nothing

    name = lease.text("id")
    sentence = (
        f"{name} ends: its processes have SIGTERM, and SIGKILL after the grace; Ctrl-C ends this"
        " wait only"
    )
    telling = Timer(_PATIENCE, invocation.warn, (sentence,))
    telling.daemon = True
    telling.start()
    try:
        return _ended(invocation, name)
    finally:
        telling.cancel()


def _ended(invocation: Invocation, name: str) -> Document:
    for listed in invocation.client.stream("Leases/Watch", {"lease_id": name}):
        for lease in listed.parts("leases"):
            if lease.text("id") == name and state_of(lease) == "ended":
                return lease
    raise DaemonUnreachable(
        f"the daemon stops; {name} goes on ending when it is back, see `gpusched leases`"
    )


def _ends_its_processes(lease: Document) -> bool:
    holder = lease.part("holder")
    ours = bool(holder.text("cgroup")) and not holder.flag("in_place")
    return ours and state_of(lease) == "releasing"


def _after(lease: Document, verb: str) -> str:
    """Say where a lease is after its end was asked for."""
    name = lease.text("id")
    if state_of(lease) != "releasing":
        return f"{name} has ended"
    if _ends_its_processes(lease) and lease.parts("processes"):
        return f"{name} is {verb}; its processes are being ended"
    if lease.parts("processes"):
        return (
            f"{name} is {verb}; gpusched does not end its processes, its devices are free when"
            " they have left them"
        )
    return f"{name} is {verb}; its memory is not confirmed back yet"


COMMANDS = {
    "release": Command(_releasing, _release),
    "revoke": Command(_revoking, _revoke),
    "cancel": Command(_cancelling, _cancel),
}
