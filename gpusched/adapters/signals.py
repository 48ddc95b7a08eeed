"""Signals to one process each, through a pidfd: never to the next owner of its pid.

It decides nothing. Source: pidfd_open(2), pidfd_send_signal(2); Linux 5.3.
"""

import os
import signal
from collections.abc import Callable

from gpusched.core.ids import ProcessId


class PidfdSignaller:
    """Signals processes, children or not."""

    def __init__(self, identify: Callable[[int], ProcessId | None]) -> None:
        """Signal nobody yet.

        Args:
            identify: `ProcessTable.identify`: a pidfd names a pid's present owner, who may no
                longer be the process that was meant.
        """
        self._identify = identify

    def send(self, process: ProcessId, number: int) -> bool:
        """Send a signal to exactly *process*; say whether it was there.

        Raises:
            OSError: It may not be signalled, or no descriptor is left.
        """
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        try:
            # From here on the descriptor is that of who was identified, whatever becomes of him.
            if self._identify(process.pid) != process:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True
