"""Processes that wait for devices, as end-to-end tests start and watch them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from gpusched.client.document import Document
from tests.e2e.host import Host
from tools.stage import GPUSCHED

_WORK = (str(GPUSCHED), "simulated-worker", "--memory", "1GiB")


class Waiter:
    """`gpusched run --wait` that was started, with what it says.

    Args:
        host: Where.
        wishes: The flags of `run`.
        work: More flags for the worker.
        first: What the shell does before it becomes `gpusched run`.
    """

    def __init__(
        self, host: Host, *wishes: str, work: Sequence[str] = (), first: str = "true"
    ) -> None:
        self._said = Path(host.folder) / f"said-{len(list(host.folder.iterdir()))}"
        script = f'{first}; exec 2>"$0"; exec "$@"'
        command = (str(GPUSCHED), "run", *wishes, "--", *_WORK, *work)
        self.process: subprocess.Popen[str] = host.start(
            "sh", "-c", script, str(self._said), *command
        )
        self.pid = self.process.pid

    @property
    def said(self) -> list[str]:
        """Its lines on standard error."""
        return self._said.read_text().splitlines() if self._said.exists() else []

    @property
    def name(self) -> str:
        """The id of its request, as it was told."""
        return self.said[0].split()[1]

    @property
    def waits(self) -> bool:
        """Whether it has been told its place."""
        return any(" waits, place " in one for one in self.said)


def waiting(host: Host) -> list[Document]:
    """The requests that wait, in the order of service."""
    return host.told("leases").parts("waiting")


def places(host: Host) -> list[str]:
    """Their ids."""
    return [one.part("request").text("request_id") for one in waiting(host)]


def queued(host: Host, *wishes: str, work: Sequence[str] = ()) -> Waiter:
    """Start one that waits, and wait until it does."""
    waiter = Waiter(host, *wishes, work=work)
    host.until(lambda: waiter.waits)
    return waiter


def configured(host: Host, more: str) -> None:
    """Start the daemon anew with more in its configuration."""
    host.config.write_text(host.config.read_text() + more)
    assert host.stop_daemon() == 0
    host.start_daemon()
