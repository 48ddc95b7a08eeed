"""Messages out of a JSON body or a query, and where one is wrong."""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from gpusched.core.errors import InvalidRequest
from gpusched.core.replies import Refusal
from gpusched.rpc.call import Refused
from gpusched.rpc.status import refuse

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_PLAIN: dict[int, type] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_UINT64: int,
}
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": True}
_TEXTS = ("google.protobuf.Timestamp", "google.protobuf.Duration")


def message_from_json(kind: type[Message], body: bytes) -> Message:
    """Read the body of a POST; an empty one is an empty message.

    Raises:
        Refused: It is no JSON object.
        InvalidRequest: A field is unknown, or holds what it may not.
    """
    if not body.strip():
        return kind()
    try:
        said = json.loads(body, object_pairs_hook=_object)
    except RecursionError:
        raise _no_json("it is nested too deeply") from None
    except ValueError as error:
        raise _no_json(str(error)) from None
    if not isinstance(said, dict):
        raise _no_json(f"it has to be an object, like {{}}, and not {type(said).__name__}")
    return _message(kind, said)


def message_from_query(kind: type[Message], query: Iterable[tuple[str, str]]) -> Message:
    """Read the query of a GET: single fields of numbers, texts, flags and times.

    Raises:
        InvalidRequest: A field is unknown, or holds what it may not.
    """
    said: dict[str, Json] = {}
    for name, text in query:
        field = _field(kind, name)
        if field.name in said:
            raise InvalidRequest(name, "is there twice")
        said[field.name] = _value(field, text)
    return _message(kind, said)


def _message(kind: type[Message], said: dict[str, Json]) -> Message:
    plain = _plain(kind.DESCRIPTOR)
    # Most requests are a few plain values, which need no mapping: four times as fast.
    if all(type(value) is plain.get(name) for name, value in said.items()):
        with suppress(ValueError):  # out of range, or no Unicode: told below
            return kind(**said)
    message = kind()
    try:
        ParseDict(said, message)
    except (ParseError, ValueError, TypeError, RecursionError) as error:
        raise _fault(kind, said, error) from None
    return message


@cache
def _plain(descriptor: Descriptor) -> dict[str, type]:
    """Give the fields whose value in JSON is the value in the message, with its type."""
    return {
        one.name: _PLAIN[one.type]
        for one in descriptor.fields
        if one.type in _PLAIN and not one.is_repeated
    }


def _fault(kind: type[Message], said: dict[str, Json], error: Exception) -> InvalidRequest:
    """Find the field at fault: the first that alone cannot be read either."""
    for name, value in said.items():
        _field(kind, name)
        try:
            ParseDict({name: value}, kind())
        except (ParseError, ValueError, TypeError, RecursionError) as alone:
            return InvalidRequest(name, _why(alone))
    return InvalidRequest(kind.DESCRIPTOR.name, _why(error))


def _why(error: Exception) -> str:
    """Give the first line of an error of protobuf; what follows lists fields."""
    line = str(error).partition("\n")[0]
    return line.rpartition(" field: ")[2].rstrip(".")


def _field(kind: type[Message], name: str) -> FieldDescriptor:
    """Find a field by its name in the protocol or in JSON.

    Raises:
        InvalidRequest: There is none.
    """
    fields = _fields(kind.DESCRIPTOR)
    if name not in fields:
        names = ", ".join(dict.fromkeys(one.name for one in fields.values())) or "none"
        raise InvalidRequest(name, f"{kind.DESCRIPTOR.name} has no such field; it has {names}")
    return fields[name]


@cache
def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    return {name: one for one in descriptor.fields for name in (one.name, one.camelcase_name)}


def _value(field: FieldDescriptor, text: str) -> Json:
    complex_ = field.message_type is not None and field.message_type.full_name not in _TEXTS
    if complex_ or field.is_repeated:
        raise InvalidRequest(field.name, "cannot stand in a query: send it with POST, as JSON")
    if field.type != FieldDescriptor.TYPE_BOOL:
        return int(text) if field.enum_type is not None and text.isdecimal() else text
    if text not in _FLAGS:
        raise InvalidRequest(field.name, f"{text!r} is neither true nor false")
    return _FLAGS[text]


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twice = next(name for name, many in counted.items() if many > 1)
        raise ValueError(f"{twice!r} is there twice")
    return made


def _no_json(why: str) -> Refused:
    return refuse(Refusal.BAD_REQUEST, f"the body is no JSON request: {why}")
