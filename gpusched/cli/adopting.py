"""`gpusched adopt`: turns what runs on the devices already into leases, without a restart."""

import argparse

from gpusched.cli.arguments import pid
from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.exits import BAD_REQUEST, OK
from gpusched.cli.table import Column, lines_of
from gpusched.cli.terminal import terminal_width
from gpusched.cli.words import NONE
from gpusched.client.document import Document

_COLUMNS = (
    Column("PROCESSES"),
    Column("UID", right=True),
    Column("CGROUP", gives_way=True),
    Column("LEASE"),
    Column("WHAT"),
)
_HELP = (
    "Without PID or --all it only lists. A unit or a container is one lease, masked in place;"
    " elsewhere a process and its descendants are one, moved into a cgroup of the lease. It gets"
    " the devices that it uses: alone on one the whole of it, else as much memory as it has now."
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} {_HELP}"
    parser.add_argument(
        "pid", nargs="?", type=pid, metavar="PID", help="a process, and what belongs to it"
    )
    parser.add_argument(
        "--all", action="store_true", help="every process that holds a device without a lease"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _adopt(invocation: Invocation) -> int:
    options = invocation.options
    if options.pid is not None and options.all:
        raise UsageError("say which: a PID or --all, not both")
    listing = options.pid is None and not options.all
    message: dict[str, object] = {"all": True}
    if options.pid is not None:
        message = {"process": {"pid": options.pid}}
    if options.dry_run or listing:
        message["dry_run"] = True
    rows = invocation.call("Leases/Adopt", message).parts("adoptions")
    invocation.say("\n".join(adoption_lines(rows, terminal_width())))
    if "dry_run" in message:
        if rows:
            invocation.note("nothing was changed; `gpusched adopt --all`, or with a PID, does it")
        return OK
    refused = [one for one in rows if one.flag("refused")]
    return BAD_REQUEST if refused and len(refused) == len(rows) else OK


def adoption_lines(rows: list[Document], width: int | None) -> list[str]:
    """Lay out messages `Adoption`."""
    if not rows:
        return ["no process holds a device without a lease"]
    return lines_of(_COLUMNS, [_row(one) for one in rows], width)


def _row(row: Document) -> list[str]:
    pids = (str(one.number("pid")) for one in row.parts("processes"))
    refused = row.flag("refused")
    sentence = row.text("sentence")
    return [
        ",".join(pids),
        NONE if not row.texts("device_uuids") else str(row.number("uid")),
        row.text("cgroup") or NONE,
        row.part("lease").text("id") or NONE,
        f"refused: {sentence}" if refused else sentence,
    ]


COMMANDS = {"adopt": Command(_arguments, _adopt)}
