"""Requests out of JSON are read as protobuf's own mapping reads them."""

import json
import time

import pytest
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import given
from hypothesis import strategies as st

from gpusched.api.v1 import leases_pb2, request_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.rpc.call import Refused
from gpusched.web.gateway import BODY_BYTES
from gpusched.web.message_input import message_from_json, message_from_query

Wish = request_pb2.AllocateRequest
NAMES = st.sampled_from(["count", "memory_bytes", "request_id", "attach_caller", "gpuTypes"])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 1 << 65)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.lists(st.text(max_size=2), max_size=2)
)


def read(body: bytes) -> bytes | None:
    """The request as bytes, or None where it is refused."""
    try:
        return message_from_json(Wish, body).SerializeToString()
    except (InvalidRequest, Refused):
        return None


def standard(body: bytes) -> bytes | None:
    """The same by protobuf's own mapping."""
    try:
        return ParseDict(json.loads(body), Wish()).SerializeToString()
    except ParseError:
        return None


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_standard_mapping(said: dict[str, object]) -> None:
    """What is read, and what is refused, is what the standard mapping says."""
    body = json.dumps(said).encode()
    assert read(body) == standard(body)


def test_query() -> None:
    """A query holds numbers, texts, flags, names of enum values, and times."""
    request = message_from_query(
        leases_pb2.ListLeasesRequest,
        [("mine", ""), ("uid", "7"), ("device", "0"), ("ended", "false")],
    )
    assert request == leases_pb2.ListLeasesRequest(mine=True, uid=7, device="0")
    wish = message_from_query(Wish, [("wait", "60s"), ("enforce", "2"), ("memoryBytes", "5")])
    assert wish == Wish(wait={"seconds": 60}, enforce=2, memory_bytes=5)  # type: ignore[arg-type]  # short for a duration


@pytest.mark.parametrize("name", ["owner", "gpu_types", "labels"])
def test_no_place_in_a_query(name: str) -> None:
    """What a query cannot hold is refused by its name."""
    with pytest.raises(InvalidRequest, match=f"{name}: cannot stand in a query"):
        message_from_query(Wish, [(name, "x")])


def test_a_name_that_is_there_twice_is_found_at_once() -> None:
    """A body of the greatest size, whose last name is the first one that is there twice, is
    refused in the time that it takes to read it: whoever asks meanwhile waits for that.
    """
    names = [f"{one:05}" for one in (*range(80_000), 79_999)]
    body = ("{" + ",".join(f'"{one}":0' for one in names) + "}").encode()
    assert len(body) < BODY_BYTES
    begun = time.process_time()
    with pytest.raises(Refused, match="'79999' is there twice"):
        message_from_json(Wish, body)
    assert time.process_time() - begun < 5
