"""The kernel's BPF machine, as far as our programs use it: runs the bytes, checks the rules.

Written from the instruction set's own document and not from the assembler, so that a mistake in
one is not repeated in the other. Stricter than the kernel where that is simple: a register that
was never written cannot be read, and a jump cannot go back.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

_MASK_64: Final = 2**64 - 1
_CONTEXT: Final = 0x1000_0000  # where the memory of each kind lies; any numbers do
_STACK: Final = 0x2000_0000
_STACK_SIZE: Final = 512
_CALLER_SAVED: Final = range(1, 6)


class Fault(Exception):
    """The program did what the verifier would have refused."""


@dataclass(slots=True)
class Machine:
    """One run.

    Attributes:
        context: What register 1 points to: read only.
        helpers: By number; each may read the machine's registers 1 to 5 and its memory.
        registers: None: never written.
        stack: 512 bytes, ended by register 10.
        steps: Instructions executed.
    """

    context: bytes
    helpers: Mapping[int, Callable[["Machine"], int]] = field(default_factory=dict)
    registers: list[int | None] = field(default_factory=lambda: [None] * 11)
    stack: bytearray = field(default_factory=lambda: bytearray(_STACK_SIZE))
    steps: int = 0

    def register(self, number: int) -> int:
        """Read a register."""
        value = self.registers[number]
        if value is None:
            raise Fault(f"register {number} is read before it is written")
        return value

    def memory(self, address: int, size: int) -> bytes:
        """Read the stack or the context."""
        for start, content in ((_CONTEXT, self.context), (_STACK, self.stack)):
            if start <= address and address + size <= start + len(content):
                return bytes(content[address - start : address - start + size])
        raise Fault(f"{size} bytes at {address:#x} are read")

    def write(self, address: int, content: bytes) -> None:
        """Write the stack."""
        at = address - _STACK
        if at < 0 or at + len(content) > _STACK_SIZE:
            raise Fault(f"{len(content)} bytes at {address:#x} are written")
        self.stack[at : at + len(content)] = content

    def run(self, program: bytes) -> int:
        """Execute *program* and give its result, register 0."""
        code = list(struct.iter_unpack("<BBhi", program))
        self.registers[1], self.registers[10] = _CONTEXT, _STACK + _STACK_SIZE
        place = 0
        while code[place][0] != 0x95:
            self.steps += 1
            place = self._step(code, place)
        return self.register(0) & 0xFFFFFFFF

    def _step(self, code: list[tuple[int, int, int, int]], place: int) -> int:
        """Execute one instruction; give the place of the next."""
        op, registers, offset, value = code[place]
        target, source = registers & 15, registers >> 4
        if op == 0x18:  # 64 bits of constant; a map is its descriptor here
            self._set(target, value | code[place + 1][3] << 32)
            return place + 2
        if op == 0x85:
            self._call(value)
            return place + 1
        family = op & 7
        if family == 5:
            return place + 1 + (offset if self._jumps(op, target, source, value, offset) else 0)
        if family in {1, 2, 3}:
            self._move(op, target, source, offset, value)
        elif family in {4, 7}:
            self._compute(op, target, source, value)
        else:
            raise Fault(f"no such operation: {op:#x}")
        return place + 1

    def _set(self, target: int, value: int) -> None:
        if target == 10:
            raise Fault("the frame pointer is written")
        self.registers[target] = value & _MASK_64

    def _call(self, helper: int) -> None:
        if helper not in self.helpers:
            raise Fault(f"there is no helper {helper}")
        result = self.helpers[helper](self)
        for lost in _CALLER_SAVED:
            self.registers[lost] = None
        self._set(0, result)

    def _jumps(self, op: int, target: int, source: int, value: int, offset: int) -> bool:
        if offset < 0:
            raise Fault("a jump goes back")
        kind = op & 0xF0
        if kind == 0x00:
            return True
        left = self.register(target)
        right = self.register(source) if op & 8 else value & _MASK_64
        verdicts = {
            0x10: left == right,
            0x20: left > right,
            0x30: left >= right,
            0x40: bool(left & right),
            0x50: left != right,
            0xA0: left < right,
            0xB0: left <= right,
        }
        return verdicts[kind]

    def _move(self, op: int, target: int, source: int, offset: int, value: int) -> None:
        size = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}[op & 0x18]
        if op & 7 == 1:
            content = self.memory(self.register(source) + offset, size)
            self._set(target, int.from_bytes(content, "little"))
            return
        stored = self.register(source) if op & 7 == 3 else value
        content = (stored % 2 ** (8 * size)).to_bytes(size, "little")
        self.write(self.register(target) + offset, content)

    def _compute(self, op: int, target: int, source: int, value: int) -> None:
        kind, width = op & 0xF0, 64 if op & 7 == 7 else 32
        right = self.register(source) if op & 8 else value
        if kind == 0xB0:
            self._set(target, right % 2**width)
            return
        left, right = self.register(target) % 2**width, right % 2**width
        results = {
            0x00: left + right,
            0x40: left | right,
            0x50: left & right,
            0x60: left << (right % width),
            0x70: left >> (right % width),
        }
        self._set(target, results[kind] % 2**width)
