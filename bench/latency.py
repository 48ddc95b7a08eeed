"""What one client waits for a durable grant: over gRPC and over the JSON gateway.

Clients are what users have: grpcio's synchronous one, and `http.client`, both with one connection
that is kept. Only the call is timed, never making its message.
"""

import json
import socket
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import grpc

from bench.figures import Figure, Goal, interleaved
from gpusched.api.v1 import leases_pb2, leases_pb2_grpc, node_pb2, node_pb2_grpc, request_pb2
from tools.stage import Failed, Stage

HOST = "8xH100"
ROUNDS = 31
CALLS = 100
"""Calls of one contender in one round."""

_OK = 200
T = TypeVar("T")


class GrpcClient:
    """grpcio, synchronous, one channel."""

    def __init__(self, socket_path: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket_path}")
        self._node = node_pb2_grpc.NodeStub(self._channel)
        self._leases = leases_pb2_grpc.LeasesStub(self._channel)
        self._wish = request_pb2.AllocateRequest()

    def null(self) -> Mapping[str, float]:
        """Time calls that do nothing."""
        message = node_pb2.PingRequest()
        return {"null": median(_timed(partial(self._node.Ping, message))[0] for _ in range(CALLS))}

    def pairs(self) -> Mapping[str, float]:
        """Time pairs of allocate and release."""
        allocating, releasing = [], []
        for _ in range(CALLS):
            took, grant = _timed(partial(self._leases.Allocate, self._wish))
            allocating.append(took)
            release = leases_pb2.ReleaseRequest(lease_id=grant.lease.id)
            took, _ = _timed(partial(self._leases.Release, release))
            releasing.append(took)
        return {"allocate": median(allocating), "release": median(releasing)}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class JsonClient(HTTPConnection):
    """`http.client` on a unix socket."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__("localhost")
        self._path = socket_path

    def connect(self) -> None:
        """Connect; called once, by the first request."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def pairs(self) -> Mapping[str, float]:
        """Time allocating; release what was granted."""
        allocating = []
        for _ in range(CALLS):
            took, reply = _timed(partial(self._post, "Allocate", b"{}"))
            allocating.append(took)
            lease = json.loads(reply)["lease"]["id"]
            # Both spellings of the field are read by every JSON mapping of protobuf.
            self._post("Release", json.dumps({"lease_id": lease}).encode())
        return {"json": median(allocating)}

    def _post(self, method: str, body: bytes) -> bytes:
        self.request("POST", f"/v1/Leases/{method}", body, {"Content-Type": "application/json"})
        reply = self.getresponse()
        text = reply.read()
        if reply.status != _OK:
            raise Failed(f"{method} over JSON: HTTP {reply.status}: {text.decode()}")
        return text


def latency() -> list[Figure]:
    """Measure what one client waits."""
    with Stage(HOST) as stage:
        stage.start_daemon()
        over_grpc, over_json = GrpcClient(stage.socket), JsonClient(stage.socket)
        contenders = (over_grpc.null, over_grpc.pairs, over_json.pairs)
        try:
            interleaved(contenders, 2)
            rounds = interleaved(contenders, ROUNDS)
        except (grpc.RpcError, HTTPException, OSError) as error:
            raise Failed(f"a call was not answered: {error!r}") from None
        finally:
            over_grpc.close()
            over_json.close()
    null, allocate = rounds.median("null") * 1e6, rounds.median("allocate") * 1e6
    release, gateway = rounds.median("release") * 1e6, rounds.median("json") * 1e6
    return [
        rounds.ratio(
            "allocate",
            "null",
            Goal(1.7),
            "durable allocate / null RPC, p50, 1 client",
            f"{allocate:.0f} / {null:.0f} µs; release {release:.0f} µs",
        ),
        rounds.ratio(
            "json",
            "allocate",
            Goal(0.7),
            "allocate over JSON / over gRPC, p50, 1 client",
            f"{gateway:.0f} / {allocate:.0f} µs; http.client, connection kept",
        ),
    ]


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    began = perf_counter()
    result = call()
    return perf_counter() - began, result
