"""`gpusched run`: reads the words; `launch` does the rest in this process."""

import argparse
import os

from gpusched.cli.allocation import add_allocation, request_of
from gpusched.cli.command import Command, Invocation, UsageError, complain
from gpusched.client.errors import DaemonUnreachable
from gpusched.launch import run as launching


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_allocation(parser)
    parser.add_argument(
        "--if-available",
        action="store_true",
        help="where no daemon runs, run CMD all the same, without a lease; what a daemon refuses"
        " stays refused",
    )


def _run(invocation: Invocation) -> int:
    options = invocation.options
    if not options.command:
        raise UsageError("no command behind `--`, such as `-- python train.py`")
    if options.if_available and options.enforce == "required":
        raise UsageError("--enforce required needs a daemon: leave out --if-available")
    try:
        code, why = launching.run(
            invocation.client, request_of(options), options.command, os.environ, invocation.warn
        )
    except DaemonUnreachable as error:
        if not (options.if_available and error.nobody):
            raise
        program = options.command[0]
        invocation.warn(
            f"{program} runs without a lease, as --if-available has it: {error.sentence}"
        )
        code, why = launching.run_unleased(options.command, os.environ)
    if why:
        complain(why)
    return code


COMMANDS = {"run": Command(_arguments, _run)}
