"""`gpusched attach`: puts what runs already under a lease, and says what that changed."""

import argparse

from gpusched.cli.arguments import add_lease, pid
from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.table import printable
from gpusched.client.document import Document

_TARGETS = ("pid", "unit", "container", "cgroup")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_lease(parser)
    parser.add_argument(
        "--pid",
        type=pid,
        metavar="P",
        help="a process and its descendants; one of a unit or container stays where it is, and the"
        " whole of that is masked in place",
    )
    parser.add_argument(
        "--cgroup",
        metavar="PATH",
        help="all that runs in a cgroup, masked in place, such as /system.slice/x.service",
    )
    parser.add_argument(
        "--unit", metavar="U", help="a running unit of systemd, masked in place, such as x.service"
    )
    parser.add_argument(
        "--container",
        metavar="C",
        help="a running container, masked in place, by its name or id",
    )


def _attach(invocation: Invocation) -> int:
    options = invocation.options
    reply = invocation.call("Leases/Attach", {"lease_id": options.lease, **_target(options)})
    for sentence in reply.texts("warnings"):
        invocation.warn(sentence)
    invocation.note(printable(attached(reply, _named(options))))
    return 0


def _target(options: argparse.Namespace) -> dict[str, object]:
    given = [one for one in _TARGETS if getattr(options, one) is not None]
    if len(given) != 1:
        raise UsageError(
            "say what, in one of these ways: --pid P, --unit U, --container C, --cgroup PATH"
        )
    if options.pid is not None:
        return {"process": {"pid": options.pid}}
    if options.container is not None:
        return {"container": _whole_id(options.container)}
    return {given[0]: getattr(options, given[0])}


def _whole_id(name: str) -> str:
    """Give the id of a container that an engine knows by *name*; else the name as it is."""
    # Here: only this way asks an engine, and the cold start is measured.
    from gpusched.cli.container_engine import container_named  # noqa: PLC0415

    found = container_named(name)
    if len(found) > 1:
        engines = ", ".join(f"{engine} has {number[:12]}" for engine, number in found)
        raise UsageError(f"--container: {name} is several: {engines}; name one by its id")
    return found[0][1] if found else name


def _named(options: argparse.Namespace) -> str:
    kind = next(one for one in _TARGETS if getattr(options, one) is not None)
    what = {"pid": "process ", "container": "container "}.get(kind, "")
    return f"{what}{getattr(options, kind)}"


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
