"""The public API keeps what it once promised, and every word of it is explained."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from tools import wire

UPDATE = "python tools/wire.py --update"
FIELD_OF_MESSAGE, NESTED_IN_MESSAGE, ONEOF_OF_MESSAGE = 2, 3, 8
MESSAGE_OF_FILE, ENUM_OF_FILE, SERVICE_OF_FILE, SYNTAX_OF_FILE = 4, 5, 6, 12
VALUE_OF_ENUM, METHOD_OF_SERVICE = 2, 2
FILES = wire.files()
GOLDEN = tuple(wire.GOLDEN.read_text().splitlines())
PRESENT = wire.promises(FILES)


def test_no_promise_is_removed_changed_or_reused() -> None:
    """A name or number that a client may use never goes away nor means something else."""
    broken = wire.broken(GOLDEN, PRESENT)
    assert not broken, (
        "protos/ breaks what clients rely on; put it back (where that cannot be, delete the line "
        f"from {wire.GOLDEN.name} by hand, then run `{UPDATE}`):\n" + "\n".join(broken)
    )


def test_every_promise_is_in_the_golden_list() -> None:
    """What is added to the API is protected from the day it is added."""
    new = wire.broken(PRESENT, GOLDEN)
    assert not new, f"new in protos/; run `{UPDATE}`:\n" + "\n".join(new)


@pytest.mark.parametrize(
    ("present", "what"),
    [
        ((), "removed"),
        (("field a.B 2 c string plain",), "renumbered"),
        (("field a.B 1 d string plain",), "number reused"),
        (("field a.B 1 c uint32 plain",), "another type"),
        (("field a.B 1 c string repeated",), "another label"),
    ],
)
def test_each_kind_of_breakage_is_found(present: tuple[str, ...], what: str) -> None:
    """Removing, renumbering, renaming, retyping and relabelling a field are all breakage."""
    golden = ("field a.B 1 c string plain",)
    assert wire.broken(golden, present) == golden, what


def test_additions_break_nothing() -> None:
    """A new field beside the old ones keeps every promise."""
    golden = ("field a.B 1 c string plain",)
    assert wire.broken(golden, (*golden, "field a.B 2 d string plain")) == ()


def _message_places(
    name: str, path: tuple[int, ...], message: DescriptorProto
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
    for i, field in enumerate(message.field):
        yield (*path, FIELD_OF_MESSAGE, i), f"{name}.{field.name}"
    for i, oneof in enumerate(message.oneof_decl):
        if i not in synthetic:
            yield (*path, ONEOF_OF_MESSAGE, i), f"{name}.{oneof.name}"
    for i, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message_places(
                f"{name}.{nested.name}", (*path, NESTED_IN_MESSAGE, i), nested
            )


def _places(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Give everything that has a name, with its path as in `source_code_info`."""
    yield (SYNTAX_OF_FILE,), file.name
    for i, message in enumerate(file.message_type):
        yield from _message_places(message.name, (MESSAGE_OF_FILE, i), message)
    for i, enum in enumerate(file.enum_type):
        yield (ENUM_OF_FILE, i), enum.name
        for j, value in enumerate(enum.value):
            yield (ENUM_OF_FILE, i, VALUE_OF_ENUM, j), value.name
    for i, service in enumerate(file.service):
        yield (SERVICE_OF_FILE, i), service.name
        for j, method in enumerate(service.method):
            yield (SERVICE_OF_FILE, i, METHOD_OF_SERVICE, j), f"{service.name}.{method.name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_everything_with_a_name_has_a_comment(file: FileDescriptorProto) -> None:
    """A reader of the protos finds a comment above every message, field, value and RPC."""
    comments = {
        tuple(location.path): location.leading_comments.strip()
        for location in file.source_code_info.location
    }
    bare = [name for path, name in _places(file) if not comments.get(path)]
    assert not bare, f"without a comment in {file.name}: {', '.join(bare)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_field_numbers_have_no_gap_without_a_reason(file: FileDescriptorProto) -> None:
    """A number that is not used is reserved, so that nobody wonders what it was."""
    for message in file.message_type:
        reserved = {n for one in message.reserved_range for n in range(one.start, one.end)}
        used = {field.number for field in message.field}
        assert used | reserved == set(range(1, len(used | reserved) + 1)), message.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_zero_of_every_enum_says_nothing(file: FileDescriptorProto) -> None:
    """A value that was not sent is never mistaken for one that was."""
    for enum in file.enum_type:
        zero = enum.value[0]
        assert zero.number == 0
        assert zero.name.endswith("_UNSPECIFIED"), zero.name


def test_no_two_rpcs_share_a_request_type() -> None:
    """Each RPC can be given a field of its own (a variant of the same question excepted)."""
    asked = [m.input_type for file in FILES for service in file.service for m in service.method]
    assert {name for name in asked if asked.count(name) > 1} == {".gpusched.v1.AllocateRequest"}


@pytest.mark.parametrize("service", [s.name for file in FILES for s in file.service])
def test_the_reference_names_every_rpc(service: str) -> None:
    """docs/api.md says of every RPC what it is for."""
    reference = (wire.GOLDEN.parents[2] / "docs" / "api.md").read_text()
    (found,) = (s for file in FILES for s in file.service if s.name == service)
    missing = [m.name for m in found.method if f"`{service}.{m.name}`" not in reference]
    assert not missing, f"docs/api.md lacks {missing}"
