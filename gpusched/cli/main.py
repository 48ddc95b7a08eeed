"""Runs one command and ends well: every failure is one line and an exit code, never a traceback.

What the user or the host did is told in a sentence; what we did wrong is a defect, exit 70.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from gpusched.cli import exits
from gpusched.cli.command import Invocation, UsageError, complain, show_json
from gpusched.cli.parser import Help, parse
from gpusched.client.errors import GpuschedError

Serve = Callable[[argparse.Namespace], int]
Doctor = Callable[[Invocation], int]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""How a write to standard output fails; of a file that was named the error has the name."""

_REPORT = "please report it with the output of GPUSCHED_DEBUG=1"


def main(words: Sequence[str], serve: Serve, doctor: Doctor | None = None) -> int:
    """Run the command line and give its exit code.

    Args:
        words: Everything behind `gpusched`.
        serve: Runs the daemon; an argument, because the command line knows the daemon as a
            client only.
        doctor: Examines the host; an argument, because it takes adapters. None: a caller that
            has none.
    """
    try:
        _print_anywhere()
        code = _guarded(words, serve, doctor)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return exits.BROKEN_PIPE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where a defect becomes a line
        if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
            return _unwritten(error)
        return _defect(error)
    return code


def _guarded(words: Sequence[str], serve: Serve, doctor: Doctor | None) -> int:
    try:
        invocation, command = parse(words)
    except Help as shown:
        print(str(shown).rstrip())
        return exits.OK
    except UsageError as error:
        complain(str(error))
        return exits.BAD_REQUEST
    if invocation.name == "serve":
        return serve(invocation.options)
    run = command.run if invocation.name != "doctor" or doctor is None else doctor
    try:
        return run(invocation)
    except UsageError as error:
        complain(f"{invocation.name}: {error}; see `gpusched {invocation.name} --help`")
        return exits.BAD_REQUEST
    except GpuschedError as error:
        return _refused(invocation, error)


def _refused(invocation: Invocation, error: GpuschedError) -> int:
    """Say why not, and what would do."""
    from gpusched.cli.flags import in_flags  # noqa: PLC0415 - cold start: only for a refusal

    complain(in_flags(error.sentence, error.field))
    would_do = _as_typed(error.nearest_command, invocation)
    if would_do:
        complain(f"the nearest that would do: {would_do}")
    elif error.hint_command:
        complain(f"this tells more: {invocation.to_paste(error.hint_command)}")
    waiting = _as_typed(error.wait_command, invocation)
    if waiting:
        complain(f"to wait for it: {waiting}")
    if invocation.json:
        details = {"code": error.code, "message": error.sentence, "rejection": error.rejection}
        show_json({"error": details}, one_line=True)
    return exits.code_of(error)


def _as_typed(command: str, invocation: Invocation) -> str:
    """Put a request that would do into the words of the command that was typed."""
    start, end = "gpusched run ", " -- CMD"
    if not (command.startswith(start) and command.endswith(end)):
        return invocation.to_paste(command)
    request = command.removeprefix(start).removesuffix(end)
    import shlex  # noqa: PLC0415 - cold start: only for a refusal

    if invocation.name == "run":
        rest = ["--", *invocation.options.command]
    else:
        deadline = getattr(invocation.options, "attach_deadline", None)
        rest = [] if deadline is None else ["--attach-deadline", deadline]
    words = f"gpusched {invocation.name} {request} {shlex.join(rest)}"
    return invocation.to_paste(words.rstrip())


def _defect(error: Exception) -> int:
    if os.environ.get("GPUSCHED_DEBUG"):
        import traceback  # noqa: PLC0415 - cold start: only for a defect

        traceback.print_exception(error)
    kind = type(error).__name__
    complain(f"a defect of gpusched ({kind}: {error}); {_REPORT}")
    return exits.DEFECT


def _unwritten(error: OSError) -> int:
    _discard_output()
    complain(f"the output cannot be written: {error.strerror}; make room, or send it elsewhere")
    return exits.UNREACHABLE


def _print_anywhere() -> None:
    """Let a name that the terminal's encoding does not know print as `?` instead of failing.

    A stream that the caller has closed is a hole: what is for standard error would else be
    printed on standard output, where a shell may evaluate it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - pathlib would cost the cold start; it lasts as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Let the interpreter's own flush at the end find nobody to complain about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
