"""A mask as a program for the kernel: what it denies, in as few instructions as it takes.

Exists so that the kernel decides exactly as `Mask.allows` does. Pure: bytes come out, and nothing
is loaded here. Source of the context and of the verdict: `struct bpf_cgroup_dev_ctx` in
linux/bpf.h; Documentation/admin-guide/cgroup-v2.rst, "Device controller".
"""

import heapq
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gpusched.adapters.cgroup.instructions import Helper, Listing, Op, Register
from gpusched.core.mask import Mask, NodeRange, Rule
from gpusched.ports import EnforceError

MAX_INSTRUCTIONS: Final = 4096
"""Every kernel takes as many (BPF_MAXINSNS); newer ones take more only from the privileged."""

DENIAL: Final = struct.Struct("=IIIIQ")
"""What a denial pushes into the ring buffer: process, major, minor, zero, cgroup id.

The process is a number in the host's first PID namespace; zero where the kernel cannot tell.
"""

_CHARACTER: Final = 2  # BPF_DEVCG_DEV_CHAR
_TYPE_MASK: Final = 0xFFFF  # the access that is asked for stands above; every one is governed
_NAME: Final = re.compile(r"gs_([0-9a-f]{12})")
_MAJOR: Final = Register.KEPT_6
_MINOR: Final = Register.KEPT_7


@dataclass(frozen=True, slots=True)
class Report:
    """Where denials are told.

    Attributes:
        ring: Descriptor of a ring buffer map.
        cgroup: Inode of the cgroup that the program is for: what is denied is told of it, and
            not of one below it, in which the process may be.
        process: Whether to ask which process it was: Linux 6.1 can tell, 5.8 not yet.
    """

    ring: int
    cgroup: int = 0
    process: bool = True


def name_of(mask: Mask) -> str:
    """Give the name under which the program of *mask* is loaded."""
    return f"gs_{mask.digest}"


def digest_in(name: str) -> str | None:
    """Read the digest of the mask from the name of its program; None: it is not one of ours."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def encode(mask: Mask, report: Report | None = None) -> bytes:
    """Give the program of *mask*.

    Args:
        mask: Its rules become disjoint denied ranges, so their order costs nothing.
        report: Where denials are told; None: nowhere.

    Raises:
        EnforceError: More separate ranges than a program can hold.
    """
    denied = _denied(mask)
    # Three instructions for a major and two for a range, and some forty around them.
    if 3 * len({one.major for one in denied}) + 2 * len(denied) + 40 > MAX_INSTRUCTIONS:
        raise EnforceError(
            f"the mask denies {len(denied)} separate ranges of device nodes, more than fit into a "
            "device program; lease whole devices instead of many partitions"
        )
    return _listing(denied, report).encode()


def _listing(denied: Iterable[NodeRange], report: Report | None) -> Listing:
    code = Listing()
    code.load(Op.LOAD_U32, Register.ARGUMENT_2, Register.ARGUMENT_1, 0)
    code.compute(Op.AND_U32, Register.ARGUMENT_2, _TYPE_MASK)
    code.jump_if(Op.IF_NOT_EQUAL, Register.ARGUMENT_2, _CHARACTER, "allow")
    code.load(Op.LOAD_U32, _MAJOR, Register.ARGUMENT_1, 4)
    code.load(Op.LOAD_U32, _MINOR, Register.ARGUMENT_1, 8)
    majors: dict[int, list[NodeRange]] = {}
    for one in denied:
        majors.setdefault(one.major, []).append(one)
    for major, ranges in majors.items():
        code.jump_if(Op.IF_NOT_EQUAL, _MAJOR, major, f"not {major}")
        # In ascending order: whatever is below a range, and in none before it, is allowed.
        for one in ranges:
            if one.first:
                code.jump_if(Op.IF_LESS, _MINOR, one.first, "allow")
            code.jump_if(Op.IF_AT_MOST, _MINOR, one.last, "deny")
        if major != max(majors):
            code.jump("allow")
        code.label(f"not {major}")
    code.label("allow")
    code.compute(Op.MOVE, Register.RESULT, 1)
    code.exit()
    if majors:  # the verifier takes no instruction that is never reached
        code.label("deny")
        if report is not None:
            _tell(code, report)
        code.compute(Op.MOVE, Register.RESULT, 0)
        code.exit()
    return code


def _tell(code: Listing, report: Report) -> None:
    """Push a denial; when the ring is full it is lost."""
    base = -DENIAL.size
    if report.process:
        code.call(Helper.CURRENT_PID_TGID)
        code.compute(Op.SHIFT_RIGHT, Register.RESULT, 32)  # the thread is in the lower half
        code.store(Op.STORE_U32, Register.FRAME, base, Register.RESULT)
    else:
        code.store_value(Op.STORE_U32_VALUE, Register.FRAME, base, 0)
    code.store(Op.STORE_U32, Register.FRAME, base + 4, _MAJOR)
    code.store(Op.STORE_U32, Register.FRAME, base + 8, _MINOR)
    code.store_value(Op.STORE_U32_VALUE, Register.FRAME, base + 12, 0)
    for at, half in ((16, report.cgroup), (20, report.cgroup >> 32)):
        code.store_value(Op.STORE_U32_VALUE, Register.FRAME, base + at, _signed(half))
    code.load_map(Register.ARGUMENT_1, report.ring)
    code.combine(Op.MOVE_REGISTER, Register.ARGUMENT_2, Register.FRAME)
    code.compute(Op.ADD, Register.ARGUMENT_2, base)
    code.compute(Op.MOVE, Register.ARGUMENT_3, DENIAL.size)
    code.compute(Op.MOVE, Register.ARGUMENT_4, 0)
    code.call(Helper.RINGBUF_OUTPUT)


def _signed(value: int) -> int:
    """Give the lower half as the instruction's field has it."""
    lower = value & 0xFFFF_FFFF
    return lower - (1 << 32) if lower >> 31 else lower


def _denied(mask: Mask) -> tuple[NodeRange, ...]:
    """Give what the rules deny as disjoint ranges that do not touch, in ascending order."""
    majors: dict[int, list[Rule]] = {}
    for rule in mask.rules:
        majors.setdefault(rule.nodes.major, []).append(rule)
    return tuple(one for major in sorted(majors) for one in _denied_minors(major, majors[major]))


def _denied_minors(major: int, rules: list[Rule]) -> Iterable[NodeRange]:
    # Between two neighbouring edges every minor has the same verdict: the first rule's that
    # reaches over both.
    edges = {one.nodes.first for one in rules} | {one.nodes.last + 1 for one in rules}
    ahead = sorted(enumerate(rules), key=lambda one: one[1].nodes.first, reverse=True)
    reaching: list[tuple[int, int, bool]] = []
    begin: int | None = None
    for edge in sorted(edges):
        while ahead and ahead[-1][1].nodes.first == edge:
            place, rule = ahead.pop()
            heapq.heappush(reaching, (place, rule.nodes.last, rule.allow))
        while reaching and reaching[0][1] < edge:
            heapq.heappop(reaching)
        denied = bool(reaching) and not reaching[0][2]
        if denied and begin is None:
            begin = edge
        if not denied and begin is not None:
            yield NodeRange(major, begin, edge - 1)
            begin = None
