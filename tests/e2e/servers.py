"""Model servers under leases, as tests start and ask them: over HTTP, on a socket or a port."""

import http.client
import json
import secrets
import socket
from pathlib import Path
from typing import Final

from gpusched.client.document import Document
from tests.e2e.host import Host
from tools.stage import GPUSCHED, ROOT, waiting

BIN: Final = ROOT / ".cache/frameworks/bin"
GUIDE: Final = ROOT / "docs/guides/frameworks.md"
RUN: Final = (str(GPUSCHED), "run")
_START_SECONDS = 30


class _Local(http.client.HTTPConnection):
    """A connection to a server on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Server:
    """A server that was started on the host and ends with it.

    Args:
        host: Where it runs, and whose environment it gets.
        before: What starts it, such as `gpusched run …`.
        command: The server; in it `SOCKET` is the path that it is to listen on, or `PORT` a port.
        variables: For its environment, as `NAME=value`.
        question: What is asked of it: a method and a path.
    """

    def __init__(
        self,
        host: Host,
        before: tuple[str, ...],
        command: tuple[str, ...],
        variables: tuple[str, ...] = (),
        question: tuple[str, str] = ("GET", "/"),
    ) -> None:
        self._socket = host.folder / f"{secrets.token_hex(4)}.sock"
        self._port = free_port() if "PORT" in command else None
        self._question = question
        given = {"SOCKET": str(self._socket), "PORT": str(self._port)}
        words = [_filled(one, given) for one in command]
        words[0] = str(BIN / words[0])
        self.process = host.start("env", *variables, *before, *words)

    def ask(self) -> Document:
        """Ask once it answers; give what the worker that took the question says."""
        for _ in waiting(_START_SECONDS, "the server to answer"):
            assert self.process.poll() is None, f"the server ended: {self.process.returncode}"
            connection = self._connection()
            try:
                method, path = self._question
                body = None if method == "GET" else "{}"
                connection.request(method, path, body, {"Content-Type": "application/json"})
                return Document(json.loads(connection.getresponse().read()))
            except (OSError, http.client.HTTPException):
                continue  # not yet, or a worker that was just killed
            finally:
                connection.close()
        raise AssertionError

    def _connection(self) -> http.client.HTTPConnection:
        if self._port is None:
            return _Local(self._socket)
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)

    def workers(self, count: int, *, but: int = 0) -> dict[int, Document]:
        """Ask until so many workers have answered, by pid; *but* for one that was ended."""
        found: dict[int, Document] = {}
        for _ in waiting(_START_SECONDS, f"{count} workers to answer"):
            answer = self.ask()
            found[answer.number("pid")] = answer
            found.pop(but, None)
            if len(found) == count:
                return found
        raise AssertionError


def openable(host: Host, *leased: int) -> list[str]:
    """Give what workers of these devices may open: they alone, where anything holds the mask."""
    levels = {one.part("enforcement").text("level") for one in host.leases().values()}
    free = "ENFORCEMENT_LEVEL_ADVISORY" in levels
    return [str(index) for index in (range(8) if free else sorted(leased))]


def _filled(word: str, given: dict[str, str]) -> str:
    for name, value in given.items():
        word = word.replace(name, value)
    return word


def free_port() -> int:
    """Find a TCP port of this host that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
