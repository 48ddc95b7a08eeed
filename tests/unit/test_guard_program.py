"""The guard's program, run by an interpreter of our own against what it is meant to decide."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.adapters.cgroup.guard_program import (
    ALLOW,
    DENIED,
    DENY,
    LEVELS,
    NAME,
    POLICY,
    WORD,
    encode,
)
from gpusched.core.mask import NodeRange
from tests.fakes.bpf_machine import Machine

MAP = 7  # descriptor
BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4
ROOT = 1
GPUS = (NodeRange(195, 0, 253), NodeRange(511, 0, 40))


@dataclass
class World:
    """What the program can ask: where its process is, and the map."""

    path: Sequence[int]  # cgroup ids from the root down to the process's own
    map: dict[int, int] = field(default_factory=lambda: {POLICY: DENY, DENIED: 0})

    def decides(self, program: bytes, kind: int, access: int, major: int, minor: int) -> bool:
        """Runs the program, whose map's values lie at the unused end of the stack."""
        context = struct.pack("=III", access << 16 | kind, major, minor)
        helpers: dict[int, Callable[[Machine], int]] = {1: self._lookup, 123: self._ancestor}
        machine = Machine(context, helpers)
        machine.stack[: WORD.size] = WORD.pack(self.map.get(DENIED, 0))
        verdict = machine.run(program)
        if DENIED in self.map:
            self.map[DENIED] = WORD.unpack(machine.stack[: WORD.size])[0]
        return bool(verdict)

    def _ancestor(self, machine: Machine) -> int:
        level = machine.register(1)
        return self.path[level] if level < len(self.path) else 0

    def _lookup(self, machine: Machine) -> int:
        assert machine.register(1) == MAP
        (key,) = WORD.unpack(machine.memory(machine.register(2), WORD.size))
        if key not in self.map:
            return 0
        bottom = machine.register(10) - len(machine.stack)
        if key == DENIED:
            return bottom
        machine.write(bottom + WORD.size, WORD.pack(self.map[key]))
        return bottom + WORD.size


def deep(own: int, levels: int) -> list[int]:
    """A path to the cgroup *own*, which lies *levels* deep."""
    return [ROOT, *range(1000, 999 + levels), own]


def test_name_fits() -> None:
    """The kernel keeps fifteen characters of a program's name."""
    assert len(NAME) <= 15


@given(
    ranges=st.lists(
        st.builds(
            lambda major, first, more: NodeRange(major, first, first + more),
            st.integers(0, 4),
            st.integers(0, 20),
            st.integers(0, 9),
        ),
        max_size=5,
    ),
    path=st.lists(st.integers(2, 8), max_size=LEVELS + 3),
    admitted=st.frozensets(st.integers(1, 8)),
    policy=st.sampled_from((ALLOW, DENY, None)),
    asked=st.tuples(
        st.sampled_from((BLOCK, CHARACTER)),
        st.integers(0, 7),
        st.integers(0, 4),
        st.integers(0, 31),
    ),
)
def test_decides(
    ranges: list[NodeRange],
    path: list[int],
    admitted: frozenset[int],
    policy: int | None,
    asked: tuple[int, int, int, int],
) -> None:
    """Reading and writing a governed node is denied and counted, unless a cgroup is admitted."""
    world = World([ROOT, *path], {DENIED: 5} | dict.fromkeys(admitted, 1))
    if policy is not None:
        world.map[POLICY] = policy
    kind, access, major, minor = asked
    denied = (
        kind == CHARACTER
        and bool(access & (READ | WRITE))
        and any((major, minor) in one for one in ranges)
        and not admitted.intersection(path[:LEVELS])
        and policy == DENY
    )
    assert world.decides(encode(ranges, MAP), *asked) is not denied
    assert world.map[DENIED] == 5 + denied


@pytest.mark.parametrize(
    ("path", "opens"),
    [
        ([ROOT], False),
        ([ROOT, 50], False),
        ([ROOT, 77], True),
        ([ROOT, 77, 50, 51], True),
        (deep(77, LEVELS), True),
        ([*deep(77, LEVELS), 50, 51], True),
        (deep(77, LEVELS + 1), False),
    ],
)
def test_where_a_process_is(path: list[int], *, opens: bool) -> None:
    """A process opens where its cgroup or one above it is admitted; the root's never can be."""
    world = World(path)
    world.map |= {77: 1, ROOT: 1}
    assert world.decides(encode(GPUS, MAP), CHARACTER, READ, 195, 3) is opens


@pytest.mark.parametrize(
    ("kind", "access", "major", "minor"),
    [
        (CHARACTER, MKNOD, 195, 0),
        (BLOCK, READ, 195, 0),
        (CHARACTER, READ | WRITE, 195, 254),
        (CHARACTER, READ | WRITE, 195, 255),
        (CHARACTER, READ, 1, 3),
        (CHARACTER, READ, 511, 41),
    ],
)
def test_what_is_not_governed(kind: int, access: int, major: int, minor: int) -> None:
    """Making nodes, block devices, nvidiactl and other makers' devices are everybody's."""
    world = World([ROOT, 50])
    assert world.decides(encode(GPUS, MAP), kind, access, major, minor)
    assert world.map[DENIED] == 0


def test_without_a_counter() -> None:
    """A denial that cannot be counted is a denial."""
    world = World([ROOT, 50], {POLICY: DENY})
    assert not world.decides(encode(GPUS, MAP), CHARACTER, WRITE, 511, 0)
