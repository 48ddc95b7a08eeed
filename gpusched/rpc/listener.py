"""Listens on a unix socket and accepts without ever spinning.

asyncio's own server is not used: out of descriptors, that of Python 3.11 reports and retries once
per place in the backlog, not once. Who connects is none of this file's business.
"""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

PAUSE_S = 1.0
"""Seconds that clients wait in the backlog after an accept failed."""

_PATH_MAX = 107  # sun_path without its closing zero, unix(7)
_ACCEPTS_AT_ONCE = 16

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Listener:
    """One listening unix socket, open to everybody (0666).

    Args:
        path: Where; its directory exists.
        accepted: Called in the event loop with each new connection, which it then owns.
        pause_s: Seconds to wait after an accept failed.
    """

    def __init__(
        self, path: Path, accepted: Callable[[socket.socket], None], pause_s: float = PAUSE_S
    ) -> None:
        self._path = path
        self._accepted = accepted
        self._pause_s = pause_s
        self._sock: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen, in the running event loop; a socket left behind at the path is replaced.

        Raises:
            OSError: The path is too long, or taken by something that is no socket, or the kernel
                refuses.
        """
        check_length(self._path)
        self._sock = _listen(self._path)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accept no more and remove the path. Idempotent."""
        if self._resume is not None:
            self._resume.cancel()
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            if self._sock is None:
                return
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(self._sock, error)
                return
            self._accepted(sock)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._resume = loop.call_later(self._pause_s, loop.add_reader, listening, self._accept)
        _log.warning("front.accept_paused", why=str(error), seconds=self._pause_s)


def check_length(path: Path) -> None:
    """Refuse a path that no unix socket can have.

    Raises:
        OSError: It is too long.
    """
    if len(os.fsencode(path)) > _PATH_MAX:
        raise OSError(
            errno.ENAMETOOLONG,
            f"a unix socket's path has at most {_PATH_MAX} bytes: choose a shorter directory",
            str(path),
        )


def _listen(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(str(path))
        path.chmod(0o666)
        sock.listen(socket.SOMAXCONN)
    except OSError as error:
        sock.close()
        # One that is a socket was taken away above.
        taken = error.errno == errno.EADDRINUSE
        why = "what lies there is no socket" if taken else error.strerror
        raise OSError(error.errno, f"cannot listen: {why}", str(path)) from error
    return sock
