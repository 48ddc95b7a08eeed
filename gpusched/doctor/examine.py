"""Makes the checks one after the other; whatever goes wrong in one is a finding, not an end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from gpusched.doctor.execution import Silent, Unstartable
from gpusched.doctor.finding import Finding, Level, Remark, Remarks, fail, warn
from gpusched.doctor.host import Hidden, Unreadable
from gpusched.doctor.situation import Situation
from gpusched.doctor.table import CHECKS

QUIET: Final = 1.0
"""Seconds that a check may take before somebody is told that it is still at work."""


def examine(situation: Situation, still: Callable[[str], None]) -> Iterator[Finding]:
    """Make all checks; findings come as they are made.

    Args:
        situation: What is looked at.
        still: Is called with the name of a check that takes longer than a second.
    """
    for name, check in CHECKS:
        with _told(partial(still, name)):
            remarks = list(_guarded(check(situation)))
        for one in remarks:
            yield Finding(name, one.level, one.seen, one.advice)


def worst(findings: list[Finding]) -> Level:
    """Give the gravest level that there is."""
    levels = [Level.OK, Level.WARN, Level.FAIL]
    return max((one.level for one in findings), key=levels.index, default=Level.OK)


def _guarded(remarks: Remarks) -> Iterator[Remark]:
    try:
        yield from remarks
    except Hidden as error:
        yield warn(f"not visible to this user: {error}", "look as root: `sudo gpusched doctor`")
    except Unreadable as error:
        yield fail(
            str(error), "look at `dmesg`; a driver that is broken needs a reload or a reboot"
        )
    except Silent as error:
        yield fail(str(error), "see what it waits for; `dmesg` tells of drivers that hang")
    except Unstartable as error:
        yield warn(str(error), "install it anew")


@contextmanager
def _told(tell: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(QUIET, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
