"""Arguments that several commands take, each with its name, its help and what it may be."""

import argparse

_LAST_PID = (1 << 31) - 1
"""Linux has pid_t in 32 bits."""


def add_lease(parser: argparse.ArgumentParser) -> None:
    """Add the lease that a command is about."""
    parser.add_argument("lease", metavar="LEASE", help="a lease's id, or the beginning of it")


def add_signal_in_place(parser: argparse.ArgumentParser) -> None:
    """Add the flag of those who may have a unit's own processes signalled."""
    parser.add_argument(
        "--signal-in-place",
        action="store_true",
        help="send SIGTERM also to processes in a unit or container that was attached in place",
    )


def pid(text: str) -> int:
    """Read the number of a process.

    Raises:
        ArgumentTypeError: No process can have it.
    """
    if not text.isdecimal() or not 0 < int(text) <= _LAST_PID:
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id")
    return int(text)
