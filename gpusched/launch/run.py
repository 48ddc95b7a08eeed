"""Allocates for the calling process and becomes the command, so that nothing of ours stays.

The lease is the process's from the grant on (`attach_caller`): the pid survives exec, so there is
no moment at which nobody holds it, and it ends with the command. Without a cgroup, which would
keep the command's descendants together, it stays and supervises instead. What only some leases
need is imported where it is used: the cold start is measured.
"""

import os
import signal
from collections.abc import Callable, Mapping, Sequence

from gpusched.client.advice import ADVICE, kept, settled
from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError, NeverHere
from gpusched.client.thin import ThinClient

NOT_FOUND = 127
"""Exit code when there is no such command, as shells have it."""

NOT_EXECUTABLE = 126
"""Exit code when the command cannot be executed, as shells have it."""

Warn = Callable[[str], None]

_MASK = "CUDA_VISIBLE_DEVICES"
_LANDLOCK = "ENFORCEMENT_LEVEL_LANDLOCK"
_REQUIRED, _ADVISORY = "ENFORCE_REQUIRED", "ENFORCE_ADVISORY"


def run(
    client: ThinClient,
    request: dict[str, object],
    command: Sequence[str],
    environment: Mapping[str, str],
    warn: Warn,
) -> tuple[int, str]:
    """Allocate for this process, then become *command* or supervise it.

    Args:
        client: Calls the daemon.
        request: An `AllocateRequest` in its JSON form.
        command: The program and its arguments.
        environment: What the program gets beside the grant's own variables.
        warn: Tells the user one sentence.

    Returns:
        The exit code, and why the command could not be executed: the lease is then given back.
        Empty: it was executed, supervised, and has ended. It does not return where this process
        becomes the command.

    Raises:
        GpuschedError: Nothing was granted, or the mask is required and cannot be held.
    """
    request = {**request, "attach_caller": True}
    if _can_confine(request):
        request["confines_itself"] = True
    grant = _granted(client, request, warn)
    granted = grant.words("environment")
    for sentence in (*overridden(environment, granted), *grant.texts("warnings")):
        warn(sentence)
    if grant.part("enforcement").text("level") == _LANDLOCK:
        _confine(client, grant, warn, required=request.get("enforce") == _REQUIRED)
    restored = _default_signals()
    try:
        return _start(grant, command, {**environment, **settled(granted, environment)}, warn), ""
    except (OSError, ValueError) as error:
        _restore(restored)
        _give_back(client, grant, warn)
        return _failure(command[0], error)


def run_unleased(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Become *command* as if gpusched had not been there.

    Returns:
        The exit code, and why it could not be executed.
    """
    restored = _default_signals()
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - as below
    except (OSError, ValueError) as error:
        _restore(restored)
        return _failure(command[0], error)


def _granted(client: ThinClient, request: dict[str, object], warn: Warn) -> Document:
    if "wait" not in request and "wait_without_limit" not in request:
        grant = client.call("Leases/Allocate", request)
    else:
        from gpusched.client import patience  # noqa: PLC0415 - cold start

        grant = patience.granted(client, request, warn)
    if not grant.part("lease").text("id"):
        raise client.stranger()
    return grant


def overridden(environment: Mapping[str, str], granted: Mapping[str, str]) -> list[str]:
    """Say what was set before and is replaced by the lease's, and what of that is not."""
    taken = settled(granted, environment)
    replaced = [(name, environment.get(name), taken.get(name)) for name in (_MASK, *ADVICE)]
    return [
        f"{name}={before} is overridden: the lease has {now or 'no device'}"
        for name, before, now in replaced
        if before is not None and now is not None and before != now
    ] + kept(granted, environment)


def _can_confine(request: Mapping[str, object]) -> bool:
    """Say whether this process could hold the mask of *request* itself, if the daemon cannot."""
    if os.geteuid() == 0 or request.get("enforce") == _ADVISORY:
        return False
    from gpusched.launch import landlock  # noqa: PLC0415 - cold start

    return landlock.available() is None


def _confine(client: ThinClient, grant: Document, warn: Warn, *, required: bool) -> None:
    """Give up the nodes that the lease does not have.

    Raises:
        NeverHere: It cannot be done, and is required; the lease is given back.
    """
    from gpusched.launch import landlock  # noqa: PLC0415 - cold start

    own = [node for device in grant.parts("devices") for node in device.parts("nodes")]
    own += grant.parts("control_nodes")
    try:
        landlock.confine(_paths(grant.parts("denied_nodes")), _paths(own))
    except landlock.ConfineError as error:
        if not required:
            warn(f"this lease is advisory because {error}")
            return
        _give_back(client, grant, warn)
        raise NeverHere(
            f"the command was not started, because nothing would hold its mask: {error};"
            " `--enforce preferred` starts it all the same"
        ) from None


def _paths(nodes: Sequence[Document]) -> list[str]:
    return [path for node in nodes if (path := node.text("path"))]


def _start(
    grant: Document, command: Sequence[str], environment: Mapping[str, str], warn: Warn
) -> int:
    """Become *command*, or give the code that it ended with.

    Raises:
        OSError: It could not be executed.
        ValueError: As OSError.
    """
    if grant.part("lease").part("holder").text("cgroup"):
        # No shell, and the user's own command: this is what `run` is for.
        os.execvpe(command[0], list(command), environment)  # noqa: S606
    from gpusched.launch.supervise import supervise  # noqa: PLC0415 - cold start

    return supervise(command, environment, warn)


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
