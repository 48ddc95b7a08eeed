"""Lists what the public API promises on the wire, and keeps the golden list of it.

A name or number that was once in `tests/contracts/wire.golden` is used by clients nobody knows, so
`--update` adds to that list and never takes away. Rules of style for protos do not belong here.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)
from grpc_tools import protoc

_ROOT = Path(__file__).resolve().parent.parent
_PROTOS = _ROOT / "protos"
_WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
GOLDEN = _ROOT / "tests" / "contracts" / "wire.golden"


def files() -> tuple[FileDescriptorProto, ...]:
    """Compiles `protos/`; the comments are in each file's `source_code_info`.

    Raises:
        ValueError: protoc refuses them; it has said why on stderr.
    """
    sources = sorted(str(path) for path in _PROTOS.rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={_PROTOS}",
                f"--proto_path={_WELL_KNOWN}",
                "--include_source_info",
                f"--descriptor_set_out={out.name}",
                *sources,
            ]
        )
        if code != 0:
            raise ValueError("protoc refuses protos/")
        return tuple(FileDescriptorSet.FromString(Path(out.name).read_bytes()).file)


def promises(compiled: Iterable[FileDescriptorProto]) -> tuple[str, ...]:
    """Lists fields, enum values and RPCs, one line each, sorted within their kind."""
    lines = [line for file in compiled for line in _file_lines(file)]
    return tuple(sorted(lines))


def broken(golden: Iterable[str], present: Iterable[str]) -> tuple[str, ...]:
    """Lists the promises of *golden* that *present* no longer keeps, word for word."""
    kept = frozenset(present)
    return tuple(line for line in golden if line not in kept)


def _file_lines(file: FileDescriptorProto) -> Iterator[str]:
    for message in file.message_type:
        yield from _message_lines(f"{file.package}.{message.name}", message)
    for enum in file.enum_type:
        for value in enum.value:
            yield f"value {file.package}.{enum.name} {value.number} {value.name}"
    for service in file.service:
        for method in service.method:
            yield f"rpc {file.package}.{service.name}.{method.name} {_signature(method)}"


def _message_lines(name: str, message: DescriptorProto) -> Iterator[str]:
    yield f"message {name}"
    for field in message.field:
        yield f"field {name} {field.number} {field.name} {_kind(field)} {_label(message, field)}"
    for nested in message.nested_type:
        yield from _message_lines(f"{name}.{nested.name}", nested)


def _kind(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.removeprefix(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _label(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return "repeated"
    if field.proto3_optional:
        return "optional"
    if field.HasField("oneof_index"):
        return f"oneof:{message.oneof_decl[field.oneof_index].name}"
    return "plain"


def _signature(method: MethodDescriptorProto) -> str:
    asked = "stream " * method.client_streaming + method.input_type.removeprefix(".")
    answered = "stream " * method.server_streaming + method.output_type.removeprefix(".")
    safe = method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return f"{asked} -> {answered}" + " (no side effects)" * safe


def main() -> None:
    """Lists the promises, or with `--update` adds the new ones to the golden list."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--update", action="store_true", help=f"add new ones to {GOLDEN.name}")
    present = promises(files())
    if not parser.parse_args().update:
        sys.stdout.write("\n".join(present) + "\n")
        return
    old = GOLDEN.read_text().splitlines() if GOLDEN.exists() else []
    merged = sorted(frozenset(old) | frozenset(present))
    GOLDEN.write_text("\n".join(merged) + "\n")
    sys.stdout.write(f"wire: {len(merged)} promises, {len(merged) - len(old)} of them new\n")


if __name__ == "__main__":
    main()
