"""A request as a command to paste: who pastes it asks for the same."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpusched.api.v1 import request_pb2
from gpusched.cli.allocation import request_of as typed
from gpusched.cli.parser import parse
from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import Enforce, MaskFormat, OverUse, Request
from gpusched.core.sizes import MIB
from gpusched.rpc.call import Call
from gpusched.rpc.commands import command_of
from gpusched.rpc.convert_request import request_of
from gpusched.web.message_input import message_from_json
from tests.examples import examples
from tests.fakes.builders import ADA, A

Fields: TypeAlias = Mapping[str, object]

MILLISECOND = 10**6
WORDS = st.from_regex(r"[ -~]{1,9}", fullmatch=True)
TIMES = st.integers(1, 10**9).map(lambda many: many * MILLISECOND)

SIZES: st.SearchStrategy[Fields] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "memory": st.integers(1, 1 << 20).map(lambda many: many * MIB),
            "sharing": st.sampled_from(Sharing),
        }
    ),
    st.fixed_dictionaries({"memory_fraction": st.integers(1, 100).map(lambda many: many / 100)}),
)
COUNTS: st.SearchStrategy[Fields] = st.one_of(
    st.fixed_dictionaries({"count": st.integers(0, 1024)}),
    st.just({"count": 4, "min_count": 2, "max_count": 6}),
    st.just({"count": 2, "devices": (DeviceUuid("GPU-1"), DeviceUuid("GPU-2"))}),
)
KINDS: st.SearchStrategy[Fields] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"mig_profile": WORDS.map("1g".__add__), "allow_larger_mig": st.booleans()}
    ),
    st.fixed_dictionaries({"gpu_types": st.tuples(st.just("l4"), st.just("rtx 4090"))}),
)
TOPOLOGIES: st.SearchStrategy[Fields] = st.one_of(
    st.fixed_dictionaries({"topology": st.sampled_from(Topology)}),
    st.just({"topology": Topology.NVLINK, "topology_required": True}),
)
WAITS: st.SearchStrategy[Fields] = st.one_of(
    st.just({}),
    st.just({"wait_without_limit": True}),
    st.fixed_dictionaries({"wait": TIMES}),
)
REST = st.fixed_dictionaries(
    {},
    optional={
        "time_limit": TIMES,
        "enforce": st.sampled_from(Enforce),
        "mask_format": st.sampled_from(MaskFormat),
        "over_use": st.sampled_from(OverUse),
        "placement": st.sampled_from(Placement),
        "pool": st.just("training"),
        "priority": st.just("high"),
        "affinity_key": WORDS,
        "labels": st.dictionaries(st.just("team"), WORDS, min_size=1),
    },
)


def pasted(command: str) -> Request:
    """What a command asks for, by way of the command line and the gateway."""
    first, *words = shlex.split(command)
    assert first == "gpusched"
    invocation, _ = parse(words)
    body = json.dumps(typed(invocation.options)).encode()
    message = message_from_json(request_pb2.AllocateRequest, body)
    wish = cast("request_pb2.AllocateRequest", message)
    return request_of(wish, Call(ADA), RequestId("a"), lambda one, _field: DeviceUuid(one))


@examples(200)
@given(st.tuples(COUNTS, SIZES, KINDS, TOPOLOGIES, WAITS, REST))
def test_a_command_asks_for_the_same(parts: tuple[Fields, ...]) -> None:
    """Whatever the command line can say is in the command, in a shell's words."""
    fields = {name: value for part in parts for name, value in part.items()}
    request = Request(A, **fields)  # type: ignore[arg-type]  # the strategies know their fields
    assume(request.affinity_key != "--")  # no flag says it
    assert pasted(command_of("allocate", request)) == request


@pytest.mark.parametrize("field", ["available", "must_include"])
def test_what_no_flag_says_is_no_command(field: str) -> None:
    """A command that asked for devices which the request does not want is not named."""
    request = replace(Request(A), **{field: (DeviceUuid("GPU-1"),)})  # type: ignore[arg-type]  # the strings are its fields
    assert command_of("run", request) == ""
    assert command_of("run", None) == ""
    assert command_of("run", Request(A, affinity_key="--")) == ""


@pytest.mark.parametrize("word", ["\x1b[2Jgone", "two\nlines", "\x9b2J", "a\u202eb"])
def test_what_a_terminal_would_obey_is_no_command(word: str) -> None:
    """A label with characters that are not printable is in no command: who is shown the command
    may be an administrator, whose terminal would obey another user's words.
    """
    assert command_of("run", replace(Request(A), labels={"team": word})) == ""
