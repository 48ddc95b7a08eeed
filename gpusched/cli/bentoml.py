"""`gpusched bentoml serve`: reads the words; `integrations.bentoml` does the rest."""

import os
from typing import NoReturn

from gpusched.cli.command import Command, Invocation, UsageError, complain, no_arguments
from gpusched.launch.run import NOT_FOUND


def _become(command: list[str], socket: str) -> NoReturn:
    # Workers run in the folder of their bento: a relative path would lead elsewhere there.
    path = os.path.abspath(socket)  # noqa: PTH100 - cold start
    # No shell, and the user's own BentoML.
    os.execve(command[0], command, {**os.environ, "GPUSCHED_SOCKET": path})  # noqa: S606


def _run(invocation: Invocation) -> int:
    words = invocation.options.command
    if words[:1] != ["serve"]:
        raise UsageError("only `serve` takes devices, such as `serve svc:MyService`")
    from gpusched.integrations.bentoml.command import NoBentoML, command_of  # noqa: PLC0415 - cold start

    client = invocation.client
    try:
        command = command_of(words, os.environ)
    except NoBentoML as error:
        complain(str(error))
        return NOT_FOUND
    # Said now, and not after the seconds that BentoML takes to load a bento.
    client.call("Node/Ping")
    _become(command, client.path)


COMMANDS = {"bentoml": Command(no_arguments, _run)}
