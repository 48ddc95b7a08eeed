"""Stands before each worker: comes into the lease of its service, and becomes the worker.

So a worker is under its lease before it imports anything, and has the pid that BentoML started.
The lease is its service's while any worker of it lives. After the last one has ended the next
takes a new one, of the same devices if they are free; if not, it waits for its turn.
"""

import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from gpusched.client import patience
from gpusched.client.address import socket_path
from gpusched.client.advice import settled
from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError, NotFound, WrongState
from gpusched.client.exit_codes import code_of
from gpusched.client.thin import ThinClient
from gpusched.integrations.bentoml.telling import tell, tell_refusal
from gpusched.launch import libc
from gpusched.launch.run import overridden

_PARENT_DEATH_SIGNAL = 1  # linux/prctl.h

_TRIES = 5
"""How often a lease may end between the grant and the attaching."""


def _become(command: Sequence[str], granted: dict[str, str]) -> NoReturn:
    # No shell, and the command is BentoML's.
    os.execve(command[0], list(command), {**os.environ, **granted})  # noqa: S606


def main(words: Sequence[str]) -> int:
    """Become a worker, or give the exit code of what was refused; BentoML then tries again.

    Args:
        words: BentoML's pid, the request of its service in JSON, then the worker's own command.
    """
    parent, wanted, *command = words
    request: dict[str, object] = json.loads(wanted)
    name = f"worker of {Document(request).part('labels').text('bentoml.service')}"

    def told(sentence: str) -> None:
        tell(f"{name}: {sentence}")

    # One that waits when BentoML is killed would come into devices later that nobody asks it for.
    libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(parent):  # it has been killed by then
        return 128 + signal.SIGTERM
    try:
        grant = entered(ThinClient(socket_path(None, os.environ)), request, told)
    except GpuschedError as error:
        error.sentence = f"{name}: {error.sentence}"
        tell_refusal(error)
        return code_of(error)
    granted = grant.words("environment")
    for sentence in overridden(os.environ, granted):
        told(sentence)
    libc.prctl(_PARENT_DEATH_SIGNAL, 0)  # it outlives exec, and a worker outlives BentoML
    _become(command, settled(granted, os.environ))


def entered(
    client: ThinClient, request: dict[str, object], told: Callable[[str], None]
) -> Document:
    """Come into the lease of *request*; give its grant as it is then.

    Args:
        client: Calls the daemon.
        request: What its service asks with.
        told: Gets a sentence whenever it has another place in the queue.

    Raises:
        GpuschedError: There is none, or this process cannot come into it.
    """
    waiting = {**request, "wait_without_limit": True}
    for left in reversed(range(_TRIES)):
        lease = patience.granted(client, waiting, told).part("lease").text("id")
        try:
            client.call("Leases/Attach", {"lease_id": lease, "caller": True})
            return client.call("Leases/Environment", {"lease_id": lease})
        except (WrongState, NotFound):
            # The last worker that was in it has just ended.
            if not left:
                raise
    raise AssertionError("no try is left")
