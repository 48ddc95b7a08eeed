"""Runs a program for at most so long: one that hangs in the kernel is left behind, not waited for.

`subprocess.run` waits for what it has killed, and a process that hangs in a driver never ends.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_LAST_WORDS: Final = 1.0
"""Seconds for a killed process to go."""


class Silent(Exception):
    """No answer in time; the text says of what."""


class Unstartable(Exception):
    """A program is there and cannot be started; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed.

    Attributes:
        code: Its exit status; negative: the signal that ended it.
        text: Standard output.
        errors: Standard error.
    """

    code: int
    text: str
    errors: str = ""

    @property
    def last_words(self) -> str:
        """The last line of what it complained, else of what it printed."""
        lines = [one.strip() for one in (self.errors or self.text).splitlines() if one.strip()]
        return lines[-1][:200] if lines else f"exit status {self.code}"


Execute: TypeAlias = Callable[[Sequence[str], float], Output | None]
"""Runs words for at most so many seconds; None: there is no such program."""


def execute(words: Sequence[str], patience: float) -> Output | None:
    """Run a program to its end; None: it is not installed.

    Args:
        words: The program and its arguments; nothing is expanded.
        patience: Seconds.

    Raises:
        Silent: It did not end in time, and was killed.
        Unstartable: It cannot be started.
    """
    path = shutil.which(words[0], path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if path is None:
        return None
    try:
        process = subprocess.Popen(  # noqa: S603 - words of our own
            [path, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        raise Unstartable(f"{path} cannot be started: {error.strerror}") from None
    try:
        text, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        _abandon(process)
        raise Silent(f"`{' '.join(words)}` did not answer within {patience:g} s") from None
    return Output(process.returncode, text, errors)


def _abandon(process: "subprocess.Popen[str]") -> None:
    """Kill it and what it started, and wait a moment only."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session, and not reaped yet
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WORDS)
