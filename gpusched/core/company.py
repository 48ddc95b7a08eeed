"""Who may be on a device beside whom: what its compute mode lets in, and what leases agreed to."""

from collections.abc import Sequence

from gpusched.core.device import Device
from gpusched.core.ids import LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.preferences import Sharing
from gpusched.core.replies import Obstacle
from gpusched.core.request import Request

# nvmlComputeMode_t of nvml.h; 0 is the default, 1 was removed.
_PROHIBITED = 2
_EXCLUSIVE_PROCESS = 3


def closed(device: Device, ledger: Ledger, request: Request) -> tuple[Obstacle, str] | None:
    """Find what the compute mode of the GPU has against *request*; an unknown mode has nothing.

    Raises nothing where an instance's GPU was not read: then there is no mode to heed.
    """
    use = ledger.uses.get(device.physical)
    mode = None if use is None else use.reading.compute_mode
    if mode == _PROHIBITED:
        why = "its compute mode is Prohibited: no program may use it"
        return Obstacle.COMPUTE_MODE, f"{why}; `nvidia-smi -c DEFAULT` opens it"
    if mode == _EXCLUSIVE_PROCESS and not request.exclusive:
        why = "its compute mode is Exclusive_Process: one process at a time, so no shares"
        return Obstacle.COMPUTE_MODE, f"{why}; ask for it whole, or `nvidia-smi -c DEFAULT`"
    return None


def others_on(
    ledger: Ledger, leases: Sequence[LeaseId], request: Request, asker: int | None
) -> tuple[LeaseId, ...]:
    """Give the leases there that keep *asker* away, or that *request* does not want beside it.

    Sharing with one's own leases only goes both ways: who came so lets nobody else in.
    """
    found = (ledger.get(one) for one in leases)
    alone = request.sharing is Sharing.OWN
    return tuple(
        one.id
        for one in found
        if one is not None and one.uid != asker and (alone or one.request.sharing is Sharing.OWN)
    )
