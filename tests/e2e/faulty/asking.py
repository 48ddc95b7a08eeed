"""Who asks the daemon, and what was asked for, so that it can be asked for again after a crash."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable
from tests.e2e.faulty.cgroups import ENTERED
from tests.e2e.host import kill
from tools.stage import Failed, end


@dataclass(slots=True)
class Asked:
    """What was asked for, so that it can be asked for again.

    Attributes:
        call: By whom.
        message: An `AllocateRequest`.
        lease: What came of it; empty where nothing did.
        pids: Who was to be attached to it by name.
    """

    call: Callable[[str, dict[str, object]], Document]
    message: dict[str, object]
    lease: str = ""
    pids: list[int] = field(default_factory=list)


class Caller:
    """A process that calls the daemon for itself.

    Args:
        cgroup: In which it begins.
        environment: Its own, with the daemon's socket.
        asked: Where it notes what it asks for.
        death: Says how the daemon ended, once it has.
    """

    def __init__(
        self,
        cgroup: Path,
        environment: Mapping[str, str],
        asked: list[Asked],
        death: Callable[[], Exception],
    ) -> None:
        self._asked = asked
        self._death = death
        socket = environment["GPUSCHED_SOCKET"]
        words = (sys.executable, "-m", "tests.e2e.faulty.caller", socket)
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            ["/bin/sh", "-c", ENTERED, str(cgroup), *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def allocate(self, **wish: object) -> str:
        """Allocate with itself as the first process; give the lease's id."""
        message: dict[str, object] = {
            "request_id": secrets.token_hex(4),
            "attach_caller": True,
            **wish,
        }
        self._asked.append(Asked(self.call, message))
        return self.call("Leases/Allocate", message).part("lease").text("id")

    def call(self, method: str, message: dict[str, object]) -> Document:
        """Call the daemon.

        Raises:
            Died: It ended as it was ordered.
            Failed: It refused.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, message]) + "\n")
        self._process.stdin.flush()
        reply = Document(json.loads(self._process.stdout.readline()))
        if reply.text("kind") == DaemonUnreachable.__name__:
            raise self._death()
        if "refused" in reply:
            raise Failed(f"{method}: {reply.text('refused')}")
        return reply

    def end(self) -> None:
        """End it."""
        with ExitStack() as closing:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    closing.callback(stream.close)
            closing.callback(end, self._process)
            if self._process.poll() is None:
                kill(self.pid)
