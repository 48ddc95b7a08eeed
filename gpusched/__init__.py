"""Leases GPUs of one host to processes: what users import.

The names below load on first use (PEP 562): the command line imports this package on
every call and its cold start is measured. Nothing may be imported at import time here.
"""

__version__ = "0.1.0.dev0"
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
    "__version__",
    "async_lease",
    "lease",
    "worker_lease",
]


def __getattr__(name: str) -> object:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gpusched import client  # noqa: PLC0415 - loading on first use is what this is for

    return getattr(client, name)
