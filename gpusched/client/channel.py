"""What both gRPC clients share: options, messages made of words, errors made of statuses."""

from collections.abc import Iterable

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict

from gpusched.api.v1 import leases_pb2, process_pb2, rejection_pb2, request_pb2
from gpusched.client import asking
from gpusched.client.address import probe, unreachable
from gpusched.client.asking import bad, mask_format, request_of
from gpusched.client.errors import DaemonUnreachable, GpuschedError, error_of
from gpusched.client.patience import Absence, fresh_id
from gpusched.client.wish import Wish

TIMEOUT = 30.0
"""Seconds for a reply; the daemon answers from memory, within milliseconds."""

_PIDS = 1 << 22
"""Linux has no pid from here on (PID_MAX_LIMIT)."""

REJECTION = "gpusched-rejection-bin"
"""Key of the trailing metadata that holds a serialized `Rejection`."""

_NEVER_CONNECTED = "failed to connect to all addresses"
"""How gRPC begins what it says of a call for which there is no connection."""

OPTIONS = (
    # A connection of one's own: the daemon takes who connected for who calls.
    ("grpc.use_local_subchannel_pool", 1),
    # A daemon that restarts is back within a second, and a keepalive may be no longer than that;
    # gRPC would wait up to two minutes. To look for a socket on this host costs little.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    # A status of thousands of processes is more than the default of 4 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
)


def allocate_request(wish: Wish) -> request_pb2.AllocateRequest:
    """Give the message that asks for *wish*.

    Raises:
        BadRequest: A value is wrong whatever the host.
    """
    return ParseDict(request_of(wish), request_pb2.AllocateRequest())


def may_wait(message: request_pb2.AllocateRequest) -> bool:
    """Say whether a request may wait; then it has an id with which it can be asked again."""
    if not (message.HasField("wait") or message.wait_without_limit):
        return False
    message.request_id = message.request_id or fresh_id()
    return True


def pause_before(error: GpuschedError, absence: Absence) -> float:
    """Give the seconds until a request that waits is asked again.

    Raises:
        GpuschedError: It is *error*, and asking again is of no use.
    """
    pause = absence.pause() if isinstance(error, DaemonUnreachable) else None
    if pause is None:
        raise error from None
    return pause


def attach_request(lease: str, pid: int | None, cgroup: str | None) -> leases_pb2.AttachRequest:
    """Give the message that attaches process *pid* or *cgroup*; neither: the caller.

    Raises:
        BadRequest: Both, or the pid is none.
    """
    if cgroup is not None:
        if pid is not None:
            raise bad("target", "name a process or a cgroup, not both")
        return leases_pb2.AttachRequest(lease_id=lease, cgroup=cgroup)
    if pid is None:
        return leases_pb2.AttachRequest(lease_id=lease, caller=True)
    if not 0 < pid < _PIDS:
        raise bad("process", f"{pid} is no process id")
    process = process_pb2.ProcessIdentity(pid=pid)
    return leases_pb2.AttachRequest(lease_id=lease, process=process)


def release_request(
    lease: str, grace: str | float | None, *, kill: bool
) -> leases_pb2.ReleaseRequest:
    """Give the message that ends a lease as its holder.

    Raises:
        BadRequest: The grace is no time.
    """
    return leases_pb2.ReleaseRequest(lease_id=lease, kill=kill, grace=_grace(grace))


def revoke_request(
    lease: str, reason: str, grace: str | float | None, *, signal_in_place: bool
) -> leases_pb2.RevokeRequest:
    """Give the message that ends a lease as an operator.

    Raises:
        BadRequest: The grace is no time.
    """
    return leases_pb2.RevokeRequest(
        lease_id=lease, reason=reason, grace=_grace(grace), signal_in_place=signal_in_place
    )


def _grace(grace: str | float | None) -> Duration | None:
    if grace is None:
        return None
    message = Duration()
    message.FromJsonString(asking.grace(grace))
    return message


def environment_request(lease: str, form: str | None) -> leases_pb2.EnvironmentRequest:
    """Give the message that asks for the grant again.

    Raises:
        BadRequest: There is no such mask format.
    """
    if form is None:
        return leases_pb2.EnvironmentRequest(lease_id=lease)
    value = request_pb2.MaskFormat.Value(mask_format("mask_format", form))
    return leases_pb2.EnvironmentRequest(lease_id=lease, mask_format=value)


def unsent(error: grpc.RpcError, path: str) -> bool:
    """Say whether a call failed only because the channel has not noticed that a daemon is back.

    Between two attempts to connect gRPC refuses calls with the failure of the last one. Nothing of
    such a call was sent, so it may be made again.
    """
    never = (error.details() or "").startswith(_NEVER_CONNECTED)
    return error.code() is grpc.StatusCode.UNAVAILABLE and never and probe(path) is None


def error_from(error: grpc.RpcError, path: str) -> GpuschedError:
    """Give our error for a status of gRPC.

    Args:
        error: What a call raised.
        path: The daemon's socket, tried once more where gRPC says only that it is not there.
    """
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return unreachable(path, TimeoutError())
    if code is grpc.StatusCode.UNAVAILABLE:
        nobody = probe(path)
        if nobody is not None:
            return nobody
    return error_of(code.name, error.details() or "", _rejection(error.trailing_metadata() or ()))


def _rejection(metadata: Iterable[object]) -> dict[str, object]:
    """Find the rejection; an item of the metadata is a pair, whatever the stubs say of it."""
    for one in metadata:
        if isinstance(one, tuple) and one[0] == REJECTION:
            message = rejection_pb2.Rejection.FromString(one[1])
            return MessageToDict(message, preserving_proto_field_name=True)
    return {}
