"""The words of `gpusched setup`, and how it ends."""

import argparse
import os
from pathlib import Path

from gpusched.cli import exits
from gpusched.cli.command import Command, Invocation, UsageError, complain
from gpusched.setup import places, service
from gpusched.setup.steps import Reason, SetupFault

_CODES = {
    Reason.WORDS: exits.BAD_REQUEST,
    Reason.NOT_ROOT: exits.NOT_ALLOWED,
    Reason.NO_SYSTEMD: exits.NEVER_HERE,
    Reason.IN_USE: exits.LATER,
    Reason.FAILED: exits.UNREACHABLE,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--from",
        dest="source",
        metavar="PATH",
        help="a wheel or a source tree to install; else from where this gpusched came",
    )
    add(
        "--simulate",
        metavar="SPEC",
        help="let the service serve simulated devices, to try it; without the flag real ones",
    )
    add(
        "--uninstall",
        action="store_true",
        help="take the service away, with its state; settings changed by hand stay",
    )
    add(
        "--force",
        action="store_true",
        help="with --uninstall: end living leases and their processes, instead of refusing",
    )
    # Setup calls itself, in the environment that it made.
    add("--fetched", action="store_true", help=argparse.SUPPRESS)


def _setup(invocation: Invocation) -> int:
    options = invocation.options
    _check(options)
    try:
        if options.uninstall:
            _uninstall(invocation)
        else:
            _install(invocation)
    except SetupFault as fault:
        complain(str(fault))
        return _CODES[fault.reason]
    return exits.OK


def _check(options: argparse.Namespace) -> None:
    if options.uninstall and (options.source is not None or options.simulate is not None):
        raise UsageError("--uninstall takes neither --from nor --simulate")
    if options.force and not options.uninstall:
        raise UsageError("--force belongs to --uninstall")


def _install(invocation: Invocation) -> None:
    options = invocation.options
    named = None if options.source is None else Path(options.source)
    if not options.fetched and service.fetch(named, options.simulate, _telling(invocation)):
        _go_on(options)
    for line in service.configure(options.simulate, _telling(invocation)):
        invocation.note(line)


def _go_on(options: argparse.Namespace) -> None:
    """Become the gpusched that was just installed: the units are its own, not of this version."""
    words = ["setup", "--fetched"]
    words += [] if options.simulate is None else ["--simulate", options.simulate]
    words += [flag for flag in ("--quiet", "--json") if getattr(options, flag[2:])]
    python = str(places.PYTHON)
    os.execv(python, [python, "-I", "-m", "gpusched", *words])  # noqa: S606 - no shell is wanted


def _uninstall(invocation: Invocation) -> None:
    for line in service.uninstall(_telling(invocation), force=invocation.options.force):
        invocation.note(line)
    invocation.note("gpusched is no longer installed")


def _telling(invocation: Invocation) -> service.Tell:
    def tell(title: str) -> None:
        if not (invocation.options.quiet or invocation.json):
            print(f"· {title}", flush=True)

    return tell


COMMANDS = {"setup": Command(_arguments, _setup)}
