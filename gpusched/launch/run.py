"""Allocates for the calling process and becomes the command, so that nothing of ours stays.

The lease is the process's from the grant on (`attach_caller`): the pid survives exec, so there is
no moment at which nobody holds it, and it ends with the command.
"""

import os
import signal
from collections.abc import Callable, Mapping, Sequence

from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError
from gpusched.client.thin import ThinClient

NOT_FOUND = 127
"""Exit code when there is no such command, as shells have it."""

NOT_EXECUTABLE = 126
"""Exit code when the command cannot be executed, as shells have it."""

Warn = Callable[[str], None]

_MASK = "CUDA_VISIBLE_DEVICES"


def run(
    client: ThinClient,
    request: dict[str, object],
    command: Sequence[str],
    environment: Mapping[str, str],
    warn: Warn,
) -> tuple[int, str]:
    """Allocate for this process, then become *command*.

    Args:
        client: Calls the daemon.
        request: An `AllocateRequest` in its JSON form.
        command: The program and its arguments.
        environment: What the program gets beside the grant's own variables.
        warn: Tells the user one sentence.

    Returns:
        Only if the command could not be executed: the exit code and why; the lease is given back.

    Raises:
        GpuschedError: Nothing was granted.
    """
    grant = client.call("Leases/Allocate", {**request, "attach_caller": True})
    granted = grant.words("environment")
    for sentence in (*overridden(environment, granted), *grant.texts("warnings")):
        warn(sentence)
    restored = _default_signals()
    try:
        # No shell, and the user's own command: this is what `run` is for.
        os.execvpe(command[0], list(command), {**environment, **granted})  # noqa: S606
    except (OSError, ValueError) as error:
        _restore(restored)
        _give_back(client, grant, warn)
        return _failure(command[0], error)


def overridden(environment: Mapping[str, str], granted: Mapping[str, str]) -> list[str]:
    """Say that a mask which the user had set is replaced by the lease's."""
    before, now = environment.get(_MASK), granted.get(_MASK)
    if before is None or now is None or before == now:
        return []
    return [f"{_MASK}={before} is overridden: the lease has {now or 'no device'}"]


def _failure(program: str, error: OSError | ValueError) -> tuple[int, str]:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if os.path.exists(program):  # noqa: PTH110 - cold start
            return NOT_FOUND, f"{program}: its interpreter, in the first line, does not exist"
        return NOT_FOUND, f"{program}: command not found; check the name and PATH"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return NOT_EXECUTABLE, f"{program}: cannot be executed: {why}"


def _give_back(client: ThinClient, grant: Document, warn: Warn) -> None:
    lease = grant.part("lease").text("id")
    try:
        client.call("Leases/Release", {"lease_id": lease})
    except GpuschedError as error:
        # It ends with this process anyway.
        warn(f"{lease} could not be given back at once: {error.sentence}")


def _default_signals() -> list[signal.Signals]:
    """Undo what Python ignores at its start: exec hands ignored signals on to the command."""
    ignored = [
        one for one in (signal.SIGPIPE, signal.SIGXFSZ) if signal.getsignal(one) is signal.SIG_IGN
    ]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    return ignored


def _restore(ignored: list[signal.Signals]) -> None:
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)
