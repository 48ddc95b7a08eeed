"""The end of a process, heard at once: one pidfd per watched process in the event loop.

Exists so that no lease waits for a tick to learn that its asker is gone. It knows no lease and
decides nothing. Source: pidfd_open(2); a pidfd is readable once the whole process has ended.
"""

import asyncio
import os
from collections.abc import Callable

from gpusched.core.ids import ProcessId


class PidfdExitWatch:
    """Watches processes, children or not."""

    def __init__(self, identify: Callable[[int], ProcessId | None]) -> None:
        """Watch nothing yet.

        Args:
            identify: `ProcessTable.identify`: a pidfd names a pid's present owner, who may no
                longer be the process that was meant.
        """
        self._identify = identify
        self._loops: dict[int, asyncio.AbstractEventLoop] = {}
        self._closed = False

    def watch(self, process: ProcessId, ended: Callable[[], None]) -> None:
        """Call *ended* in the event loop once *process* has ended, also when it already has.

        Raises:
            OSError: The process cannot be watched: too many open files, or a kernel without
                pidfd_open (before 5.3). It is not known to have ended.
        """
        loop = asyncio.get_running_loop()
        descriptor = self._open(process)
        if descriptor is None:
            loop.call_soon(self._tell, ended)
            return
        self._loops[descriptor] = loop
        loop.add_reader(descriptor, self._ended, descriptor, ended)

    def close(self) -> None:
        """Forget all, for good. Idempotent."""
        self._closed = True
        for descriptor in tuple(self._loops):
            self._forget(descriptor)

    def _open(self, process: ProcessId) -> int | None:
        """Open a pidfd of exactly *process*; None where it is gone."""
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return None
        except OSError as error:
            reason = (
                f"process {process.pid} cannot be watched for its end: {error.strerror}; "
                "the daemon needs Linux 5.3 and a descriptor per watched process (LimitNOFILE)"
            )
            raise OSError(error.errno, reason) from error
        try:
            same = self._identify(process.pid) == process
        except BaseException:
            os.close(descriptor)
            raise
        if not same:
            os.close(descriptor)
            return None
        return descriptor

    def _ended(self, descriptor: int, ended: Callable[[], None]) -> None:
        self._forget(descriptor)
        ended()

    def _forget(self, descriptor: int) -> None:
        self._loops.pop(descriptor).remove_reader(descriptor)
        os.close(descriptor)

    def _tell(self, ended: Callable[[], None]) -> None:
        if not self._closed:
            ended()
