"""The command line's client: one HTTP/1.0 request over the unix socket, without grpc.

Exists because of the cold start: grpc costs ten starts of Python, `http.client` four, this two
(measured). So nothing may be imported that is not listed here, and no header is read beyond the
length.
"""

import json
import socket
from collections.abc import Iterator

from gpusched.client.address import unreachable
from gpusched.client.document import Document
from gpusched.client.errors import DaemonFault, DaemonUnreachable, GpuschedError, error_of

TIMEOUT = 30.0
"""Seconds that the daemon may take for a reply; it answers from memory, within milliseconds."""

_PIECE = 65536
_OK = 200
_MAX_HEAD = 65536


class ThinClient:
    """Calls the JSON gateway.

    Args:
        path: The daemon's socket.
        timeout: Seconds to wait for each piece of a reply.
    """

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self.path = path
        self._timeout = timeout

    def call(self, method: str, message: dict[str, object] | None = None) -> Document:
        """Call a unary method.

        Args:
            method: Such as `Leases/Allocate`.
            message: The request in its JSON form.

        Raises:
            GpuschedError: The refusal, or that no daemon answers.
        """
        with self._connect() as connection:
            try:
                _send(connection, method, message)
                head, body = self._head(connection)
                body += _rest(connection, head, len(body))
            except OSError as error:
                raise self._broken(error) from None
        return self._document(head, body)

    def stream(self, method: str, message: dict[str, object] | None = None) -> Iterator[Document]:
        """Call a streaming method: one JSON object a line, until the daemon ends it.

        Raises:
            GpuschedError: As `call`.
        """
        with self._connect() as connection:
            try:
                _send(connection, method, message)
                head, rest = self._head(connection)
                if _status(head) != _OK:
                    rest += _rest(connection, head, len(rest))
                    self._document(head, rest)
                # Nothing may happen for hours.
                connection.settimeout(None)
                while True:
                    *lines, rest = rest.split(b"\n")
                    for line in filter(None, lines):
                        yield self._line(line)
                    piece = connection.recv(_PIECE)
                    if not piece:
                        break
                    rest += piece
            except OSError as error:
                raise self._broken(error) from None
        if rest.strip():
            raise self._closed_early()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._timeout)
        try:
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise unreachable(self.path, error) from None
        return connection

    def _head(self, connection: socket.socket) -> tuple[bytes, bytes]:
        """Read as far as the empty line; what came after it is the second part."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(_PIECE)
            if len(data) > _MAX_HEAD or (not piece and data[:5] not in (b"", b"HTTP/")):
                raise self.stranger()
            if not piece:
                raise self._closed_early()
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def _document(self, head: bytes, body: bytes) -> Document:
        length = _length(head)
        if length is not None and len(body) < length:
            raise self._closed_early()
        document = self._line(body or b"{}")
        status = _status(head)
        if status == _OK:
            return document
        raise self._refusal(status, document)

    def _line(self, text: bytes) -> Document:
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            raise self.stranger() from None
        if not isinstance(fields, dict):
            raise self.stranger()
        document = Document(fields)
        if "error" in document:
            raise self._refusal(_OK, document)
        return document

    def _refusal(self, status: int, document: Document) -> GpuschedError:
        error = document.part("error")
        if not error.fields:
            return DaemonFault(f"{self.path} answers with HTTP {status} and no reason")
        return error_of(error.text("code"), error.text("message"), error.part("rejection").fields)

    def _broken(self, error: OSError) -> GpuschedError:
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return self._closed_early()
        return unreachable(self.path, error)

    def _closed_early(self) -> DaemonUnreachable:
        return DaemonUnreachable(
            f"the daemon at {self.path} closed the connection before its answer was complete;"
            " it may be restarting: try again"
        )

    def stranger(self) -> DaemonFault:
        """Give the error for an answer that no daemon gives."""
        return DaemonFault(
            f"what answers at {self.path} is no gpusched daemon; name another socket with"
            " --socket or GPUSCHED_SOCKET"
        )


def _send(connection: socket.socket, method: str, message: dict[str, object] | None) -> None:
    try:  # noqa: SIM105 - cold start
        connection.sendall(_request(method, message))
    except (BrokenPipeError, ConnectionResetError):
        pass  # who is refused at the door finds it closed, and why has been said already


def _rest(connection: socket.socket, head: bytes, read: int) -> bytes:
    """Read what is left of a body: to its length, after which the connection may be broken."""
    pieces, length = [], _length(head)
    while length is None or read < length:
        piece = connection.recv(_PIECE)
        if not piece:
            break
        pieces.append(piece)
        read += len(piece)
    return b"".join(pieces)


def _request(method: str, message: dict[str, object] | None) -> bytes:
    body = json.dumps(message or {}).encode()
    head = (
        f"POST /v1/{method} HTTP/1.0\r\nHost: gpusched\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _status(head: bytes) -> int:
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None
