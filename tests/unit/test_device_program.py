"""Specification: the program of a mask decides in the kernel as `Mask.allows` decides here."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.adapters.cgroup.device_program import (
    DENIAL,
    MAX_INSTRUCTIONS,
    Report,
    digest_in,
    encode,
    name_of,
)
from gpusched.adapters.cgroup.instructions import Listing, Op, Register
from gpusched.core.mask import Mask, NodeRange, Rule
from gpusched.ports import EnforceError
from tests.fakes.bpf_machine import Fault, Machine

SIZE = 8
"""Bytes of one instruction."""

BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4
RING = 77
PROCESS, THREAD = 4_000_000, 4_000_001

_majors = st.sampled_from([1, 195, 226, 509, 4095])
_minors = st.integers(0, 12) | st.sampled_from([127, 128, 253, 254, 255, 2**20 - 2, 2**20 - 1])
_ranges = st.builds(
    lambda major, ends: NodeRange(major, min(ends), max(ends)),
    _majors,
    st.tuples(_minors, _minors),
)
_masks = st.lists(st.builds(Rule, st.booleans(), _ranges), max_size=12).map(
    lambda rules: Mask(tuple(rules))
)
_reports = st.builds(Report, st.just(RING), st.integers(0, 2**64 - 1), st.booleans())
_accesses = st.integers(MKNOD, MKNOD | READ | WRITE)

LEASED_ONE_OF_FOUR = Mask(
    (
        Rule(allow=True, nodes=NodeRange(195, 2, 2)),
        Rule(allow=False, nodes=NodeRange(195, 0, 253)),
    )
)


def context(kind: int, access: int, major: int, minor: int) -> bytes:
    """What the kernel hands to a device program."""
    return struct.pack("<III", access << 16 | kind, major, minor)


class Kernel:
    """The helpers that a program calls, and what it told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []

    def decide(self, program: bytes, asked: bytes) -> int:
        """The program's verdict: 1 allows, 0 denies."""
        helpers = {
            14: lambda _: PROCESS << 32 | THREAD,
            130: self._output,
        }
        return Machine(asked, helpers).run(program)

    def _output(self, machine: Machine) -> int:
        assert (machine.register(1), machine.register(4)) == (RING, 0)
        self.told.append(DENIAL.unpack(machine.memory(machine.register(2), machine.register(3))))
        return 0


def instructions(program: bytes) -> Iterator[bytes]:
    """The program, cut."""
    return (program[at : at + SIZE] for at in range(0, len(program), SIZE))


def test_golden_bytes() -> None:
    """The lease of one GPU of four is these thirteen instructions."""
    assert [one.hex(" ") for one in instructions(encode(LEASED_ONE_OF_FOUR))] == [
        "61 12 00 00 00 00 00 00",  # r2 = context[0]: what is asked for
        "54 02 00 00 ff ff 00 00",  # w2 &= 0xffff: the kind of device
        "55 02 06 00 02 00 00 00",  # if r2 != 2 goto allow
        "61 16 04 00 00 00 00 00",  # r6 = context[4]: major
        "61 17 08 00 00 00 00 00",  # r7 = context[8]: minor
        "55 06 03 00 c3 00 00 00",  # if r6 != 195 goto allow
        "b5 07 04 00 01 00 00 00",  # if r7 <= 1 goto deny
        "a5 07 01 00 03 00 00 00",  # if r7 < 3 goto allow
        "b5 07 02 00 fd 00 00 00",  # if r7 <= 253 goto deny
        "b7 00 00 00 01 00 00 00",  # allow: r0 = 1
        "95 00 00 00 00 00 00 00",  # exit
        "b7 00 00 00 00 00 00 00",  # deny: r0 = 0
        "95 00 00 00 00 00 00 00",  # exit
    ]


@given(_masks, _accesses, _majors, _minors)
def test_the_program_decides_as_the_mask(mask: Mask, access: int, major: int, minor: int) -> None:
    """For every rule list and every access to a character device both give one verdict."""
    verdict = Kernel().decide(encode(mask), context(CHARACTER, access, major, minor))
    assert bool(verdict) == mask.allows(major, minor)


@given(_masks, _accesses, _majors, _minors)
def test_block_devices_are_nobodys_business(
    mask: Mask, access: int, major: int, minor: int
) -> None:
    """A block device is allowed, also one whose numbers a rule names."""
    assert Kernel().decide(encode(mask, Report(RING)), context(BLOCK, access, major, minor)) == 1


@given(_masks, _accesses, _majors, _minors, _reports)
def test_a_denial_is_told_and_nothing_else(
    mask: Mask, access: int, major: int, minor: int, report: Report
) -> None:
    """A denied access is told once, with process, numbers and cgroup; an allowed one is not."""
    kernel = Kernel()
    asked = context(CHARACTER, access, major, minor)
    verdict = kernel.decide(encode(mask, report), asked)
    assert bool(verdict) == mask.allows(major, minor)
    told = (PROCESS if report.process else 0, major, minor, 0, report.cgroup)
    assert kernel.told == ([] if verdict else [told])


def test_the_order_of_ranges_costs_nothing() -> None:
    """Neighbouring denied nodes are one range, whatever the number of rules about them."""
    one = Mask((Rule(allow=False, nodes=NodeRange(509, 0, 499)),))
    numbers = reversed(range(500))
    many = Mask(tuple(Rule(allow=False, nodes=NodeRange(509, n, n)) for n in numbers))
    assert encode(many) == encode(one)


def test_the_largest_host_fits() -> None:
    """16 GPUs with 7 partitions each, every second one leased, fit with room to spare."""
    own = [Rule(allow=True, nodes=NodeRange(509, n, n)) for n in range(0, 16 * 60, 2)]
    mask = Mask((*own, Rule(allow=False, nodes=NodeRange(509, 0, 16 * 60))))
    assert len(encode(mask, Report(RING))) // SIZE < MAX_INSTRUCTIONS / 4


def test_a_mask_that_does_not_fit_is_refused() -> None:
    """More separate ranges than a program can hold are refused in a sentence."""

    def scattered(count: int) -> Mask:
        return Mask(
            tuple(Rule(allow=False, nodes=NodeRange(9, 2 * n, 2 * n)) for n in range(count))
        )

    assert len(encode(scattered(2026), Report(RING))) // SIZE <= MAX_INSTRUCTIONS
    with pytest.raises(EnforceError, match="denies 3000 separate ranges of device nodes"):
        encode(scattered(3000))


def test_the_name_says_whose_program_it_is() -> None:
    """A program has the digest of its mask in its name, which has 15 characters at most."""
    name = name_of(LEASED_ONE_OF_FOUR)
    assert len(name) == 15
    assert digest_in(name) == LEASED_ONE_OF_FOUR.digest
    assert [digest_in(one) for one in ("gs_guard", "sd_devices", "", "gs_", name + "0")] == [
        None
    ] * 5


def test_a_jump_goes_to_a_label_below_it() -> None:
    """A missing label, one above its jump and one that stands twice are refused."""
    missing = Listing()
    missing.jump("nowhere")
    with pytest.raises(ValueError, match="no label nowhere below instruction 0"):
        missing.encode()
    back = Listing()
    back.label("start")
    back.exit()
    back.jump("start")
    with pytest.raises(ValueError, match="no label start below instruction 1"):
        back.encode()
    with pytest.raises(ValueError, match="start stands twice"):
        back.label("start")


def test_what_does_not_fit_into_an_instruction_is_refused() -> None:
    """A value of more than 32 bits is never cut."""
    code = Listing()
    code.compute(Op.MOVE, Register.RESULT, 2**31)
    with pytest.raises(ValueError, match="an instruction does not fit"):
        code.encode()


def test_the_machine_of_these_tests_is_strict() -> None:
    """A program that reads a register which a call has taken is a fault, so these tests see it."""
    stolen = bytes.fromhex("850000000e000000 bf10000000000000 9500000000000000")
    with pytest.raises(Fault, match="register 1 is read"):
        Machine(b"", {14: lambda _: 1}).run(stolen)
