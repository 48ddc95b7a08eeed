"""An `AllocateRequest` turned into the core's request, and back.

Every field is converted, or refused by its name: a wish is never silently ignored.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from google.protobuf.duration_pb2 import Duration
from google.protobuf.unknown_fields import UnknownFieldSet

from gpusched.api.v1 import leases_pb2, process_pb2, request_pb2
from gpusched.core.durations import LONGEST
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND, DeviceUuid, ProcessId, RequestId
from gpusched.core.request import (
    MAX_COUNT,
    MAX_TEXT,
    Enforce,
    MaskFormat,
    OverUse,
    Owner,
    Request,
)
from gpusched.rpc.call import Call, Code, Refused
from gpusched.rpc.convert_preferences import preferences_of, preferring
from gpusched.rpc.convert_reading import process_of
from gpusched.rpc.status import not_yet

Wish = request_pb2.AllocateRequest
Resolve = Callable[[str, str], DeviceUuid]
"""Gives the UUID of a device that the request names by UUID or index; the second argument is the
name of the field."""

MAX_BYTES = (1 << 63) - 1
MAX_TYPES = 64
MAX_SECONDS = LONGEST // SECOND
"""Longest duration of a request."""

ENFORCE = {
    request_pb2.ENFORCE_UNSPECIFIED: Enforce.PREFERRED,
    request_pb2.ENFORCE_REQUIRED: Enforce.REQUIRED,
    request_pb2.ENFORCE_PREFERRED: Enforce.PREFERRED,
    request_pb2.ENFORCE_ADVISORY: Enforce.ADVISORY,
}
MASK_FORMATS = {
    request_pb2.MASK_FORMAT_UNSPECIFIED: MaskFormat.AUTO,
    request_pb2.MASK_FORMAT_AUTO: MaskFormat.AUTO,
    request_pb2.MASK_FORMAT_INDEX: MaskFormat.INDEX,
    request_pb2.MASK_FORMAT_RELATIVE: MaskFormat.RELATIVE,
    request_pb2.MASK_FORMAT_UUID: MaskFormat.UUID,
}
OVER_USES = {
    request_pb2.OVER_USE_UNSPECIFIED: OverUse.CONFIGURED,
    request_pb2.OVER_USE_WARN: OverUse.WARN,
    request_pb2.OVER_USE_TERMINATE: OverUse.TERMINATE,
}
# A core value and the last of its names on the wire: UNSPECIFIED, the first, is never sent.
ENFORCE_OUT = {value: key for key, value in ENFORCE.items()}
OVER_USES_OUT = {value: key for key, value in OVER_USES.items()}
MASK_FORMATS_OUT = {value: key for key, value in MASK_FORMATS.items()}

NOT_YET_FIELDS = {
    "parent_lease_id": "this version divides no lease; ask for devices of the host",
}
"""Fields that this version refuses, each with what can be done meanwhile."""


def request_of(
    wish: Wish, call: Call, fresh: RequestId, resolve: Resolve, process: ProcessId | None = None
) -> Request:
    """Turn *wish*, what a client wrote, into a request.

    Args:
        wish: The message.
        call: Who asks.
        fresh: The request's id where the client has drawn none.
        resolve: Finds a device that the message names.
        process: The one that `owner` names, looked up already.

    Raises:
        InvalidRequest: It is wrong whatever the host.
        Refused: This version cannot do it, or the caller may not.
    """
    _bounded(wish)
    said = _checked(wish, call)
    named = _devices(wish.device_uuids, "device_uuids", resolve)
    asked = Request(
        request_id=RequestId(wish.request_id) or fresh,
        count=wish.count if "count" in said else len(named) or 1,
        memory=_memory(wish, said),
        gpu_types=tuple(wish.gpu_types),
        mig_profile=wish.mig_profile if "mig_profile" in said else None,
        devices=named,
        available=_devices(wish.available_uuids, "available_uuids", resolve),
        must_include=_devices(wish.must_include_uuids, "must_include_uuids", resolve),
        attach_deadline=_duration(wish.attach_deadline, said, "attach_deadline"),
        keepalive=_duration(wish.keepalive, said, "keepalive"),
        time_limit=_duration(wish.time_limit, said, "time_limit"),
        enforce=_enforce(wish.enforce),
        mask_format=mask_format_of(wish.mask_format),
        labels=dict(wish.labels),
        owner=Owner(wish.owner.reference, process) if "owner" in said else None,
        attach_caller=wish.attach_caller,
        confines_itself=wish.confines_itself,
        over_use=_over_use(wish.over_use),
    )
    return preferring(_queueing(asked, wish, said), wish, said)


def _queueing(asked: Request, wish: Wish, said: set[str]) -> Request:
    """Add what *wish* says of how it is served, beside what it asks for."""
    return replace(
        asked,
        pool=wish.pool if "pool" in said else None,
        priority=wish.priority if "priority" in said else None,
        wait=_duration(wish.wait, said, "wait"),
        wait_without_limit=wish.wait_without_limit,
    )


def message_of(request: Request) -> Wish:
    """Turn a request back into the message that asks for it."""
    wish = Wish(
        request_id=request.request_id,
        count=request.count,
        memory_bytes=request.memory,
        gpu_types=request.gpu_types,
        mig_profile=request.mig_profile,
        device_uuids=request.devices,
        available_uuids=request.available,
        must_include_uuids=request.must_include,
        enforce=ENFORCE_OUT[request.enforce],
        mask_format=MASK_FORMATS_OUT[request.mask_format],
        labels=request.labels,
        attach_caller=request.attach_caller,
        confines_itself=request.confines_itself,
        over_use=OVER_USES_OUT[request.over_use],
        pool=request.pool,
        priority=request.priority,
        wait_without_limit=request.wait_without_limit,
    )
    wish.MergeFrom(preferences_of(request))
    if request.wait is not None:
        wish.wait.CopyFrom(_span(request.wait))
    if request.attach_deadline is not None:
        wish.attach_deadline.CopyFrom(_span(request.attach_deadline))
    if request.keepalive is not None:
        wish.keepalive.CopyFrom(_span(request.keepalive))
    if request.time_limit is not None:
        wish.time_limit.CopyFrom(_span(request.time_limit))
    if request.owner is not None:
        wish.owner.CopyFrom(owner_of(request.owner))
    return wish


def owner_of(owner: Owner) -> request_pb2.OwnerReference:
    """Give an owner as a message."""
    process = None if owner.process is None else process_of(owner.process)
    return request_pb2.OwnerReference(reference=owner.reference, process=process)


def mask_format_of(value: request_pb2.MaskFormat.ValueType) -> MaskFormat:
    """Give the mask format.

    Raises:
        InvalidRequest: There is none of that number.
    """
    try:
        return MASK_FORMATS[value]
    except KeyError:
        raise InvalidRequest("mask_format", f"there is no value {value}") from None


def _over_use(value: request_pb2.OverUse.ValueType) -> OverUse:
    try:
        return OVER_USES[value]
    except KeyError:
        raise InvalidRequest("over_use", f"there is no value {value}") from None


def grace_of(request: leases_pb2.ReleaseRequest | leases_pb2.RevokeRequest) -> int | None:
    """Give the time between SIGTERM and SIGKILL in nanoseconds; None where it is not said.

    Raises:
        InvalidRequest: As `time_until`.
    """
    return time_until(request.grace, "grace") if request.HasField("grace") else None


def time_until(value: Duration, field: str) -> int:
    """Give a time from now in nanoseconds; it may be none.

    Raises:
        InvalidRequest: It is negative, or so long that its end has no date.
    """
    nanoseconds = _nanoseconds(value, field)
    if nanoseconds < 0:
        raise InvalidRequest(field, "must not be negative")
    return nanoseconds


def named_pid(identity: process_pb2.ProcessIdentity, field: str) -> int:
    """Give the pid of a process that a message names.

    Raises:
        InvalidRequest: It is 0, or more than a pid can be.
    """
    if not 0 < identity.pid < 1 << 31:
        raise InvalidRequest(f"{field}.pid", f"{identity.pid} is no process id")
    return identity.pid


def _bounded(wish: Wish) -> None:
    """Refuse lists and words of any length: they are remembered, and compared with each device.

    Raises:
        InvalidRequest: One is too long.
    """
    for name in ("device_uuids", "available_uuids", "must_include_uuids"):
        if len(getattr(wish, name)) > MAX_COUNT:
            raise InvalidRequest(name, f"names more than {MAX_COUNT} devices")
    if len(wish.gpu_types) > MAX_TYPES:
        raise InvalidRequest("gpu_types", f"more than {MAX_TYPES}")
    for name, words in (
        ("gpu_types", wish.gpu_types),
        ("mig_profile", (wish.mig_profile,)),
        ("pool", (wish.pool,)),
        ("priority", (wish.priority,)),
    ):
        if any(len(word) > MAX_TEXT for word in words):
            raise InvalidRequest(name, f"has more than {MAX_TEXT} characters")


def _checked(wish: Wish, call: Call) -> set[str]:
    """Name the fields that are said; refuse what this version would otherwise ignore."""
    said = {field.name for field, _ in wish.ListFields()}
    for name in NOT_YET_FIELDS.keys() & said:
        raise not_yet(f"{name}: {NOT_YET_FIELDS[name]}")
    for name, wanted, own in (
        ("holder_uid", wish.holder_uid, call.caller.uid),
        ("holder_gid", wish.holder_gid, call.caller.gid),
    ):
        if name in said and wanted != own:
            _refuse_other_holder(name, wanted, call)
    unknown = UnknownFieldSet(wish)
    if len(unknown):
        raise not_yet(
            f"field number {unknown[0].field_number} is not known to this daemon: the client is"
            " newer; upgrade the daemon, or leave the field out"
        )
    return said


def _refuse_other_holder(name: str, wanted: int, call: Call) -> None:
    if not call.caller.admin:
        sentence = f"{name}: {call.caller.uid} may not hold a lease for {wanted}; leave it out"
        raise Refused(Code.PERMISSION_DENIED, sentence)
    raise not_yet(
        f"{name}: this version gives a lease to its caller only; run the request as {wanted}"
    )


def _memory(wish: Wish, said: set[str]) -> int | None:
    memory = wish.memory_bytes if "memory_bytes" in said else None
    if memory is not None and memory > MAX_BYTES:
        raise InvalidRequest("memory_bytes", f"{memory} is more than 2^63 - 1")
    return memory


def _enforce(value: request_pb2.Enforce.ValueType) -> Enforce:
    try:
        return ENFORCE[value]
    except KeyError:
        raise InvalidRequest("enforce", f"there is no value {value}") from None


def _devices(names: Iterable[str], field: str, resolve: Resolve) -> tuple[DeviceUuid, ...]:
    return tuple(resolve(name, field) for name in names)


def _duration(value: Duration, said: set[str], field: str) -> int | None:
    """Give nanoseconds; that they are more than 0 is the core's rule."""
    return _nanoseconds(value, field) if field in said else None


def _nanoseconds(value: Duration, field: str) -> int:
    if abs(value.seconds) > MAX_SECONDS or abs(value.nanos) >= SECOND:
        raise InvalidRequest(field, "is not a duration of at most 100 years")
    return value.seconds * SECOND + value.nanos


def _span(nanoseconds: int) -> Duration:
    seconds, nanos = divmod(nanoseconds, SECOND)
    return Duration(seconds=seconds, nanos=nanos)
