"""Starts CMD and stays until the last process of it is gone, for a lease that has no cgroup.

Without a cgroup a lease's processes are known by descent only. A daemonised one would become a
child of init and be lost, so this process adopts it (subreaper): the tree stays whole. For whoever
looks on, nothing else may differ from becoming CMD: same process group, same signals, same end.
Loaded only where it is needed (cold start).
"""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from gpusched.launch import libc

Warn = Callable[[str], None]

PATIENCE = 1.0
"""Seconds that what CMD leaves behind may take to end before the user is told."""

# linux/prctl.h
_PARENT_DEATH_SIGNAL, _DUMPABLE, _CHILD_SUBREAPER = 1, 4, 36

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
_FAULTS |= {signal.SIGABRT, signal.SIGSYS}
_BROKEN_OUTPUT = {signal.SIGPIPE, signal.SIGXFSZ}
# The kernel sends these to the whole process group, and stopping is what they are for.
_BACKGROUND = {signal.SIGTTIN, signal.SIGTTOU}
_WAITED = (
    signal.valid_signals()
    - _FAULTS
    - _BROKEN_OUTPUT
    - _BACKGROUND
    - {signal.SIGKILL, signal.SIGSTOP}
)
# Not SIGSTOP: who stops CMD by its pid continues it by its pid, and this process would stay
# behind.
_TERMINAL_STOPS = {signal.SIGTSTP, *_BACKGROUND}


def supervise(command: Sequence[str], environment: Mapping[str, str], warn: Warn) -> int:
    """Start *command* as a child and end as it ended, when no descendant of it is left.

    Args:
        command: The program and its arguments.
        environment: All that the program gets.
        warn: Tells the user one sentence.

    Returns:
        The exit code. Where a signal ended the command, this process ends by it, too.

    Raises:
        OSError: The command could not be executed; this process is as before.
        ValueError: As OSError.
    """
    libc.prctl(_CHILD_SUBREAPER, 1)
    # Where it is ignored, children vanish without a word of how they ended.
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_DFL) is signal.SIG_IGN
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    try:
        child = _start(command, environment, mask, ignored=ignored)
    except (OSError, ValueError):
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    for number in _BROKEN_OUTPUT:
        signal.signal(number, signal.SIG_IGN)
    _let_go()
    return _end_as(_Supervision(child, warn).wait())


def _start(
    command: Sequence[str], environment: Mapping[str, str], mask: set[int], *, ignored: bool
) -> int:
    """Fork and execute; give the child's pid once it has become the command."""
    ours, theirs = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        _become(command, environment, mask, theirs, parent)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        failure = pipe.read().decode(errors="replace")
    if failure:
        os.waitpid(child, 0)
        number, _, text = failure.partition(" ")
        raise OSError(int(number), os.strerror(int(number))) if int(number) else ValueError(text)
    return child


def _become(
    command: Sequence[str],
    environment: Mapping[str, str],
    mask: set[int],
    pipe: int,
    parent: int,
) -> NoReturn:
    """Execute in the child; whatever fails is written to *pipe*, which execution closes."""
    try:
        # Who kills `gpusched run` means the command.
        libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == parent:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # No shell, and the user's own command: this is what `run` is for.
            os.execvpe(command[0], list(command), environment)  # noqa: S606
    except OSError as error:
        os.write(pipe, f"{error.errno} ".encode())
    except ValueError as error:
        os.write(pipe, f"0 {error}".encode())
    finally:
        os._exit(1)


class _Supervision:
    """Waits for a child and what it leaves behind, and hands signals on."""

    def __init__(self, child: int, warn: Warn) -> None:
        self._child = child
        self._descriptor = os.pidfd_open(child)
        self._warn = warn
        self._status: int | None = None
        self._told = False

    def wait(self) -> int:
        """Give the child's wait status when no descendant is left."""
        while self._reap() or self._status is None:
            patience = None if self._status is None or self._told else PATIENCE
            if patience is None:
                self._handle(signal.sigwaitinfo(_WAITED))
            elif info := signal.sigtimedwait(_WAITED, patience):
                self._handle(info)
            else:
                self._tell()
        return self._status

    def _reap(self) -> bool:
        """Take note of every end; say whether children are left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid != self._child:
                continue
            if not os.WIFSTOPPED(status):
                self._status = status
            elif os.WSTOPSIG(status) in _TERMINAL_STOPS:
                _stop()

    def _handle(self, info: signal.struct_siginfo) -> None:
        if info.si_signo == signal.SIGCHLD:
            return
        if self._status is not None:
            self._forward_to_left(info)
        elif not self._has_it(info):
            _send(self._descriptor, info.si_signo)

    def _has_it(self, info: signal.struct_siginfo) -> bool:
        """Say whether the child got the signal as well, or sent it."""
        if info.si_code <= 0:  # a process sent it
            return info.si_pid == self._child
        # From the terminal: to the whole group. But a hangup comes to the session's leader alone.
        with suppress(ProcessLookupError):
            same = os.getpgid(self._child) == os.getpgrp()
            return same and info.si_signo != signal.SIGHUP
        return True

    def _forward_to_left(self, info: signal.struct_siginfo) -> None:
        number = info.si_signo
        # What a shell has put into the background ignores Ctrl-C; the user means it all the same.
        number = signal.SIGTERM if number == signal.SIGINT else number
        for pid in _children():
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                _send(descriptor, number)
                os.close(descriptor)
        if number == signal.SIGTSTP:
            _stop()

    def _tell(self) -> None:
        self._told = True
        left = ", ".join(map(str, _children())) or "pids unknown"
        self._warn(
            f"the command has ended, and the lease stays for what it left behind ({left}):"
            " Ctrl-C or SIGTERM is handed on to it"
        )


def _stop() -> None:
    """Stop as the terminal stops: only so does the shell learn that its job has stopped."""
    if signal.SIGCONT in signal.sigpending():
        return
    signal.raise_signal(signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


def _send(descriptor: int, number: int) -> None:
    # Gone, or of another user by a setuid program.
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(descriptor, number)


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:  # noqa: PTH123 - cold start
            return [int(one) for one in listed.read().split()]
    except OSError:
        return []


def _let_go() -> None:
    """Close all but standard error: who reads the command's output waits for its end, not ours."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _end_as(status: int) -> int:
    """Give the exit code, or end by the signal, so that a shell sees how the command ended."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    libc.prctl(_DUMPABLE, 0)  # no second core dump
    with suppress(OSError):  # SIGKILL
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.raise_signal(number)
    return 128 + number
