"""What speaks to the daemon as a client: `thin` for the command line, gRPC for programs.

The names below load on first use (PEP 562): `thin` must not pay for grpc, which costs ten starts
of Python. Nothing of the daemon may enter.
"""

from importlib import import_module

_PLACES = {
    "AsyncClient": "gpusched.client.aio",
    "Client": "gpusched.client.sync",
    "HeldLease": "gpusched.client.held",
    "async_lease": "gpusched.client.holding",
    "WorkerLease": "gpusched.client.worker",
    "lease": "gpusched.client.holding",
    "worker_lease": "gpusched.client.worker",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_PLACES[name]), name)
    return found
