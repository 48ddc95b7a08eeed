"""A simulated GPU host for the tests of programs that use gpusched; no GPU, no root.

    with gpusched.testing.daemon("2xL4") as host:
        with gpusched.lease(gpus=1) as lease:
            ...

The daemon is the real one over simulated cards (`docs/simulator.md`), in a process of its own: it
knows a caller by what the kernel says of the process, ends processes that use too much, and can
be killed. In the process of the tests it would be its own client. In pytest the fixture
`gpusched_daemon` gives the same.

The names below load on first use: pytest loads the plugin beside this at every start. Only for
tests: nothing of the product imports it.
"""

from importlib import import_module

_PLACES = {
    "HostFault": "gpusched.testing.worker",
    "SimulatedHost": "gpusched.testing.host",
    "Worker": "gpusched.testing.worker",
    "daemon": "gpusched.testing.host",
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_PLACES[name]), name)
    return found
