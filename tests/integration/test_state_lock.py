"""One daemon per state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpusched.adapters.store.lock import StateLock
from gpusched.ports import StoreError

HOLDER = """
import sys
from pathlib import Path
from gpusched.adapters.store.lock import StateLock
StateLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def test_second_daemon_is_refused(tmp_path: Path) -> None:
    """A second daemon is refused with the pid of the first; `kill -9` of the first lets it in."""
    with subprocess.Popen(  # noqa: S603 - this interpreter, no shell
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(StoreError) as refused:
            StateLock(tmp_path).acquire()
        first.kill()
    assert str(refused.value).startswith(
        f"another gpusched (pid {first.pid}) uses this state directory {tmp_path}; "
    )
    with StateLock(tmp_path):
        pass


def test_lock_ends_with_context(tmp_path: Path) -> None:
    """The lock is free again after its context, after an error too."""
    with pytest.raises(ZeroDivisionError), StateLock(tmp_path):
        _ = 1 / 0
    with StateLock(tmp_path):
        pass


def test_lock_twice_is_once(tmp_path: Path) -> None:
    """Who has the lock may take it again, and one release gives it back; releases repeat."""
    lock = StateLock(tmp_path)
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()
    with StateLock(tmp_path):
        pass


def test_child_does_not_keep_lock(tmp_path: Path) -> None:
    """A child that outlives the daemon does not keep the next one out."""
    pipe = subprocess.PIPE
    with (
        StateLock(tmp_path),
        subprocess.Popen(
            ["/bin/cat"], stdin=pipe, stdout=pipe, bufsize=0, close_fds=False
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        # Its answer proves that it is past exec, where inherited descriptors are closed.
        child.stdin.write(b"\n")
        assert child.stdout.read(1) == b"\n"
        assert not _holds(child.pid, tmp_path / "lock")


def test_release_frees_inherited_lock(tmp_path: Path) -> None:
    """A release lets the next one in while a child, not yet past exec, has the descriptor too."""
    lock = StateLock(tmp_path)
    lock.acquire()
    assert lock._descriptor is not None
    inherited = os.dup(lock._descriptor)
    try:
        lock.release()
        with StateLock(tmp_path):
            pass
    finally:
        os.close(inherited)


def _holds(pid: int, path: Path) -> bool:
    return path in {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}


def test_lock_makes_private_directory(tmp_path: Path) -> None:
    """The state directory is made where it is missing, for its owner only."""
    directory = tmp_path / "new" / "state"
    with StateLock(directory):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_unusable_directory_is_refused(tmp_path: Path) -> None:
    """Where the state directory cannot be used the refusal says why, in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot lock the state directory .*: not a directory; "):
        StateLock(tmp_path / "file" / "state").acquire()
