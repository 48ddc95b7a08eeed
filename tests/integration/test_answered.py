"""Whether a socket is another daemon's, asked before it is taken."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gpusched.bootstrap.plan import answered


def _fill(path: Path, opened: ExitStack) -> None:
    while True:
        client = opened.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(0)
        client.connect(str(path))


def test_a_daemon_that_hangs_is_a_daemon(socket_folder: Path) -> None:
    """One whose queue of clients is full is not waited for, and its socket is not taken away."""
    path = socket_folder / "gpusched.sock"
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(path))
        listening.listen(0)
        assert answered(path)
        with pytest.raises(BlockingIOError):
            _fill(path, opened)
        assert answered(path)


def test_what_nobody_listens_at_is_no_daemon(socket_folder: Path) -> None:
    """A socket that was left behind, another file, or nothing can be had."""
    left, other = socket_folder / "left.sock", socket_folder / "other"
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(left))
    other.write_text("")
    assert [answered(one) for one in (left, other, socket_folder / "none")] == [False] * 3
