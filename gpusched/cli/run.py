"""`gpusched run`: reads the words; `launch` does the rest in this process."""

import os

from gpusched.cli.allocation import add_allocation, request_of
from gpusched.cli.command import Command, Invocation, UsageError, complain
from gpusched.launch import run as launching


def _run(invocation: Invocation) -> int:
    options = invocation.options
    if not options.command:
        raise UsageError("no command behind `--`, such as `-- python train.py`")
    code, why = launching.run(
        invocation.client, request_of(options), options.command, os.environ, invocation.warn
    )
    if why:
        complain(why)
    return code


COMMANDS = {"run": Command(add_allocation, _run)}
