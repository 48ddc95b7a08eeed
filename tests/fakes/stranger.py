"""What a user asks about the lease of another, a row for every method, and what he gets.

One table for the tests over sockets in memory and for those with real processes of two users.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gpusched.api.v1 import (
    devices_pb2,
    events_pb2,
    leases_pb2,
    node_pb2,
    processes_pb2,
    survey_pb2,
)
from gpusched.api.v1.process_pb2 import ProcessIdentity
from gpusched.api.v1.request_pb2 import AllocateRequest
from gpusched.rpc.registry import SERVICES

DENIED = "PERMISSION_DENIED"
ALLOWED = "OK"
HIDDEN = "hush"
"""In everything that the holder's lease has and a stranger may not see."""

METHODS: Mapping[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method for service in SERVICES for method in service.methods
}


@dataclass(frozen=True, slots=True)
class Victim:
    """Somebody else's lease.

    Attributes:
        lease: Its id.
        uid: Its holder.
        request: The key of its request.
    """

    lease: str
    uid: int
    request: str


Asked: TypeAlias = Callable[[Victim], Message]
Row: TypeAlias = tuple[str, Asked]

ROWS: Mapping[str, Row] = {
    "Leases.Allocate": (ALLOWED, lambda _: AllocateRequest(count=0)),
    "Leases.AllocateStream": (ALLOWED, lambda _: AllocateRequest(count=0)),
    "Leases.Attach": (
        DENIED,
        lambda his: leases_pb2.AttachRequest(lease_id=his.lease, caller=True),
    ),
    "Leases.Renew": (DENIED, lambda his: leases_pb2.RenewRequest(lease_id=his.lease)),
    "Leases.Release": (
        DENIED,
        lambda his: leases_pb2.ReleaseRequest(lease_id=his.lease, kill=True),
    ),
    "Leases.Cancel": (
        DENIED,
        lambda his: leases_pb2.CancelRequest(request_id=his.request, holder_uid=his.uid),
    ),
    "Leases.Get": (
        ALLOWED,
        lambda his: leases_pb2.GetLeaseRequest(lease_id=his.lease, include_story=True),
    ),
    "Leases.List": (ALLOWED, lambda _: leases_pb2.ListLeasesRequest()),
    "Leases.Watch": (ALLOWED, lambda his: leases_pb2.WatchLeasesRequest(lease_id=his.lease)),
    "Leases.Explain": (ALLOWED, lambda his: leases_pb2.ExplainRequest(lease_id=his.lease)),
    "Leases.Revoke": (
        DENIED,
        lambda his: leases_pb2.RevokeRequest(lease_id=his.lease, reason="I want it"),
    ),
    "Leases.Environment": (DENIED, lambda his: leases_pb2.EnvironmentRequest(lease_id=his.lease)),
    "Leases.Adopt": (
        DENIED,
        lambda _: leases_pb2.AdoptRequest(process=ProcessIdentity(pid=1)),
    ),
    "Devices.List": (ALLOWED, lambda _: devices_pb2.ListDevicesRequest()),
    "Devices.Watch": (ALLOWED, lambda _: devices_pb2.WatchDevicesRequest()),
    "Devices.ListTypes": (ALLOWED, lambda _: devices_pb2.ListTypesRequest()),
    "Devices.Cordon": (DENIED, lambda _: devices_pb2.CordonRequest(device="0", reason="mine")),
    "Devices.Uncordon": (DENIED, lambda _: devices_pb2.UncordonRequest(device="0")),
    "Devices.Drain": (DENIED, lambda _: devices_pb2.DrainRequest(device="0", reason="mine")),
    "Devices.Forget": (DENIED, lambda _: devices_pb2.ForgetRequest(device="0")),
    "Processes.List": (ALLOWED, lambda _: processes_pb2.ListProcessesRequest()),
    "Events.List": (ALLOWED, lambda _: events_pb2.ListEventsRequest()),
    "Events.Watch": (ALLOWED, lambda _: events_pb2.WatchEventsRequest(after_sequence=0)),
    "Node.Status": (ALLOWED, lambda _: node_pb2.StatusRequest()),
    "Node.Ping": (ALLOWED, lambda _: node_pb2.PingRequest()),
    "Node.Survey": (ALLOWED, lambda _: survey_pb2.SurveyRequest()),
    "Node.SetGuard": (DENIED, lambda _: node_pb2.SetGuardRequest(on=False)),
    "Node.ReleaseDriver": (DENIED, lambda _: node_pb2.ReleaseDriverRequest(reason="mine")),
    "Node.ResumeDriver": (DENIED, lambda _: node_pb2.ResumeDriverRequest()),
}
"""Every method: what a stranger gets, and what he asks."""


def asked(channel: grpc.Channel, name: str, request: Message) -> tuple[str, str]:
    """Ask over gRPC, of a stream the first answer; give the status, and the answer as JSON."""
    method = METHODS[name]
    path = f"/{method.containing_service.full_name}/{method.name}"
    options = (type(request).SerializeToString, GetMessageClass(method.output_type).FromString)
    try:
        if method.server_streaming:
            stream = channel.unary_stream(path, *options)(request, timeout=10)
            reply = next(stream)
            stream.cancel()
        else:
            reply = channel.unary_unary(path, *options)(request, timeout=10)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return ALLOWED, json_format.MessageToJson(reply)
