"""`gpusched explain`: why, why not, and what would do; the daemon reasons, this prints."""

import argparse
from collections.abc import Callable

from gpusched.cli.allocation import add_allocation, request_of
from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.events import event_line
from gpusched.cli.flags import in_flags
from gpusched.cli.table import Column, lines_of, printable
from gpusched.cli.terminal import terminal_width
from gpusched.cli.words import device_name, instant, now, span
from gpusched.client.document import Document

_VERDICTS = (Column("DEVICE", right=True), Column("FITS"), Column("WHY"))
_WISHES = (
    *("gpus", "min_gpus", "memory", "gpu_type", "mig", "allow_larger_mig", "sharing", "pool"),
    *("topology", "topology_required", "placement", "affinity"),
    *("wait", "time_limit", "priority", "enforce", "mask_format", "over_use", "label"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "request",
        nargs="?",
        metavar="REQUEST",
        help="the id of a request that waits, or of one that has a lease, as `gpusched leases`"
        " lists them",
    )
    add_allocation(parser)
    parser.add_argument("--lease", metavar="LEASE", help="tell the story of a lease instead")


def _explain(invocation: Invocation) -> int:
    subject = _subject(invocation.options)
    reply = invocation.call("Leases/Explain", subject)
    waits = "request" not in subject
    lines = explain_lines(reply, terminal_width(), invocation.to_paste, waits=waits)
    invocation.say("\n".join(lines))
    return 0


def _subject(options: argparse.Namespace) -> dict[str, object]:
    """Say what to explain: one device without any other wish is the device itself."""
    wishes = any(getattr(options, name) is not None for name in _WISHES)
    if options.request is not None:
        if wishes or options.device is not None or options.lease is not None:
            raise UsageError("REQUEST stands alone: what it asks for is known")
        return {"request_id": options.request}
    if options.lease is not None:
        if wishes or options.device is not None:
            raise UsageError("--lease stands alone: a lease has its devices already")
        return {"lease_id": options.lease}
    device = options.device
    if device is not None and not wishes and "," not in device and device != "env":
        return {"device": device}
    return {"request": request_of(options)}


def explain_lines(
    reply: Document,
    width: int | None,
    to_paste: Callable[[str], str] = str,
    *,
    waits: bool = False,
) -> list[str]:
    """Lay out a message `ExplainReply`.

    Args:
        reply: The message.
        width: Columns of the terminal; None: as wide as it needs.
        to_paste: Gives a command as it can be pasted.
        waits: Whether it is of a request that waits already.
    """
    field = reply.part("rejection").text("field")
    lines = [printable(in_flags(reply.text("sentence"), field))]
    verdicts = reply.parts("verdicts")
    if verdicts:
        lines += ["", *lines_of(_VERDICTS, [_verdict(one) for one in verdicts], width)]
    for words in (_outlook(reply, now(), waits=waits), _commands(reply, to_paste)):
        lines += ["", *map(printable, words)] if words else []
    story = reply.parts("story")
    if story:
        lines += ["", *(event_line(one) for one in story)]
    return lines


def _outlook(reply: Document, at: float, *, waits: bool) -> list[str]:
    """Say what has to happen first, when that is at the latest, and who makes way."""
    waiting = reply.part("waiting")
    waits_for = waiting.text("waits_for") or reply.part("rejection").text("waits_for")
    words = [f"it {'waits' if waits else 'would wait'} for {waits_for}"] if waits_for else []
    begins = instant(waiting.text("begins_by"))
    if begins is not None:
        verb = "begins" if waits else "would begin"
        left = span(begins - at)
        words.append(
            f"enough ends in {left} at the latest: then it {verb}, unless others go first"
        )
    leases = reply.texts("preempted_lease_ids")
    if leases:
        would = "" if waits else "would "
        gives = "give" if would or len(leases) > 1 else "gives"
        words.append(f"{', '.join(leases)} {would}{gives} way to it")
    return words


def _commands(reply: Document, to_paste: Callable[[str], str]) -> list[str]:
    """Give what can be typed instead, or next."""
    rejection = reply.part("rejection")
    would_do, waiting = rejection.text("nearest_command"), rejection.text("wait_command")
    words = [f"the nearest that would do: {to_paste(would_do)}"] if would_do else []
    return [*words, f"to wait for it: {to_paste(waiting)}"] if waiting else words


def _verdict(verdict: Document) -> list[str]:
    fits = "yes" if verdict.flag("fits") else "never" if verdict.flag("never") else "not now"
    return [device_name(verdict), fits, verdict.text("sentence")]


COMMANDS = {"explain": Command(_arguments, _explain)}
