"""An assembler for the kernel's BPF machine: instructions by name, jumps by label, to bytes.

Exists so that programs can be written without a compiler and checked without a kernel. Pure: no
system call and no word about devices may enter. Sources: `struct bpf_insn` in linux/bpf.h and
Documentation/bpf/standardization/instruction-set.rst.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_MAP_FD: Final = 1  # BPF_PSEUDO_MAP_FD: the immediate of LOAD_CONSTANT is a map's descriptor


class Register(IntEnum):
    """The machine's registers. A call takes 1 to 5 and loses them; it gives its result in 0."""

    RESULT = 0
    ARGUMENT_1 = 1  # at the start: the program's context
    ARGUMENT_2 = 2
    ARGUMENT_3 = 3
    ARGUMENT_4 = 4
    ARGUMENT_5 = 5
    KEPT_6 = 6
    KEPT_7 = 7
    FRAME = 10  # end of 512 bytes of stack, which grow down; read only


class Op(IntEnum):
    """Operations. Arithmetic is 64 bits wide, comparisons unsigned, unless the name says else."""

    LOAD_CONSTANT = 0x18  # two instructions long
    LOAD_U32 = 0x61
    LOAD_U64 = 0x79
    STORE_U32 = 0x63
    STORE_U64 = 0x7B
    STORE_U32_VALUE = 0x62
    STORE_U64_VALUE = 0x7A
    ADD = 0x07
    AND_U32 = 0x54  # clears the upper half
    SHIFT_RIGHT = 0x77
    MOVE = 0xB7
    MOVE_REGISTER = 0xBF
    JUMP = 0x05
    IF_EQUAL = 0x15
    IF_NOT_EQUAL = 0x55
    IF_GREATER = 0x25
    IF_LESS = 0xA5
    IF_AT_MOST = 0xB5
    IF_ANY_BIT = 0x45
    CALL = 0x85
    EXIT = 0x95


class Helper(IntEnum):
    """Functions of the kernel that a program may call; `enum bpf_func_id`."""

    MAP_LOOKUP = 1
    CURRENT_PID_TGID = 14
    CURRENT_ANCESTOR_CGROUP_ID = 123
    RINGBUF_OUTPUT = 130


@dataclass(slots=True)
class _Instruction:
    op: Op
    target: int = 0
    source: int = 0
    offset: int = 0
    value: int = 0


class Listing:
    """Instructions in the order in which they were added."""

    def __init__(self) -> None:
        self._listed: list[_Instruction | int] = []  # int: second half of a LOAD_CONSTANT
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def __len__(self) -> int:
        """Count the instructions as the kernel does."""
        return len(self._listed)

    def load(self, op: Op, target: Register, base: Register, offset: int) -> None:
        """Read memory: target = *(base + offset)."""
        self._listed.append(_Instruction(op, target, base, offset))

    def store(self, op: Op, base: Register, offset: int, source: Register) -> None:
        """Write memory: *(base + offset) = source."""
        self._listed.append(_Instruction(op, base, source, offset))

    def store_value(self, op: Op, base: Register, offset: int, value: int) -> None:
        """Write memory: *(base + offset) = value, which is widened with its sign."""
        self._listed.append(_Instruction(op, base, 0, offset, value))

    def compute(self, op: Op, target: Register, value: int) -> None:
        """Do arithmetic: target = target (op) value, which is widened with its sign."""
        self._listed.append(_Instruction(op, target, value=value))

    def combine(self, op: Op, target: Register, source: Register) -> None:
        """Do arithmetic: target = target (op) source."""
        self._listed.append(_Instruction(op, target, source))

    def load_map(self, target: Register, descriptor: int) -> None:
        """Load the map that *descriptor* names in the process that loads the program."""
        self._listed += (_Instruction(Op.LOAD_CONSTANT, target, _MAP_FD, value=descriptor), 0)

    def call(self, helper: Helper) -> None:
        """Call the kernel."""
        self._listed.append(_Instruction(Op.CALL, value=helper))

    def jump(self, label: str) -> None:
        """Go on at *label*, which must stand further down."""
        self._jumps.append((len(self._listed), label))
        self._listed.append(_Instruction(Op.JUMP))

    def jump_if(self, op: Op, register: Register, value: int, label: str) -> None:
        """Go on at *label*, which must stand further down, if register (op) value."""
        self._jumps.append((len(self._listed), label))
        self._listed.append(_Instruction(op, register, value=value))

    def exit(self) -> None:
        """End with what is in RESULT."""
        self._listed.append(_Instruction(Op.EXIT))

    def label(self, name: str) -> None:
        """Name the place of the next instruction."""
        if name in self._labels:
            raise ValueError(f"the label {name} stands twice")
        self._labels[name] = len(self._listed)

    def encode(self) -> bytes:
        """Give the program, little-endian.

        Raises:
            ValueError: A label is missing, or stands before a jump to it; an offset has more than
                16 bits or a value more than 32, sign included.
        """
        for place, label in self._jumps:
            offset = self._labels.get(label, -1) - place - 1
            if offset < 0:
                raise ValueError(f"there is no label {label} below instruction {place}")
            instruction = self._listed[place]
            assert isinstance(instruction, _Instruction)  # noqa: S101 - jump() put it there
            instruction.offset = offset
        try:
            return b"".join(map(_encoded, self._listed))
        except struct.error as error:
            raise ValueError(f"an instruction does not fit: {error}") from None


def _encoded(one: _Instruction | int) -> bytes:
    if isinstance(one, int):
        return struct.pack("<BBhi", 0, 0, 0, one)
    registers = one.source << 4 | one.target
    return struct.pack("<BBhi", one.op, registers, one.offset, one.value)
