"""The public socket's path and its accepting, under the running kernel."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpusched.rpc.listener import Listener
from tests.integration.serving_front import connect, eventually


async def test_running_out_of_descriptors_does_not_spin(socket_folder: Path) -> None:
    """Out of descriptors, accepting pauses, says so once a pause, and goes on afterwards."""
    accepted: list[socket.socket] = []
    listener = Listener(socket_folder / "s", accepted.append, pause_s=0.1)
    listener.start()
    client = connect(socket_folder / "s")
    with capture_logs() as events:
        with _no_more_descriptors():
            await asyncio.sleep(0.25)
        assert not accepted
        assert 1 <= len(events) <= 5
        await eventually(lambda: len(accepted) == 1)
    listener.close()
    client.close()
    accepted[0].close()


async def test_only_a_socket_is_replaced(socket_folder: Path) -> None:
    """A killed daemon's socket gives way to a new one; any other file stays and is an error."""
    path = socket_folder / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    listener = Listener(path, lambda sock: sock.close())
    listener.start()
    assert path.stat().st_mode & 0o777 == 0o666
    listener.close()
    path.write_text("precious")
    with pytest.raises(OSError, match="cannot listen"):
        listener.start()
    assert path.read_text() == "precious"


async def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    """A path that no unix socket can have is refused with what to do."""
    with pytest.raises(OSError, match="choose a shorter directory"):
        Listener(tmp_path / ("x" * 108), lambda sock: sock.close()).start()


@contextmanager
def _no_more_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
