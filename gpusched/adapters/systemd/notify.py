"""systemd's notify protocol: datagrams to the socket that it named in our environment.

Exists so that the daemon can say when it is ready and alive. Only sends; the D-Bus interface is
not spoken here. Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import socket
from collections.abc import Mapping
from typing import Self

import structlog

_log = structlog.stdlib.get_logger(__name__)

_MICROSECONDS = 1_000_000
# Bounds how long a full queue of the receiver can hold up the event loop.
_SEND_SECONDS = 0.2


class SystemdServiceManager:
    """Tells systemd how the daemon is."""

    def __init__(self, address: str, watchdog_interval: float | None) -> None:
        """Remember where to send.

        Args:
            address: Path of the socket, or its abstract name with a leading `@`.
            watchdog_interval: Seconds between `WATCHDOG=1`; None where nobody asks.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_interval = watchdog_interval

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> Self | None:
        """Read what systemd asks for; None where nobody listens on a unix socket.

        Args:
            environment: The daemon's own, as it was started.
            pid: The daemon's own: a watchdog may be meant for another process of the unit.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        return cls(address, _watchdog_interval(environment, pid))

    def notify(self, state: str) -> None:
        """Send one or more assignments such as `READY=1`; never fails."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.connect(self._address)
                sender.sendall(state.encode())
        except OSError as error:
            _log.warning("service manager not reached", state=state, error=str(error))

    def watchdog_interval(self) -> float | None:
        """Seconds between `WATCHDOG=1` that are asked for; None where nobody asks."""
        return self._watchdog_interval


def _watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Give half of the time after which systemd kills us, as sd_watchdog_enabled(3) advises."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    limit = environment.get("WATCHDOG_USEC", "")
    if not (limit.isascii() and limit.isdigit()) or int(limit) == 0:
        return None
    return int(limit) / _MICROSECONDS / 2
