"""The words of `gpusched serve`; the daemon itself is beyond the command line."""

import argparse

from gpusched.cli.command import Command, Invocation


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--state-dir",
        metavar="DIR",
        help="where the ledger is; else $GPUSCHED_STATE_DIR, /var/lib/gpusched for root,"
        " $XDG_STATE_HOME/gpusched",
    )
    add(
        "--config",
        metavar="FILE",
        help="else $GPUSCHED_CONFIG, /etc/gpusched/gpusched.toml",
    )
    add(
        "--simulate",
        metavar="SPEC|FILE",
        help="simulated devices instead of real ones, such as 8xH100 or a scenario file",
    )
    add(
        "--advisory",
        action="store_true",
        help="without root: leases that only ask, where no system daemon runs",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="default: the configuration's",
    )


def _run(_invocation: Invocation) -> int:
    """Never reached: `main` hands `serve` on to its caller."""
    raise NotImplementedError("serve is run by whoever calls main")


COMMANDS = {"serve": Command(_arguments, _run)}
