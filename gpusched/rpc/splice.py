"""Joins two sockets byte for byte, for the part of every gRPC call that the front adds.

It works on bare non-blocking sockets: asyncio's streams add a task switch and its transports a
buffer per direction. At most one chunk per direction is held; while it waits for
room, its source is not read. No protocol is understood here.
"""

import asyncio
import socket

_CHUNK = 256 * 1024


class _Direction:
    """Carries what *source* sends to *sink*."""

    __slots__ = ("_buffer", "_ended", "_loop", "_rest", "_sink", "_source")

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        ended: asyncio.Future[None],
        buffer: memoryview,
    ) -> None:
        self._loop = ended.get_loop()
        self._source = source
        self._sink = sink
        self._ended = ended
        self._buffer = buffer
        self._rest = b""

    def start(self, first: bytes = b"") -> None:
        """Carry *first*, then whatever comes."""
        self._loop.add_reader(self._source, self._readable)
        if first:
            self._carry(memoryview(first))

    def _readable(self) -> None:
        try:
            size = self._source.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if size:
            self._carry(self._buffer[:size])
        else:
            self._end()

    def _carry(self, data: memoryview) -> None:
        sent = self._send(data)
        if sent < len(data):
            self._rest = bytes(data[sent:])
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._writable)

    def _writable(self) -> None:
        self._rest = self._rest[self._send(memoryview(self._rest)) :]
        if not self._rest and not self._ended.done():
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._readable)

    def _send(self, data: memoryview) -> int:
        """Send what fits; a sink that is gone takes everything."""
        try:
            return self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._end()
            return len(data)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


async def splice(
    client: socket.socket, backend: socket.socket, first: bytes, buffer: memoryview
) -> None:
    """Carry bytes both ways until either side ends; the caller then closes both.

    What one side sent before it ended has been taken by the other's socket: its end is seen only
    after its last byte was carried. A half-closed side counts as ended: HTTP/2 has no use for it.

    Args:
        client: Non-blocking, connected.
        backend: Non-blocking, connected.
        first: Bytes already read from the client.
        buffer: Scratch space from `scratch`; all splices of one event loop may share it.
    """
    ended = asyncio.get_running_loop().create_future()
    try:
        _Direction(client, backend, ended, buffer).start(first)
        _Direction(backend, client, ended, buffer).start()
        await ended
    finally:
        for sock in (client, backend):
            ended.get_loop().remove_reader(sock)
            ended.get_loop().remove_writer(sock)


def scratch() -> memoryview:
    """Make a buffer for splices: nothing stays in it between two steps of the event loop."""
    return memoryview(bytearray(_CHUNK))
