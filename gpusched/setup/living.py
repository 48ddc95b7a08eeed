"""Which leases live, and their end: asked of the daemon, else seen in systemd's slices."""

import threading
from collections.abc import Callable, Sequence

from gpusched.client.errors import DaemonUnreachable, GpuschedError
from gpusched.client.thin import ThinClient
from gpusched.config.paths import SYSTEM_SOCKET
from gpusched.setup import places
from gpusched.setup.doing import said
from gpusched.setup.steps import Reason, SetupFault

_OVER = frozenset({"LEASE_STATE_RELEASING", "LEASE_STATE_ENDED"})
_LISTING = ["systemctl", "list-units", "--all", "--plain", "--full", "--no-legend", "--type=slice"]
_PATIENCE = 60.0
_PAUSE = 0.2


def living_leases() -> list[str]:
    """Name the leases that hold something: by the daemon, or where none answers by their slices.

    Raises:
        SetupFault: The daemon answers, but not this.
    """
    client = ThinClient(str(SYSTEM_SOCKET))
    try:
        reply = client.call("Leases/List", {"mine": False, "ended": False})
    except DaemonUnreachable:
        return _lease_slices()
    except GpuschedError as error:
        raise SetupFault(Reason.FAILED, f"which leases live: {error.sentence}") from None
    return [one.text("id") for one in reply.parts("leases") if one.text("state") not in _OVER]


def end_leases(leases: Sequence[str], tell: Callable[[str], None]) -> None:
    """End leases with their processes, as `gpusched release --kill` does, and wait for it.

    Where no daemon answers there is nobody to ask: stopping their slices ends them.

    Raises:
        SetupFault: One did not end.
    """
    client, pause = ThinClient(str(SYSTEM_SOCKET)), threading.Event()
    for lease in leases:
        tell(f"end {lease} and its processes")
        try:
            client.call("Leases/Release", {"lease_id": lease, "kill": True})
        except DaemonUnreachable:
            return
        except GpuschedError as error:
            raise SetupFault(Reason.FAILED, f"{lease} does not end: {error.sentence}") from None
    for _ in range(int(_PATIENCE / _PAUSE)):
        if not living_leases():
            return
        pause.wait(_PAUSE)
    raise SetupFault(
        Reason.FAILED, "leases do not end: `gpusched leases` shows which; then run it again"
    )


def _lease_slices() -> list[str]:
    lines = said(*_LISTING, *places.LEASE_SLICES).splitlines()
    return [line.split()[0] for line in lines if line.strip()]
