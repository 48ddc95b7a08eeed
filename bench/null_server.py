"""A null RPC behind the front and without it: `python -m bench.null_server FOLDER`.

Its own server: the daemon refuses whoever does not come through the front. Prints a line when it
listens, at FOLDER/front and FOLDER/private/direct.
"""

import asyncio
import sys
from pathlib import Path

import grpc
from grpc import aio

from gpusched.rpc.front import Front
from gpusched.rpc.peer import Peer, PeerTable

SERVICE, METHOD = "bench.Null", "Call"


async def _null(request: bytes, _context: aio.ServicerContext[bytes, bytes]) -> bytes:
    return request


def _no_http(_peer: Peer) -> asyncio.Protocol:
    return asyncio.Protocol()


async def main(folder: Path) -> None:
    """Serve until ended."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    server = aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]]
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(_null)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{private}/direct")
    await server.start()
    front = Front(folder / "front", private / "direct", PeerTable(), _no_http)
    front.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
