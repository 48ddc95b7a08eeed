"""A JSON gateway of one's own: answers on a unix socket with what a test has written down."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Script = Mapping[str, bytes | tuple[bytes, ...]]


def reply(fields: Mapping[str, object], status: int = 200) -> bytes:
    """Gives an answer as the gateway writes it."""
    body = json.dumps(fields).encode()
    head = f"HTTP/1.0 {status} X\r\ncontent-type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def refusal(
    code: str, message: str, rejection: Mapping[str, object] | None = None, status: int = 400
) -> bytes:
    """Gives a refusal as the gateway writes it."""
    error: dict[str, object] = {"code": code, "message": message}
    if rejection is not None:
        error["rejection"] = rejection
    return reply({"error": error}, status)


class Gateway:
    """What a test sees of it.

    Attributes:
        path: Its socket.
        script: By method, such as `Node/Status`: the pieces that are sent, one after the other.
        asked: The method and the message of each request.
    """

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.script = dict(script)
        self.asked: list[tuple[str, dict[str, object]]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def serve(self) -> None:
        """Answers until `close`."""
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    if not self._answer(connection):
                        return

    def close(self) -> None:
        """Lets `serve` return: a connection without a word is the end."""
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))

    def _answer(self, connection: socket.socket) -> bool:
        with connection.makefile("rb") as stream:
            line = stream.readline().decode()
            if not line:
                return False
            length = 0
            while (header := stream.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            message = json.loads(stream.read(length) or b"{}")
        method = line.split()[1].removeprefix("/v1/")
        self.asked.append((method, message))
        unknown = refusal("NOT_FOUND", f"there is no method {method}", status=404)
        answer = self.script.get(method, unknown)
        for piece in (answer,) if isinstance(answer, bytes) else answer:
            connection.sendall(piece)
        return True


@contextmanager
def gateway(folder: Path, script: Script) -> Iterator[Gateway]:
    """Serves *script* on `<folder>/g.sock` while the test needs it."""
    served = Gateway(folder / "g.sock", script)
    thread = threading.Thread(target=served.serve)
    thread.start()
    try:
        yield served
    finally:
        served.close()
        thread.join()
