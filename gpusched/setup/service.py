"""The two things that setup does, from looking to the last word: install and uninstall."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gpusched.setup import places
from gpusched.setup.doing import do
from gpusched.setup.host import Host, look
from gpusched.setup.installing import (
    advice,
    check_before,
    check_host,
    check_spec,
    configuring,
    fetching,
)
from gpusched.setup.living import end_leases, living_leases
from gpusched.setup.removing import check_idle, removing, staying
from gpusched.setup.source import Source, source_of
from gpusched.setup.steps import Reason, SetupFault

Tell = Callable[[str], None]


def fetch(named: Path | None, simulate: str | None, tell: Tell) -> bool:
    """Put the package into its environment; say whether there was anything to put.

    Args:
        named: A wheel, an sdist or a source tree; None: from where this gpusched came.
        simulate: As `configure`; checked here, before anything is changed.
        tell: Takes a line of progress.

    Raises:
        SetupFault: With the next step.
    """
    host = _look()
    check_before(host)
    if simulate is not None:
        check_spec(simulate)
    source = source_of(None if named is None else named.absolute(), host.running)
    if source is None:
        return False
    with _alone():
        do(fetching(host, source, _constraints(source)), tell)
    return True


def configure(simulate: str | None, tell: Tell) -> list[str]:
    """Make a service of the package in its environment; give what the user should read.

    Args:
        simulate: What the service is to simulate; None: it serves the real devices.
        tell: Takes a line of progress.

    Raises:
        SetupFault: With the next step.
    """
    host = _look()
    with _alone():
        do(configuring(host, simulate), tell)
    return advice(host, simulate)


def uninstall(tell: Tell, *, force: bool) -> list[str]:
    """Take all of it away; give what stays, and why.

    Args:
        tell: Takes a line of progress.
        force: End living leases, and their processes.

    Raises:
        SetupFault: With the next step.
    """
    host = _look()
    with _alone():
        leases = living_leases()
        check_idle(leases, force=force)
        if leases:
            end_leases(leases, tell)
        do(removing(host), tell)
    return staying(host)


def _look() -> Host:
    # What is made is for everybody to read, whatever root's own habit is.
    os.umask(0o022)
    try:
        host = look()
    except OSError as error:
        raise SetupFault(
            Reason.FAILED, f"{error.filename}: {error.strerror}; mend that and run setup again"
        ) from None
    check_host(host)
    return host


def _constraints(source: Source) -> Path | None:
    """Find the versions that a source tree was tested with.

    Raises:
        SetupFault: What is to be installed is gone.
    """
    if source.file is None:
        return None
    if not source.file.exists():
        raise SetupFault(
            Reason.WORDS,
            f"{source.file} is not there: name a wheel or a source tree with --from PATH",
        )
    path = source.file / "constraints.txt"
    return path if path.is_file() else None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep a second setup out; a lock on a folder leaves no file behind."""
    folder = os.open(places.UNITS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SetupFault(
            Reason.IN_USE, "another setup is at work: let it end, then try again"
        ) from None
    else:
        yield
    finally:
        os.close(folder)
