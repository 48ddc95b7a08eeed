"""Ends its own process at a boundary that it crosses, once that is ordered.

Orders and record are files, so that the process that watches needs nothing of the one that ends.
"""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

ORDER = "order"
"""File with the boundary at which to end, such as `after Store.commit 2`, the second of them."""

RECORD = "record"
"""File with each boundary that was crossed, a line each; without an order all are number 0."""


class Fuse:
    """Counts boundaries, from every thread of the process."""

    def __init__(self, folder: Path) -> None:
        self._order = folder / ORDER
        self._record = folder / RECORD
        self._lock = threading.Lock()
        self._crossed: Counter[str] = Counter()

    def cross(self, name: str) -> None:
        """Count the boundary *name*; end here if it is the one."""
        with self._lock:
            ordered = self._order.exists()
            if not ordered:
                self._crossed.clear()
            self._crossed[name] += ordered
            boundary = f"{name} {self._crossed[name]}"
            with self._record.open("a") as record:
                record.write(f"{boundary}\n")
            if ordered and self._order.read_text() == boundary:
                _end()


def _end() -> None:
    signal.pidfd_send_signal(os.pidfd_open(os.getpid()), signal.SIGKILL)
    threading.Event().wait()  # nothing happens after it
