"""Specification: maps and programs of the kernel can be kept, found again and read."""

import os

import pytest

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.device_program import Report, encode, name_of
from tests.fakes.device_world import mask_allowing

pytestmark = pytest.mark.root


def test_a_map_keeps_what_it_is_given() -> None:
    """What is written is read back, listed and deleted; what is absent is said to be."""
    table = bpf.map_create(bpf.MapKind.HASH, "gs_test", 4, key_size=8, size=4)
    try:
        for number in range(4):
            bpf.map_update(table, bytes([number] * 8), bytes([number] * 4))
        bpf.map_update(table, bytes([0] * 8), b"over")
        assert bpf.map_lookup(table, bytes([0] * 8), 4) == b"over"
        assert bpf.map_lookup(table, bytes([3] * 8), 4) == bytes([3] * 4)
        assert sorted(bpf.map_keys(table, 8)) == [bytes([number] * 8) for number in range(4)]
        with pytest.raises(OSError, match="Argument list too long"):
            bpf.map_update(table, bytes([9] * 8), b"full")
        bpf.map_delete(table, bytes([3] * 8))
        assert bpf.map_lookup(table, bytes([3] * 8), 4) is None
        with pytest.raises(FileNotFoundError):
            bpf.map_delete(table, bytes([3] * 8))
    finally:
        os.close(table)


def test_a_program_leads_to_its_maps() -> None:
    """From the id of a program its name and maps are found, as a daemon does that starts anew."""
    ring = bpf.map_create(bpf.MapKind.RINGBUF, "gs_ring", 4096)
    mask = mask_allowing(1)
    program = bpf.load_program(encode(mask, Report(ring)), name_of(mask))
    again = found = -1
    try:
        again = bpf.prog_fd_by_id(bpf.prog_info(program).id)
        known = bpf.prog_info(again)
        assert known.name == name_of(mask)
        found = bpf.map_fd_by_id(known.map_ids[0])
        assert bpf.map_info(found).name == "gs_ring"
        assert bpf.map_info(found) == bpf.map_info(ring)
    finally:
        for one in {ring, program, again, found} - {-1}:
            os.close(one)
    with pytest.raises(FileNotFoundError):
        bpf.map_fd_by_id(2**31 - 1)
