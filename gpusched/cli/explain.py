"""`gpusched explain`: why, why not, and what would do; the daemon reasons, this prints."""

import argparse

from gpusched.cli.allocation import add_allocation, request_of
from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.events import event_line
from gpusched.cli.status import terminal_width
from gpusched.cli.table import Column, lines_of, printable
from gpusched.cli.words import device_name
from gpusched.client.document import Document

_VERDICTS = (Column("DEVICE", right=True), Column("FITS"), Column("WHY"))
_WISHES = (
    *("gpus", "min_gpus", "memory", "gpu_type", "mig", "allow_larger_mig", "sharing", "pool"),
    *("topology", "topology_required", "placement", "affinity"),
    *("wait", "time_limit", "priority", "enforce", "mask_format", "over_use", "label"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_allocation(parser)
    parser.add_argument("--lease", metavar="LEASE", help="tell the story of a lease instead")


def _explain(invocation: Invocation) -> int:
    reply = invocation.call("Leases/Explain", _subject(invocation.options))
    invocation.say("\n".join(explain_lines(reply, terminal_width())))
    return 0


def _subject(options: argparse.Namespace) -> dict[str, object]:
    """Say what to explain: one device without any other wish is the device itself."""
    wishes = any(getattr(options, name) is not None for name in _WISHES)
    if options.lease is not None:
        if wishes or options.device is not None:
            raise UsageError("--lease stands alone: a lease has its devices already")
        return {"lease_id": options.lease}
    device = options.device
    if device is not None and not wishes and "," not in device and device != "env":
        return {"device": device}
    return {"request": request_of(options)}


def explain_lines(reply: Document, width: int | None) -> list[str]:
    """Lay out a message `ExplainReply`."""
    lines = [printable(reply.text("sentence"))]
    verdicts = reply.parts("verdicts")
    if verdicts:
        lines += ["", *lines_of(_VERDICTS, [_verdict(one) for one in verdicts], width)]
    waits_for = reply.part("rejection").text("waits_for")
    if waits_for:
        lines += ["", f"it would wait for {waits_for}"]
    would_do = reply.part("rejection").text("nearest_command")
    if would_do:
        lines += ["", f"the nearest that would do: {would_do}"]
    story = reply.parts("story")
    if story:
        lines += ["", *(event_line(one) for one in story)]
    return lines


def _verdict(verdict: Document) -> list[str]:
    fits = "yes" if verdict.flag("fits") else "never" if verdict.flag("never") else "not now"
    return [device_name(verdict), fits, verdict.text("sentence")]


COMMANDS = {"explain": Command(_arguments, _explain)}
