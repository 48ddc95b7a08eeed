"""One daemon per state directory, kept by a lock of the kernel that ends with its holder.

Knows nothing of what lies in the directory.
"""

import fcntl
import os
import shlex
from pathlib import Path
from typing import Self

from gpusched.ports import StoreError


class StateLock:
    """The right to use a state directory, as a context.

    A crashed daemon leaves the file `lock` behind but no lock on it, so nothing is ever cleaned
    up; the file stays also after an orderly end, because removing it would let two daemons lock
    two files of the same name. The descriptor is not inherited: a child that outlives the daemon
    must not keep the next one out.

    Args:
        directory: Is made, for its owner only, where it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            StoreError: Another daemon has it, or the directory cannot be used.
        """
        if self._descriptor is not None:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._take(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next daemon in. Idempotent."""
        if self._descriptor is not None:
            # Closing alone is not enough: a child between fork and exec still has the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            raise self._taken(descriptor) from None
        except OSError as error:
            raise self._unusable(error) from error

    def _taken(self, descriptor: int) -> StoreError:
        # Empty for the instant between its lock and its write.
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        return StoreError(
            f"another gpusched (pid {pid}) uses this state directory {self._directory}; "
            "stop it, or use another one (--state-dir)"
        )

    def _unusable(self, error: OSError) -> StoreError:
        why = (error.strerror or str(error)).lower()
        return StoreError(
            f"cannot lock the state directory {self._directory}: {why}; make it a directory that "
            f"this user can write (ls -ld {shlex.quote(str(self._directory))}), "
            "or use another one (--state-dir)"
        )
