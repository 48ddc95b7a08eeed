"""A gRPC client that is cheap: unary calls on one HTTP/2 connection, one at a time.

The load generator shares its cores with the daemon, and grpcio's client costs as much as its
server: with it, throughput would mostly be the generator's own. This one is for measuring only: it
takes it that replies are smaller than the windows it opens, and reads no header.
"""

import asyncio
from collections.abc import Callable

# RFC 9113: section 3.4 the preface, 6 the frames.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_FRAME_HEAD = 9
_INITIAL_WINDOW = 4
"""The setting of that name, section 6.5.2."""
_MOST = 2**31 - 1
_DEFAULT_WINDOW = 65535
# gRPC over HTTP/2: one byte whether compressed, four bytes of length.
_PREFIX = 5


def header_block(path: str) -> bytes:
    """Encode the headers of a call: RFC 7541, static table and literals that are not indexed."""
    post, http = b"\x83", b"\x86"
    return b"".join(
        (
            *(post, http),
            b"\x04" + _text(path),
            b"\x01" + _text("localhost"),
            b"\x0f\x10" + _text("application/grpc"),  # 31, content-type
            b"\x00" + _text("te") + _text("trailers"),
        )
    )


class GrpcConnection(asyncio.Protocol):
    """One connection.

    Args:
        on_reply: Gets the serialized reply of the call under way; None when it was refused.
        on_lost: Told when the connection ends, with the reason.
    """

    def __init__(
        self, on_reply: Callable[[bytes | None], None], on_lost: Callable[[str], None]
    ) -> None:
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._stream = -1
        self._unread = b""
        self._message = b""

    def call(self, headers: bytes, message: bytes) -> None:
        """Send a request; the one before must have been answered."""
        self._stream += 2
        body = b"\0" + len(message).to_bytes(4, "big") + message
        self._send(
            _frame(_HEADERS, _END_HEADERS, self._stream, headers)
            + _frame(_DATA, _END_STREAM, self._stream, body)
        )

    def close(self) -> None:
        """Close the connection; on_lost is told of it, too."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the connection, with windows that last for two gigabytes."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("only a stream carries HTTP/2")
        self._transport = transport
        window = _INITIAL_WINDOW.to_bytes(2, "big") + _MOST.to_bytes(4, "big")
        more = (_MOST - _DEFAULT_WINDOW).to_bytes(4, "big")
        self._send(_PREFACE + _frame(_SETTINGS, 0, 0, window) + _frame(_WINDOW, 0, 0, more))

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete."""
        data = self._unread + data
        at = 0
        while len(data) - at >= _FRAME_HEAD:
            end = at + _FRAME_HEAD + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            self._take(data[at + 3], data[at + 4], data[at + _FRAME_HEAD : end])
            at = end
        self._unread = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._on_lost(repr(exc))

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _DATA:
            self._message += payload
        elif kind == _HEADERS:
            if flags & _END_STREAM:
                # A refused call has no message, only trailers.
                message, self._message = self._message, b""
                self._on_reply(message[_PREFIX:] if message else None)
        elif kind in (_SETTINGS, _PING):
            if not flags & _ACK:
                self._send(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind in (_RESET, _GO_AWAY):
            self._on_lost(f"the daemon sent a frame of type {kind}: {payload!r}")

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = (len(payload) << 16 | kind << 8 | flags).to_bytes(5, "big")
    return head + stream.to_bytes(4, "big") + payload


def _text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()
