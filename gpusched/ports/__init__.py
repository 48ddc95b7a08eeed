"""What the daemon needs of the world: small protocols, each met by a real adapter and a fake.

Only the shapes stand here. Adapters translate their errors at their edge; absence ("no GPU",
"no systemd") is an adapter too, chosen in `bootstrap`.
"""

from gpusched.core.denial import DeniedOpen
from gpusched.core.standing import Member, Standing
from gpusched.ports.containers import LeaseDocuments, Named, Units
from gpusched.ports.enforcement import EnforceError, Enforcer, Entered, Guard, GuardState
from gpusched.ports.engine import Authority, Stopping
from gpusched.ports.store import Batch, Store, Stored, StoreError
from gpusched.ports.world import (
    Clock,
    ExitWatch,
    IdSource,
    ProcessTable,
    Sampler,
    ServiceManager,
    Signaller,
    Surveyor,
    TooMany,
    Watched,
)

__all__ = [
    "Authority",
    "Batch",
    "Clock",
    "DeniedOpen",
    "EnforceError",
    "Enforcer",
    "Entered",
    "ExitWatch",
    "Guard",
    "GuardState",
    "IdSource",
    "LeaseDocuments",
    "Member",
    "Named",
    "ProcessTable",
    "Sampler",
    "ServiceManager",
    "Signaller",
    "Standing",
    "Stopping",
    "Store",
    "StoreError",
    "Stored",
    "Surveyor",
    "TooMany",
    "Units",
    "Watched",
]
