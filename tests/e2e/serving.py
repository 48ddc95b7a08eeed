"""What the servers of test_frameworks.py serve: workers that say what they see and may open.

They run in an environment of their own (tools/fetch_frameworks.sh), so that only the standard
library and the server's framework are there.
"""

import contextlib
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path

DENIED = frozenset({errno.EPERM, errno.EACCES})
LEASE_OF_ITS_OWN = "SERVING_LEASE_OF_ITS_OWN"
"""Set: each worker takes a lease for itself when its server starts it."""

Message = MutableMapping[str, object]


def report() -> dict[str, object]:
    """Say who this process is, what it was told, and which of the simulator's GPUs it may open."""
    return {
        "pid": os.getpid(),
        "lease": os.environ.get("GPUSCHED_LEASE", ""),
        "mask": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "devices": os.environ.get("GPUSCHED_DEVICES", "").split(","),
        "opens": opens(),
    }


def opens() -> list[str]:
    """Give the minors of the GPUs whose nodes the kernel lets this process open."""
    nodes = Path(os.environ["GPUSCHED_SIMULATOR"], "dev").glob("nvidia[0-9]")
    return sorted(one.name[-1] for one in nodes if _may_open(one))


def _may_open(node: Path) -> bool:
    try:
        os.close(os.open(node, os.O_RDWR))
    except OSError as error:
        # Without a driver behind them nodes that may be opened end with ENXIO.
        return error.errno not in DENIED
    return True


def wsgi(
    _environ: dict[str, object], start: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Answer as a WSGI application, for gunicorn."""
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(report()).encode()]


async def asgi(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer as an ASGI application, for uvicorn."""
    if scope["type"] == "lifespan":
        await receive()
        async with _lease_if_wanted():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(report()).encode()})


@contextlib.asynccontextmanager
async def _lease_if_wanted() -> AsyncIterator[None]:
    if LEASE_OF_ITS_OWN not in os.environ:
        yield
        return
    import gpusched  # noqa: PLC0415 - most workers here need it not

    async with gpusched.async_lease(gpus=1):
        yield
