"""`gpusched nvml`: let go of the driver for an upgrade or a reset, and take it up again."""

import argparse

from gpusched.cli.command import Command, Invocation, UsageError
from gpusched.cli.exits import LATER, OK
from gpusched.client.document import Document

_HELP = (
    "`release` ends the daemon's only process that has the driver open, so that the driver can be"
    " unloaded or a GPU reset once nobody else uses it. Leases stand, nothing new is granted, and"
    " a restart of the daemon does not change that; a restart of the host does. `resume` starts a"
    " process that loads the library anew."
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} {_HELP}"
    parser.add_argument("action", choices=("release", "resume"), metavar="release|resume")
    parser.add_argument("--reason", metavar="R", help="why; shown in the status, with `release`")


def _nvml(invocation: Invocation) -> int:
    options = invocation.options
    if options.action == "resume":
        if options.reason is not None:
            raise UsageError("--reason goes with `release`")
        return _resumed(invocation, invocation.call("Node/ResumeDriver"))
    message: dict[str, object] = {} if options.reason is None else {"reason": options.reason}
    driver = invocation.call("Node/ReleaseDriver", message)
    invocation.note(driver.text("sentence"))
    return OK


def _resumed(invocation: Invocation, driver: Document) -> int:
    """Say whether the driver answers; that it does not is told by the exit code as well."""
    if driver.text("state") == "DRIVER_STATE_ANSWERING":
        version = driver.part("driver_version").text("value")
        invocation.note(f"the driver is taken up again: version {version}")
        return OK
    invocation.warn(f"the driver does not answer: {driver.text('sentence')}")
    return LATER


COMMANDS = {"nvml": Command(_arguments, _nvml)}
