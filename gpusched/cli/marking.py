"""`gpusched cordon`, `uncordon`, `drain`: an operator's marks on devices."""

import argparse

from gpusched.cli.arguments import add_signal_in_place
from gpusched.cli.command import Command, Invocation, show_json
from gpusched.cli.words import clock, device_name
from gpusched.client import asking
from gpusched.client.document import Document

_DEVICE_HELP = "index or UUID, as in `gpusched devices`; a lost one by its UUID"
_CORDON_HELP = (
    "They end by themselves. A GPU is cordoned with its MIG instances. The word is Kubernetes'."
)
_DRAIN_HELP = (
    "At the deadline, of which their holders are told, the leases end as by `gpusched revoke`:"
    " SIGTERM, the grace, and SIGKILL in cgroups that gpusched made. The word is Kubernetes'; what"
    " Slurm calls DRAIN is `gpusched cordon` here."
)
_UNCORDON_HELP = "A fault that is reported again marks it again."


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="DEVICE", help=_DEVICE_HELP)


def _add_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, metavar="R", help="why; everyone is shown it")


def _cordoning(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} {_CORDON_HELP}"
    _add_device(parser)
    _add_reason(parser)


def _uncordoning(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} {_UNCORDON_HELP}"
    _add_device(parser)


def _draining(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} {_DRAIN_HELP}"
    _add_device(parser)
    _add_reason(parser)
    parser.add_argument(
        "--deadline",
        metavar="TIME",
        help="until the leases end, such as 30m; 0s ends them at once; default: the daemon's",
    )
    add_signal_in_place(parser)


def _cordon(invocation: Invocation) -> int:
    options = invocation.options
    device = invocation.call(
        "Devices/Cordon", {"device": options.device, "reason": options.reason}
    )
    name, deadline = device_name(device), device.part("cordon").text("drain_deadline")
    leases = len(device.texts("lease_ids"))
    rest = f"; {_leases(leases)} on it" if leases else ""
    if deadline:
        rest = f"; it stays drained, and its leases end at {clock(deadline)}: to keep them,"
        rest += f" `gpusched uncordon {name}` first"
    invocation.note(f"device {name} is cordoned: no new leases{rest}")
    return 0


def _uncordon(invocation: Invocation) -> int:
    device = invocation.call("Devices/Uncordon", {"device": invocation.options.device})
    what = "takes new leases" if device.flag("schedulable") else "has no mark any more"
    reason = device.text("unschedulable_reason")
    rest = f"; no lease could be had now: {reason}" if reason else ""
    invocation.note(f"device {device_name(device)} {what}{rest}")
    return 0


def _drain(invocation: Invocation) -> int:
    options = invocation.options
    message: dict[str, object] = {"device": options.device, "reason": options.reason}
    if options.deadline is not None:
        message["deadline"] = asking.duration_or_none("deadline", options.deadline)
    if options.signal_in_place:
        message["signal_in_place"] = True
    reply = invocation.client.call("Devices/Drain", message)
    if invocation.json:
        show_json(reply.fields)
    invocation.note(_drained(reply))
    return 0


def _drained(reply: Document) -> str:
    device = reply.part("device")
    leases = [one.text("id") for one in reply.parts("leases")]
    what = f"device {device_name(device)} is drained: no new leases"
    if not leases:
        return f"{what}, and none is left on it"
    at = clock(device.part("cordon").text("drain_deadline"))
    return f"{what}; these end at {at}: {', '.join(leases)}"


def _leases(count: int) -> str:
    return "the lease stays that is" if count == 1 else f"the {count} leases stay that are"


COMMANDS = {
    "cordon": Command(_cordoning, _cordon),
    "uncordon": Command(_uncordoning, _uncordon),
    "drain": Command(_draining, _drain),
}
