"""What speaks to the daemon as a client: `thin` for the command line, gRPC for programs.

The names below load on first use (PEP 562): `thin` must not pay for grpc, which costs ten starts
of Python. Nothing of the daemon may enter.
"""

from importlib import import_module

_PLACES = {
    "AsyncClient": "aio",
    "BadRequest": "errors",
    "Client": "sync",
    "CouldFitLater": "errors",
    "DaemonFault": "errors",
    "DaemonUnreachable": "errors",
    "Enforcement": "held",
    "GpuschedError": "errors",
    "HeldLease": "held",
    "LeasedDevice": "ordinals",
    "NeverHere": "errors",
    "NoSuchDevice": "errors",
    "NotAllowed": "errors",
    "NotFound": "errors",
    "NotYet": "errors",
    "Notice": "notices",
    "NoticeAction": "notices",
    "NoticeKind": "notices",
    "Wish": "wish",
    "WorkerLease": "worker",
    "WrongState": "errors",
    "async_lease": "holding",
    "lease": "holding",
    "worker_lease": "worker",
}
"""The module of each name."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"gpusched.client.{_PLACES[name]}"), name)
    return found
