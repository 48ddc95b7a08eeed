"""`gpusched config check`: all faults of the configuration at once, without a daemon."""

import argparse
import os
from pathlib import Path

from gpusched.cli.command import Command, Invocation, complain
from gpusched.cli.exits import BAD_REQUEST
from gpusched.config.read import ConfigFaults, read


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check",), metavar="check", help="read it, name faults")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="else $GPUSCHED_CONFIG, /etc/gpusched/gpusched.toml",
    )


def _check(invocation: Invocation) -> int:
    named = invocation.options.config
    try:
        read(Path(named) if named else None, os.environ)
    except ConfigFaults as error:
        for fault in error.faults:
            complain(fault)
        return BAD_REQUEST
    invocation.note("the configuration has no faults")
    return 0


COMMANDS = {"config": Command(_arguments, _check)}
