# The types of what `__init__.py` loads on first use.

from gpusched.client.aio import AsyncClient as AsyncClient
from gpusched.client.errors import BadRequest as BadRequest
from gpusched.client.errors import CouldFitLater as CouldFitLater
from gpusched.client.errors import DaemonFault as DaemonFault
from gpusched.client.errors import DaemonUnreachable as DaemonUnreachable
from gpusched.client.errors import GpuschedError as GpuschedError
from gpusched.client.errors import NeverHere as NeverHere
from gpusched.client.errors import NoSuchDevice as NoSuchDevice
from gpusched.client.errors import NotAllowed as NotAllowed
from gpusched.client.errors import NotFound as NotFound
from gpusched.client.errors import NotYet as NotYet
from gpusched.client.errors import WrongState as WrongState
from gpusched.client.held import Enforcement as Enforcement
from gpusched.client.held import HeldLease as HeldLease
from gpusched.client.holding import async_lease as async_lease
from gpusched.client.holding import lease as lease
from gpusched.client.notices import Notice as Notice
from gpusched.client.notices import NoticeAction as NoticeAction
from gpusched.client.notices import NoticeKind as NoticeKind
from gpusched.client.ordinals import LeasedDevice as LeasedDevice
from gpusched.client.sync import Client as Client
from gpusched.client.wish import Wish as Wish
from gpusched.client.worker import WorkerLease as WorkerLease
from gpusched.client.worker import worker_lease as worker_lease

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Client",
    "CouldFitLater",
    "DaemonFault",
    "DaemonUnreachable",
    "Enforcement",
    "GpuschedError",
    "HeldLease",
    "LeasedDevice",
    "NeverHere",
    "NoSuchDevice",
    "NotAllowed",
    "NotFound",
    "NotYet",
    "Notice",
    "NoticeAction",
    "NoticeKind",
    "Wish",
    "WorkerLease",
    "WrongState",
    "async_lease",
    "lease",
    "worker_lease",
]
