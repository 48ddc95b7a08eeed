"""`gpusched attach`: puts what runs already under a lease, and says what that changed."""

import argparse

from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.table import printable
from gpusched.client.document import Document

_INSTEAD = {
    "unit": "instead: --cgroup with what `systemctl show -p ControlGroup UNIT` prints",
    "container": "instead: --cgroup, or --pid of a process in it",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help="a lease's id, or the beginning of it")
    parser.add_argument(
        "--pid",
        type=_pid,
        metavar="P",
        help="a process and its descendants; one of a unit or container stays where it is, and the"
        " whole of that is masked in place",
    )
    parser.add_argument(
        "--cgroup",
        metavar="PATH",
        help="all that runs in a cgroup, masked in place, such as /system.slice/x.service",
    )
    parser.add_argument("--unit", metavar="U", help="a systemd unit (not in this version)")
    parser.add_argument("--container", metavar="C", help="a container (not in this version)")


def _pid(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id")
    return int(text)


def _attach(invocation: Invocation) -> int:
    options = invocation.options
    reply = invocation.call("Leases/Attach", {"lease_id": options.lease, **_target(options)})
    for sentence in reply.texts("warnings"):
        invocation.warn(sentence)
    invocation.note(printable(attached(reply, options.cgroup or f"process {options.pid}")))
    return 0


def _target(options: argparse.Namespace) -> dict[str, object]:
    for flag, instead in _INSTEAD.items():
        if getattr(options, flag) is not None:
            raise UsageError(f"--{flag} is not in this version; {instead}")
    if (options.pid is None) == (options.cgroup is None):
        raise UsageError("say which process: --pid P, or which cgroup: --cgroup PATH")
    if options.pid is not None:
        return {"process": {"pid": options.pid}}
    return {"cgroup": options.cgroup}


def attached(reply: Document, what: str) -> str:
    """Say what attaching *what* did, from a message `AttachReply`."""
    lease, done = reply.part("lease"), reply.part("attachment")
    number, cgroup = len(done.parts("processes")), lease.part("holder").text("cgroup")
    processes = f"{number} process{'' if number == 1 else 'es'}"
    how = ""
    match done.text("mode"):
        case "ATTACH_MODE_MOVED":
            how = f"{processes} moved into its cgroup"
        case "ATTACH_MODE_IN_PLACE":
            how = f"masked in place in {cgroup}, {processes} there"
        # What was attached before has this mode too, and is in the lease's cgroup.
        case "ATTACH_MODE_RECORDED" if not cgroup:
            how = f"recorded by name; {lease.part('enforcement').text('sentence')}"
        case _:
            pass
    return f"{what} is under {lease.text('id')}" + (f": {how}" if how else "")


COMMANDS = {"attach": Command(_arguments, _attach)}
