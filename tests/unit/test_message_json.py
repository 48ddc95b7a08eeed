"""Messages as JSON say what protobuf's own mapping says."""

import json
import math

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from gpusched.api.v1 import (
    device_pb2,
    lease_pb2,
    reading_pb2,
    rejection_pb2,
    request_pb2,
    survey_pb2,
)
from gpusched.rpc.registry import SERVICES
from gpusched.web.message_json import text_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
U64 = st.integers(0, (1 << 64) - 1)
TIMES = st.builds(
    Timestamp,
    seconds=st.integers(0, 4_000_000_000),
    nanos=st.sampled_from([0, 1, 5_000_000, 999_999_999]),
)
SPANS = st.builds(Duration, seconds=st.integers(0, 10**9), nanos=st.sampled_from([0, 7]))
REQUESTS = st.builds(
    request_pb2.AllocateRequest,
    request_id=TEXT,
    count=st.none() | st.integers(0, 9),
    memory_bytes=st.none() | U64,
    memory_fraction=st.none() | st.floats(allow_nan=False),
    gpu_types=st.lists(TEXT, max_size=2),
    labels=st.dictionaries(TEXT, TEXT, max_size=2),
    enforce=st.integers(0, 5),
    wait=st.none() | SPANS,
    attach_caller=st.booleans(),
)
READINGS = st.builds(reading_pb2.ByteReading, value=U64) | st.builds(
    reading_pb2.ByteReading, unavailable=TEXT
)
LEASES = st.builds(
    lease_pb2.Lease,
    id=TEXT,
    request=st.none() | REQUESTS,
    created_at=st.none() | TIMES,
    used_memory=READINGS,
    labels=st.dictionaries(TEXT, TEXT, max_size=2),
    devices=st.lists(
        st.builds(lease_pb2.LeasedDevice, uuid=TEXT, index=st.none() | st.integers(0, 9)),
        max_size=2,
    ),
)
REJECTIONS = st.builds(
    rejection_pb2.Rejection,
    kind=st.integers(0, 7),
    sentence=TEXT,
    allowed_values=st.lists(TEXT, max_size=2),
    nearest=st.none() | REQUESTS,
)
DEVICES = st.builds(
    device_pb2.Device,
    uuid=TEXT,
    withheld_bytes=U64,
    attributes=st.dictionaries(TEXT, TEXT, max_size=2),
)


def standard(message: Message) -> dict[str, object]:
    """What protobuf's own mapping says."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


@given(LEASES | REQUESTS | REJECTIONS | DEVICES)
def test_standard_mapping(message: Message) -> None:
    """What is written is the standard mapping, field by field, and is read back as the same."""
    text = text_of(message)
    assert json.loads(text) == standard(message)
    assert Parse(text, type(message)()).SerializeToString(deterministic=True) == (
        message.SerializeToString(deterministic=True)
    )


@pytest.mark.parametrize(
    "name", [method.full_name for service in SERVICES for method in service.methods]
)
def test_every_reply(name: str) -> None:
    """Every message that a method answers with can be written."""
    *_, service_name, method_name = name.split(".")
    (service,) = (one for one in SERVICES if one.name == service_name)
    message = GetMessageClass(service.methods_by_name[method_name].output_type)()
    assert json.loads(text_of(message)) == standard(message)


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'), (math.nan, '"NaN"')]
)
def test_odd_floats(value: float, text: str) -> None:
    """Numbers that JSON does not have are texts."""
    message = request_pb2.AllocateRequest(memory_fraction=value)
    assert f'"memory_fraction":{text}' in text_of(message)


def test_undecided() -> None:
    """Fields that would need a decision are refused: bytes."""
    with pytest.raises(TypeError, match="bytes"):
        text_of(BytesValue(value=b"x"))


def test_a_map_of_messages() -> None:
    """A map is an object, whatever its values are."""
    message = survey_pb2.NodeSurvey()
    message.fields["cuda_version"].text = "12.8"
    message.fields["count"].failure.code = 3
    assert json.loads(text_of(message)) == standard(message)


def test_text() -> None:
    """Text is one line and stays as it is."""
    message = request_pb2.AllocateRequest(request_id='ä\n"')
    assert '"request_id":"ä\\n\\""' in text_of(message)
