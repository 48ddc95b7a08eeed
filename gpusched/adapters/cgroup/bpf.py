"""bpf(2) as typed functions: programs, maps and what is attached to a cgroup.

Exists so that the system call's structs, retries and error numbers end here: a function returns
a plain value or raises OSError whose `strerror` is one line for the user. No mask, no policy and
no state may enter. Descriptors are the caller's to close; they are not inherited.
Sources: bpf(2), linux/bpf.h. Needs Linux 4.15, and 5.6 for `replace`.
"""

import ctypes
import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from gpusched.adapters.cgroup.bpf_call import MAX_PROGRAMS, Command, call, with_memory

LICENSE: Final = b"Apache-2.0"
"""What programs are loaded under; they may call no helper that is for GPL programs only."""

_DEVICE_PROGRAM: Final = 15  # BPF_PROG_TYPE_CGROUP_DEVICE
_TO_DEVICES: Final = 6  # BPF_CGROUP_DEVICE, what it is attached to
_ALLOW_MULTI: Final = 2
_REPLACE: Final = 4
_MAX_IDS: Final = 64
_LOG_SIZE: Final = 65536


_Buffer: TypeAlias = "ctypes.Array[ctypes.c_char]"


class MapKind(IntEnum):
    """Kinds of maps; `enum bpf_map_type`."""

    HASH = 1
    RINGBUF = 27


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A loaded program.

    Attributes:
        id: The kernel's number for it, not used again soon.
        name: As given by who loaded it; at most 15 characters.
        map_ids: Of the maps it uses.
    """

    id: int
    name: str
    map_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map: the kernel's number for it, and its name of at most 15 characters."""

    id: int
    name: str


def load_program(code: bytes, name: str) -> int:
    """Load a device program.

    Args:
        code: Instructions of `struct bpf_insn`.
        name: At most 15 letters, digits, dots and underscores.
    """
    try:
        return _loaded(code, name, None)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EACCES}:
            raise
        return _loaded_telling_why(code, name)


def attach(folder: int, program: int) -> None:
    """Attach *program* to the cgroup directory open as *folder*, beside what is there."""
    _attach(folder, program, _ALLOW_MULTI, 0)


def replace(folder: int, program: int, old: int) -> None:
    """Put *program* in the place of *old*, so that no open falls between the two."""
    _attach(folder, program, _ALLOW_MULTI | _REPLACE, old)


def detach(folder: int, program: int) -> None:
    """Detach *program*.

    Raises:
        FileNotFoundError: It is not attached there.
    """
    call(Command.DETACH, struct.pack("=IIII", folder, program, _TO_DEVICES, 0))


def query(folder: int) -> tuple[int, ...]:
    """Give the ids of the device programs attached to this very cgroup, in order."""
    ids = (ctypes.c_uint32 * MAX_PROGRAMS)()
    layout = "=IIIIQI"  # target, type, query flags, attach flags, ids, count
    given = (folder, _TO_DEVICES, 0, 0, ctypes.addressof(ids), MAX_PROGRAMS)
    _, answer = call(Command.QUERY, struct.pack(layout, *given))
    count = struct.unpack_from(layout, answer)[5]
    return tuple(int(one) for one in ids[:count])


def prog_fd_by_id(number: int) -> int:
    """Open a program. FileNotFoundError: there is none of that id (any more)."""
    return call(Command.PROGRAM_BY_ID, struct.pack("=III", number, 0, 0))[0]


def map_fd_by_id(number: int) -> int:
    """Open a map. FileNotFoundError: there is none of that id (any more)."""
    return call(Command.MAP_BY_ID, struct.pack("=III", number, 0, 0))[0]


def prog_info(program: int) -> ProgramInfo:
    """Describe a program."""
    ids = (ctypes.c_uint32 * _MAX_IDS)()
    layout = "=4xI44xIQ16s"  # id, count of map ids, where they go, name
    given = struct.pack(layout, 0, _MAX_IDS, ctypes.addressof(ids), b"")
    number, count, _, name = struct.unpack(layout, _info(program, given))
    return ProgramInfo(int(number), _text(name), tuple(int(one) for one in ids[:count]))


def map_info(descriptor: int) -> MapInfo:
    """Describe a map."""
    layout = "=4xI16x16s"
    number, name = struct.unpack(layout, _info(descriptor, bytes(struct.calcsize(layout))))
    return MapInfo(int(number), _text(name))


def map_create(kind: MapKind, name: str, entries: int, key_size: int = 0, size: int = 0) -> int:
    """Create a map.

    Args:
        kind: What it does.
        name: At most 15 letters, digits, dots and underscores.
        entries: How many fit in; for a ring buffer its bytes, a power of two of whole pages.
        key_size: Bytes of a key.
        size: Bytes of a value.
    """
    given = (kind, key_size, size, entries, 0, 0, 0, name.encode())
    attribute = struct.pack("=IIIIIII16s", *given)
    return with_memory(Command.MAP_CREATE, attribute)


def map_update(descriptor: int, key: bytes, value: bytes) -> None:
    """Set the value of *key*, whether it is there or not.

    Raises:
        OSError: E2BIG: the map is full.
    """
    _element(Command.MAP_UPDATE, descriptor, key, ctypes.create_string_buffer(value, len(value)))


def map_delete(descriptor: int, key: bytes) -> None:
    """Take *key* out. FileNotFoundError: it is not in."""
    _element(Command.MAP_DELETE, descriptor, key, None)


def map_lookup(descriptor: int, key: bytes, size: int) -> bytes | None:
    """Give the value of *key*, *size* bytes; None where it is not in."""
    found = ctypes.create_string_buffer(size)
    try:
        _element(Command.MAP_LOOKUP, descriptor, key, found)
    except FileNotFoundError:
        return None
    return found.raw


def map_keys(descriptor: int, size: int) -> Iterator[bytes]:
    """Go over the keys, each of *size* bytes; begins anew when the present one is taken out."""
    key: bytes | None = None
    while True:
        found = ctypes.create_string_buffer(size)
        try:
            _element(Command.MAP_NEXT_KEY, descriptor, key, found)
        except FileNotFoundError:
            return
        key = found.raw
        yield key


def _attach(folder: int, program: int, flags: int, old: int) -> None:
    call(Command.ATTACH, struct.pack("=IIIII", folder, program, _TO_DEVICES, flags, old))


def _info(descriptor: int, given: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(given, len(given))
    call(Command.INFO, struct.pack("=IIQ", descriptor, len(given), ctypes.addressof(buffer)))
    return buffer.raw


def _element(
    command: Command,
    descriptor: int,
    key: bytes | None,
    value: "_Buffer | None",
) -> None:
    held = None if key is None else ctypes.create_string_buffer(key, len(key))
    places = (0 if one is None else ctypes.addressof(one) for one in (held, value))
    call(command, struct.pack("=IxxxxQQQ", descriptor, *places, 0))


def _loaded(code: bytes, name: str, log: "_Buffer | None") -> int:
    held = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(LICENSE)
    attribute = struct.pack(
        "=IIQQIIQII16s",
        _DEVICE_PROGRAM,
        len(code) // 8,
        ctypes.addressof(held),
        ctypes.addressof(license_),
        0 if log is None else 1,
        0 if log is None else len(log),
        0 if log is None else ctypes.addressof(log),
        0,
        0,
        name.encode(),
    )
    return with_memory(Command.PROGRAM_LOAD, attribute)


def _loaded_telling_why(code: bytes, name: str) -> int:
    """Load again, with the verifier's last words in the error."""
    log = ctypes.create_string_buffer(_LOG_SIZE)
    try:
        return _loaded(code, name, log)
    except OSError as error:
        said = [one for one in _text(log.raw).splitlines() if not one.startswith("processed ")]
        words = f"{error.strerror}; it says: {said[-1]}" if said else error.strerror
        raise OSError(error.errno, words) from None


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")
