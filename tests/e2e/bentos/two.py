"""A bento of two services, as users write them; each says what its worker was given.

Served by BentoML of several versions, in environments of their own: nothing of gpusched here.
"""

import errno
import os
import subprocess

import bentoml


def seen() -> dict[str, object]:
    """Say what this process is, has in its environment, and can open."""
    places = [one for one in os.environ.get("NODES", "").split(",") if one]
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "index": bentoml.server_context.worker_index,
        "environment": dict(os.environ),
        "opened": {place: _opened(place) for place in places},
    }


def _opened(place: str) -> str:
    try:
        os.close(os.open(place, os.O_RDWR))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


@bentoml.service(resources={"gpu": 1})
class Dep:
    """What the other one depends on."""

    @bentoml.api
    def who(self) -> dict:
        """Say what its worker sees."""
        return seen()


@bentoml.service(resources={"gpu": 2}, workers=2)
class MyService:
    """The entry service."""

    dep = bentoml.depends(Dep)

    @bentoml.api
    def who(self) -> dict:
        """Say what the worker that answers sees."""
        return seen()

    @bentoml.api
    def dep_who(self) -> dict:
        """Say what the worker of the other service sees."""
        return self.dep.who()
