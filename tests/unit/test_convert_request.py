"""Requests from the wire: every field is converted, or refused by its name."""

from dataclasses import replace

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from gpusched.api.v1 import process_pb2, request_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND, DeviceUuid, ProcessId, RequestId
from gpusched.core.request import Enforce, MaskFormat, Owner, Request
from gpusched.rpc.call import Call, Code, Refused
from gpusched.rpc.convert_request import (
    MAX_SECONDS,
    mask_format_of,
    message_of,
    named_pid,
    request_of,
)
from tests.fakes.builders import ADA, ROOT
from tests.fakes.strategies import requests

Wish = request_pb2.AllocateRequest
FRESH = RequestId("fresh")
FIELDS: list[FieldDescriptor] = list(Wish.DESCRIPTOR.fields)

# A value that says something, beside what the field needs to be well-formed.
SAID = {
    "request_id": Wish(request_id="mine"),
    "count": Wish(count=0),
    "min_count": Wish(min_count=1, count=2),
    "max_count": Wish(max_count=2),
    "memory_bytes": Wish(memory_bytes=1),
    "memory_fraction": Wish(memory_fraction=0.5),
    "sharing": Wish(sharing=request_pb2.SHARING_OWN, memory_bytes=1),
    "gpu_types": Wish(gpu_types=["l4"]),
    "mig_profile": Wish(mig_profile="1g.10gb"),
    "allow_larger_mig_profile": Wish(mig_profile="1g.10gb", allow_larger_mig_profile=True),
    "device_uuids": Wish(device_uuids=["GPU-1"]),
    "available_uuids": Wish(available_uuids=["GPU-1"]),
    "must_include_uuids": Wish(must_include_uuids=["GPU-1"]),
    "topology": Wish(topology=request_pb2.TOPOLOGY_NVLINK),
    "topology_required": Wish(topology=request_pb2.TOPOLOGY_NVLINK, topology_required=True),
    "placement": Wish(placement=request_pb2.PLACEMENT_PACK),
    "pool": Wish(pool="training"),
    "priority": Wish(priority=""),
    "wait": Wish(wait=Duration(seconds=1)),
    "wait_without_limit": Wish(wait_without_limit=True),
    "attach_deadline": Wish(attach_deadline=Duration(seconds=1)),
    "keepalive": Wish(keepalive=Duration(seconds=1)),
    "time_limit": Wish(time_limit=Duration(seconds=1)),
    "enforce": Wish(enforce=request_pb2.ENFORCE_ADVISORY),
    "mask_format": Wish(mask_format=request_pb2.MASK_FORMAT_UUID),
    "labels": Wish(labels={"a": "b"}),
    "owner": Wish(owner=request_pb2.OwnerReference(reference="ray:1")),
    "attach_caller": Wish(attach_caller=True),
    "over_use": Wish(over_use=request_pb2.OVER_USE_TERMINATE),
    "holder_uid": Wish(holder_uid=0),
    "holder_gid": Wish(holder_gid=0),
    "parent_lease_id": Wish(parent_lease_id="lease-1"),
    "affinity_key": Wish(affinity_key="worker-1"),
    "confines_itself": Wish(confines_itself=True, attach_caller=True),
}


def found(text: str, _field: str) -> DeviceUuid:
    return DeviceUuid(f"GPU-{text}" if text.isdigit() else text)


def convert(wish: request_pb2.AllocateRequest, call: Call | None = None) -> Request:
    return request_of(wish, call or Call(ADA), FRESH, found)


@pytest.mark.parametrize("name", [one.name for one in FIELDS])
def test_no_field_is_ignored(name: str) -> None:
    """Every field of the protocol changes the request, or is refused by its name."""
    answer = asked(SAID[name])
    if isinstance(answer, Refused):
        assert answer.code in (Code.UNIMPLEMENTED, Code.PERMISSION_DENIED)
        assert answer.sentence.startswith(f"{name}: ")
    else:
        rest = [(field, value) for field, value in SAID[name].ListFields() if field.name != name]
        assert answer != convert(Wish(**{field.name: value for field, value in rest}))


def asked(wish: request_pb2.AllocateRequest) -> Request | Refused:
    """The request, or the refusal of it."""
    try:
        return convert(wish)
    except Refused as refused:
        return refused


def test_nothing_said() -> None:
    """An empty message asks for one whole device under a fresh id."""
    assert convert(Wish()) == Request(FRESH, count=1)


def test_devices() -> None:
    """Devices are resolved, keep their order, and give their number."""
    request = convert(Wish(device_uuids=["2", "GPU-1"]))
    assert request.devices == ("GPU-2", "GPU-1")
    assert request.count == 2


def test_values() -> None:
    """Sizes stay bytes, durations become nanoseconds."""
    wish = Wish(
        count=2,
        memory_bytes=5,
        keepalive=Duration(seconds=1, nanos=5),
        owner=request_pb2.OwnerReference(reference="ray:1"),
        enforce=request_pb2.ENFORCE_REQUIRED,
        mask_format=request_pb2.MASK_FORMAT_RELATIVE,
    )
    request = request_of(wish, Call(ADA), FRESH, found, ProcessId(7, 70))
    assert request == Request(
        FRESH,
        count=2,
        memory=5,
        keepalive=SECOND + 5,
        owner=Owner("ray:1", ProcessId(7, 70)),
        enforce=Enforce.REQUIRED,
        mask_format=MaskFormat.RELATIVE,
    )


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish(memory_bytes=0), "memory_bytes"),
        (Wish(memory_bytes=1 << 63), "memory_bytes"),
        (Wish(sharing=request_pb2.SHARING_ANY), "sharing"),
        (Wish(sharing=request_pb2.SHARING_OWN), "sharing"),
        (Wish(sharing=17), "sharing"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(enforce=17), "enforce"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(mask_format=17), "mask_format"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(time_limit=Duration(seconds=MAX_SECONDS + 1)), "time_limit"),
        (Wish(time_limit=Duration(seconds=-1)), "time_limit"),
        (Wish(keepalive=Duration()), "keepalive"),
        (Wish(attach_deadline=Duration(nanos=SECOND)), "attach_deadline"),
        (Wish(request_id="x" * 257), "request_id"),
        (Wish(gpu_types=["l4", "x" * 257]), "gpu_types"),
        (Wish(gpu_types=["l4"] * 65), "gpu_types"),
        (Wish(mig_profile="x" * 257), "mig_profile"),
        (Wish(pool="x" * 257), "pool"),
        (Wish(priority="x" * 257), "priority"),
        (Wish(device_uuids=["0"] * 1025), "device_uuids"),
        (Wish(available_uuids=["0"] * 1025), "available_uuids"),
        (Wish(topology=17), "topology"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(placement=17), "placement"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(topology_required=True), "topology_required"),
        (Wish(allow_larger_mig_profile=True), "allow_larger_mig_profile"),
        (Wish(memory_fraction=float("nan")), "memory_fraction"),
        (Wish(memory_fraction=0.5, memory_bytes=1), "memory_fraction"),
        (Wish(over_use=17), "over_use"),  # type: ignore[arg-type]  # a client may send any number
        (Wish(owner=request_pb2.OwnerReference()), "owner.reference"),
    ],
)
def test_malformed(wish: request_pb2.AllocateRequest, field: str) -> None:
    """What is wrong whatever the host is refused by the name of the field."""
    with pytest.raises(InvalidRequest) as caught:
        convert(wish)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "wish",
    [
        Wish(holder_uid=ADA.uid, holder_gid=ADA.gid),
        Wish(sharing=request_pb2.SHARING_UNSPECIFIED),
        Wish(topology=request_pb2.TOPOLOGY_UNSPECIFIED, placement=0),  # type: ignore[arg-type]  # UNSPECIFIED
    ],
)
def test_saying_the_default(wish: request_pb2.AllocateRequest) -> None:
    """Who asks in so many words for what would be done anyway is understood."""
    assert convert(wish) == convert(Wish())


def test_share() -> None:
    """A share beside any other lease is what a size asks for; else devices are whole."""
    wish = Wish(sharing=request_pb2.SHARING_ANY, memory_bytes=9)
    assert convert(wish).memory == 9
    assert not convert(wish).exclusive
    assert not convert(Wish(memory_fraction=0.25)).exclusive
    assert convert(Wish(sharing=request_pb2.SHARING_EXCLUSIVE, memory_bytes=9)).exclusive
    assert convert(Wish()).exclusive


def test_other_holder() -> None:
    """A user may not ask for another; an administrator cannot yet."""
    wish = Wish(holder_uid=4242)
    with pytest.raises(Refused) as caught:
        convert(wish)
    assert caught.value.code is Code.PERMISSION_DENIED
    with pytest.raises(Refused) as caught:
        convert(wish, Call(ROOT))
    assert caught.value.code is Code.UNIMPLEMENTED
    assert "run the request as 4242" in caught.value.sentence


def test_newer_client() -> None:
    """A field that this daemon does not know is refused, not ignored."""
    wish = Wish.FromString(b"\xf8\x06\x01")
    with pytest.raises(Refused, match="field number 111") as caught:
        convert(wish)
    assert caught.value.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize("pid", [0, 1 << 31])
def test_pid(pid: int) -> None:
    """A number that no process can have is refused."""
    with pytest.raises(InvalidRequest, match=r"process\.pid"):
        named_pid(process_pb2.ProcessIdentity(pid=pid), "process")


def test_mask_format() -> None:
    """A mask format is what its name says."""
    assert mask_format_of(request_pb2.MASK_FORMAT_INDEX) is MaskFormat.INDEX


SPANS = st.none() | st.integers(1, MAX_SECONDS * SECOND)


@st.composite
def convertible(draw: st.DrawFn) -> Request:
    """Any request, within what a message can hold."""
    one = draw(requests())
    sizes = st.integers(1, (1 << 63) - 1)
    return replace(
        one,
        memory=None if one.memory is None else draw(sizes),
        attach_deadline=draw(SPANS),
        keepalive=draw(SPANS),
        time_limit=draw(SPANS),
        owner=None if one.owner is None else Owner(one.owner.reference),
        wait=None if one.wait_without_limit else draw(SPANS),
    )


@given(convertible())
def test_there_and_back(request: Request) -> None:
    """A request that is turned into a message asks for the same."""
    assert convert(Wish.FromString(message_of(request).SerializeToString())) == request


def test_owner_process_back() -> None:
    """The owning process is told as it was found."""
    request = Request(FRESH, owner=Owner("ray:1", ProcessId(7, 70)))
    assert message_of(request).owner.process.start_ticks == 70
