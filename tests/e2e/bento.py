"""A bento that BentoML serves for real: asked over HTTP, and its processes."""

import json
import os
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpusched.client.document import Document
from tests import capabilities
from tests.e2e.host import Host, children_of, command_of, kill
from tools.stage import GPUSCHED, Failed, waiting

BENTOS = Path(__file__).parent / "bentos"
START_SECONDS = 60.0
# BentoML looks for workers that have ended every ten seconds.
RESPAWN_SECONDS = 40.0
_AT_ONCE = 6


class Seen(Document):
    """What a worker said of itself."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self.number("pid")

    @property
    def mask(self) -> str | None:
        """Its `CUDA_VISIBLE_DEVICES`."""
        return self.words("environment").get("CUDA_VISIBLE_DEVICES")

    @property
    def lease(self) -> str:
        """The lease that its environment names."""
        return self.words("environment").get("GPUSCHED_LEASE", "")

    @property
    def devices(self) -> list[str]:
        """The UUIDs that its environment names."""
        return self.words("environment").get("GPUSCHED_DEVICES", "").split(",")

    @property
    def opened(self) -> list[int]:
        """The indices of the devices that the kernel let it open."""
        opened = self.fields["opened"]
        assert isinstance(opened, list)
        return opened


class Bento:
    """`bentoml serve`, started in a way of its own.

    Args:
        host: Where.
        version: Of BentoML: `1.3` or `1.4`.
        target: What is served.
        before: What stands before `serve`, `bentoml` included.
        variables: More of its environment.
    """

    def __init__(
        self, host: Host, version: str, target: str, *before: str, **variables: str
    ) -> None:
        self.host = host
        self.port = _free_port()
        where = ("--working-dir", str(BENTOS), "--host", "127.0.0.1", "--port", str(self.port))
        self.process = host.start(
            *environment(host, version, **variables), *before, "serve", target, *where
        )

    @property
    def parent(self) -> int:
        """The process that starts the workers."""
        return self.process.pid

    def workers(self) -> dict[int, str]:
        """Give the service of every worker that lives, by pid."""
        words = {pid: command_of(pid).split() for pid in children_of(self.parent)}
        return {pid: service for pid, said in words.items() if (service := _service(said))}

    def ask(self, what: str = "who") -> Seen:
        """Call an endpoint; wait until the service is there."""
        for _ in waiting(START_SECONDS, f"{what} of {self.parent}"):
            try:
                return Seen(_post(f"http://127.0.0.1:{self.port}/{what}"))
            except urllib.error.HTTPError as error:
                # While it starts, what it depends on may not be there yet.
                if what != "who":
                    raise Failed(f"{what}: {error.code} {error.read().decode()}") from error
            except (urllib.error.URLError, ConnectionError):
                continue
        raise AssertionError

    def ask_each(self, number: int) -> list[Seen]:
        """Have each of the entry service's workers answer, the first one first."""
        found: dict[int, Seen] = {}
        self.ask()
        with ThreadPoolExecutor(_AT_ONCE) as several:
            for _ in waiting(RESPAWN_SECONDS, f"{number} workers of {self.parent}"):
                for one in several.map(lambda _: self.ask(), range(_AT_ONCE)):
                    found[one.number("worker")] = one
                if len(found) == number:
                    break
        return [found[index] for index in sorted(found)]

    def end(self) -> None:
        """Kill parent and workers, as far as they live: BentoML's own end takes seconds."""
        workers = self.workers()
        kill(self.parent)
        for pid in workers:
            kill(pid)

    def replaced(self, gone: int, service: str) -> None:
        """Wait until a worker of *service* lives again, that is not *gone*."""
        for _ in waiting(RESPAWN_SECONDS, f"another worker of {service}"):
            if gone not in (alive := self.workers()) and service in alive.values():
                return


def environment(host: Host, version: str, **variables: str) -> list[str]:
    """Give the words that start a command as a user of BentoML would, on the stage's daemon.

    His Python knows nothing of gpusched but what is installed for it.
    """
    folder = capabilities.bentoml(version)
    return [
        "env",
        "-uPYTHONPATH",
        f"PATH={folder / 'bin'}:{GPUSCHED.parent}:{os.environ['PATH']}",
        f"SEEN_NODES={host.state / 'simulator' / 'dev'}",
        f"SEEN_GPUSCHED={GPUSCHED}",
        f"GPUSCHED_SIMULATOR={host.state / 'simulator'}",
        f"BENTOML_HOME={host.folder / 'bentoml'}",
        f"HOME={host.folder}",
        # Where BentoML leaves sockets, if it is killed.
        f"TMPDIR={host.folder}",
        "BENTOML_DO_NOT_TRACK=True",
        *(f"{name}={value}" for name, value in variables.items()),
    ]


def _service(words: list[str]) -> str:
    if "--service-name" not in words:
        return ""
    return words[words.index("--service-name") + 1]


def _post(url: str) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310 - of this machine
        url, b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:  # noqa: S310 - as above
        found: dict[str, object] = json.load(reply)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
