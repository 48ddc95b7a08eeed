"""The guard as a device program: whether a process may open governed nodes at all, by its cgroup.

It knows no lease and no single device: the program of a lease narrows further, and the kernel
asks every program on the way. Pure: no system call may enter.
Sources: `struct bpf_cgroup_dev_ctx` and bpf_get_current_ancestor_cgroup_id in linux/bpf.h.
"""

import struct
from collections.abc import Iterable
from typing import Final

from gpusched.adapters.cgroup.instructions import Helper, Listing, Op, Register
from gpusched.core.mask import NodeRange

NAME: Final = "gs_guard"
"""Of the program: by it the guard is found again, also by a later version."""

MAP_NAME: Final = "gs_admitted_1"
"""Of the map. The number grows with its layout: a map of another name is not taken over."""

LEVELS: Final = 16
"""How deep an admitted cgroup may lie; processes may be any deeper. The root is level 0."""

POLICY: Final = 0
"""Key: what becomes of everybody else, `DENY` or `ALLOW`. No cgroup has this id."""

DENIED: Final = 2**64 - 1
"""Key: how many opens were denied. No cgroup has this id."""

ALLOW: Final = 0
DENY: Final = 1

WORD: Final = struct.Struct("=Q")
"""A key and a value of the map."""

_CHARACTER: Final = 2  # BPF_DEVCG_DEV_CHAR
_READ_OR_WRITE: Final = 2 | 4  # BPF_DEVCG_ACC_READ, BPF_DEVCG_ACC_WRITE
_SLOT: Final = -8  # place of a key on the stack


def encode(governed: Iterable[NodeRange], admitted: int) -> bytes:
    """Make the program.

    Opening a node is governed, making one is not: udev and `nvidia-modprobe` make the nodes of
    the host, in nobody's lease, and a node is of no use to who cannot open it. A process in the
    root cgroup has no ancestor that could be admitted, so the policy is for it.

    Args:
        governed: Nodes that only admitted cgroups may open, whatever the policy says of others.
        admitted: Descriptor of the map: cgroup id to 1, and the two keys of this module.
    """
    code, ranges = Listing(), sorted(set(governed))
    if ranges:  # the verifier takes no instruction that is never reached
        _leave_unless_opened(code)
        _leave_unless_governed(code, ranges)
        _leave_if_admitted(code, admitted)
        _follow_policy(code, admitted)
    code.label("allow")
    code.compute(Op.MOVE, Register.RESULT, 1)
    code.exit()
    return code.encode()


def _leave_unless_opened(code: Listing) -> None:
    kind, access = Register.ARGUMENT_2, Register.ARGUMENT_3
    code.load(Op.LOAD_U32, kind, Register.ARGUMENT_1, 0)  # access << 16 | kind
    code.combine(Op.MOVE_REGISTER, access, kind)
    code.compute(Op.AND_U32, kind, 0xFFFF)
    code.jump_if(Op.IF_NOT_EQUAL, kind, _CHARACTER, "allow")
    code.jump_if(Op.IF_ANY_BIT, access, _READ_OR_WRITE << 16, "opened")
    code.jump("allow")
    code.label("opened")


def _leave_unless_governed(code: Listing, ranges: Iterable[NodeRange]) -> None:
    major, minor = Register.ARGUMENT_4, Register.ARGUMENT_5
    code.load(Op.LOAD_U32, major, Register.ARGUMENT_1, 4)
    code.load(Op.LOAD_U32, minor, Register.ARGUMENT_1, 8)
    for place, nodes in enumerate(ranges):
        other = f"not in range {place}"
        code.jump_if(Op.IF_NOT_EQUAL, major, nodes.major, other)
        code.jump_if(Op.IF_LESS, minor, nodes.first, other)
        code.jump_if(Op.IF_GREATER, minor, nodes.last, other)
        code.jump("governed")
        code.label(other)
    code.jump("allow")
    code.label("governed")


def _leave_if_admitted(code: Listing, admitted: int) -> None:
    """Look for the process's cgroup and those above it, from the highest down."""
    for level in range(1, LEVELS + 1):
        code.compute(Op.MOVE, Register.ARGUMENT_1, level)
        code.call(Helper.CURRENT_ANCESTOR_CGROUP_ID)
        code.jump_if(Op.IF_EQUAL, Register.RESULT, 0, "not admitted")  # it is not that deep
        code.store(Op.STORE_U64, Register.FRAME, _SLOT, Register.RESULT)
        _look_up_slot(code, admitted)
        code.jump_if(Op.IF_NOT_EQUAL, Register.RESULT, 0, "allow")
    code.label("not admitted")


def _follow_policy(code: Listing, admitted: int) -> None:
    """Deny, and count it, unless the policy is absent or `ALLOW`."""
    _look_up(code, admitted, POLICY)
    code.jump_if(Op.IF_EQUAL, Register.RESULT, 0, "allow")
    code.load(Op.LOAD_U64, Register.ARGUMENT_1, Register.RESULT, 0)
    code.jump_if(Op.IF_EQUAL, Register.ARGUMENT_1, ALLOW, "allow")
    _look_up(code, admitted, DENIED)
    code.jump_if(Op.IF_EQUAL, Register.RESULT, 0, "counted")
    # Not atomic: two processors at the same instant may count one. It is there to be looked at.
    code.load(Op.LOAD_U64, Register.ARGUMENT_1, Register.RESULT, 0)
    code.compute(Op.ADD, Register.ARGUMENT_1, 1)
    code.store(Op.STORE_U64, Register.RESULT, 0, Register.ARGUMENT_1)
    code.label("counted")
    code.compute(Op.MOVE, Register.RESULT, 0)
    code.exit()


def _look_up(code: Listing, admitted: int, key: int) -> None:
    # The kernel widens 32 bits with their sign: both keys are -1 or 0 then.
    signed = key - 2**64 if key >= 2**63 else key
    code.store_value(Op.STORE_U64_VALUE, Register.FRAME, _SLOT, signed)
    _look_up_slot(code, admitted)


def _look_up_slot(code: Listing, admitted: int) -> None:
    """Give the address of the value in RESULT, 0 where the key is not in the map."""
    code.load_map(Register.ARGUMENT_1, admitted)
    code.combine(Op.MOVE_REGISTER, Register.ARGUMENT_2, Register.FRAME)
    code.compute(Op.ADD, Register.ARGUMENT_2, _SLOT)
    code.call(Helper.MAP_LOOKUP)
