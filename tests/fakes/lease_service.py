"""A lease service over gRPC that grants one device, or refuses what a test has written down."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from google.protobuf.message import Message

from gpusched.api.v1 import lease_pb2, leases_pb2, node_pb2, rejection_pb2, request_pb2

Refusals = dict[str, tuple[grpc.StatusCode, str, rejection_pb2.Rejection | None]]


class LeaseService:
    """Grants `lease-1` on one device.

    Attributes:
        refusals: By method: status, sentence and rejection.
        asked: The messages that came, latest last.
        keepalive: Nanoseconds within which a grant has to be renewed; 0: none.
        environment: The variables of a grant.
    """

    def __init__(self) -> None:
        self.refusals: Refusals = {}
        self.asked: list[Message] = []
        self.keepalive = 0
        self.environment = {"CUDA_VISIBLE_DEVICES": "3", "GPUSCHED_LEASE": "lease-1"}

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Gives what a server needs."""
        unary = grpc.unary_unary_rpc_method_handler
        stream = grpc.unary_stream_rpc_method_handler
        leases: dict[str, grpc.RpcMethodHandler[Message, Message]] = {
            "Allocate": unary(self.allocate, request_pb2.AllocateRequest.FromString, _written),
            "Release": unary(self.release, leases_pb2.ReleaseRequest.FromString, _written),
            "Renew": unary(self.renew, leases_pb2.RenewRequest.FromString, _written),
            "Watch": stream(self.watch, leases_pb2.WatchLeasesRequest.FromString, _written),
        }
        node: dict[str, grpc.RpcMethodHandler[Message, Message]] = {
            "Status": unary(self.status, node_pb2.StatusRequest.FromString, _written)
        }
        return (
            grpc.method_handlers_generic_handler("gpusched.v1.Leases", leases),
            grpc.method_handlers_generic_handler("gpusched.v1.Node", node),
            _Rest(),
        )

    def allocate(
        self, request: request_pb2.AllocateRequest, context: grpc.ServicerContext
    ) -> lease_pb2.Grant:
        """Grants a device with 4 GiB."""
        self._answer("Allocate", request, context)
        grant = lease_pb2.Grant(
            lease=lease_pb2.Lease(id="lease-1"),
            devices=[lease_pb2.GrantedDevice(uuid="GPU-a", memory_limit_bytes=4 << 30)],
            environment=self.environment,
        )
        if self.keepalive:
            grant.lease.created_at.FromNanoseconds(1)
            grant.lease.keepalive_deadline.FromNanoseconds(1 + self.keepalive)
        return grant

    def release(
        self, request: leases_pb2.ReleaseRequest, context: grpc.ServicerContext
    ) -> leases_pb2.ReleaseReply:
        """Ends it."""
        self._answer("Release", request, context)
        return leases_pb2.ReleaseReply(leases=[lease_pb2.Lease(id=request.lease_id)])

    def renew(
        self, request: leases_pb2.RenewRequest, context: grpc.ServicerContext
    ) -> lease_pb2.Lease:
        """Renews it."""
        self._answer("Renew", request, context)
        return lease_pb2.Lease(id=request.lease_id)

    def watch(
        self, request: leases_pb2.WatchLeasesRequest, context: grpc.ServicerContext
    ) -> Iterator[leases_pb2.LeaseList]:
        """Gives two lists, two notices with the second, and ends."""
        notices = [lease_pb2.Notice(lease_id="lease-1", sentence=one) for one in ("first", "then")]
        yield leases_pb2.LeaseList(generation=1)
        yield leases_pb2.LeaseList(generation=2, notices=notices)
        self._answer("Watch", request, context)

    def status(
        self, request: node_pb2.StatusRequest, context: grpc.ServicerContext
    ) -> node_pb2.NodeStatus:
        """Names the host."""
        self._answer("Status", request, context)
        return node_pb2.NodeStatus(node="host-1")

    def _answer(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        if method != "Status":
            self.asked.append(request)
        if method not in self.refusals:
            return
        status, sentence, rejection = self.refusals[method]
        if rejection is not None:
            data = rejection.SerializeToString()
            context.set_trailing_metadata((("gpusched-rejection-bin", data),))
        context.abort(status, sentence)


class _Rest(grpc.GenericRpcHandler):
    """Refuses every other method with its own name."""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        name = handler_call_details.method

        def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, name)

        return grpc.unary_unary_rpc_method_handler(refuse)


def _written(message: Message) -> bytes:
    return message.SerializeToString()


@contextmanager
def lease_service(folder: Path) -> Iterator[tuple[str, LeaseService]]:
    """Serves on a socket in *folder*; gives its path and the service."""
    path = f"{folder}/g.sock"
    service = LeaseService()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(service.handlers())
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield path, service
    finally:
        server.stop(None).wait()
