"""Specification: NVML's process lists are read right in every layout, or not at all."""

import pytest

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.processes import ProcessRow, processes, row_width
from gpusched.core.sample import ContextKind
from tests.fakes.nvml_library import (
    NO_INSTANCE,
    NO_PERMISSION,
    NOT_AVAILABLE,
    FakeDevice,
    FakeLibrary,
    gpu,
)

V3 = "nvmlDeviceGetComputeRunningProcesses_v3"
V2 = "nvmlDeviceGetComputeRunningProcesses_v2"
V1 = "nvmlDeviceGetComputeRunningProcesses"
TWO = [(333, 5 << 20, 1, 2), (4444, NOT_AVAILABLE, NO_INSTANCE, NO_INSTANCE)]
READ = (ProcessRow(333, 5 << 20, 1, 2), ProcessRow(4444, None))


def _read(device: FakeDevice, *lacks: str) -> tuple[ProcessRow, ...]:
    binding.use_library(FakeLibrary(device, lacks=frozenset(lacks)))
    return processes(binding.handle(0), ContextKind.COMPUTE)


def _gpu(rows: list[tuple[int, int, int, int]]) -> FakeDevice:
    device = gpu(0)
    device.rows["Compute"] = rows
    return device


def test_sentinels_become_none() -> None:
    """Memory that the driver does not know and "no MIG instance" are None, not huge numbers."""
    assert _read(_gpu(TWO)) == READ


def test_no_process() -> None:
    """An empty list is empty."""
    assert _read(_gpu([])) == ()


def test_second_version() -> None:
    """A driver before 510 has only version 2, with the same rows."""
    assert _read(_gpu(TWO), V3) == READ


def test_first_version() -> None:
    """A driver before 450 has rows of pid and memory alone."""
    assert _read(_gpu(TWO), V3, V2) == (ProcessRow(333, 5 << 20), ProcessRow(4444, None))


def test_no_version() -> None:
    """A library without the list says so by its code."""
    with pytest.raises(binding.NvmlFailure) as failure:
        _read(_gpu(TWO), V3, V2, V1)
    assert failure.value.code == binding.FUNCTION_NOT_FOUND


@pytest.mark.parametrize("number", [1, 2, 3, 4, 31, 32, 33])
def test_wide_rows(number: int) -> None:
    """Drivers 535.43 to 535.86 write 32 bytes a row under an unchanged name: read right."""
    device = _gpu([(1000 + at, at << 20, at, at) for at in range(number)])
    device.row_width = 32
    assert _read(device) == tuple(ProcessRow(1000 + at, at << 20, at, at) for at in range(number))


def test_unknown_width() -> None:
    """Rows of another width are refused with the driver's version, never guessed at."""
    device = _gpu(TWO)
    device.row_width = 16
    with pytest.raises(binding.NvmlFailure, match=r"driver 570\.124\.06 writes process rows"):
        _read(device)


def test_more_processes_than_room() -> None:
    """A list longer than the first buffer is read in full."""
    rows = [(1000 + at, 1 << 20, NO_INSTANCE, NO_INSTANCE) for at in range(950)]
    assert len(_read(_gpu(rows))) == 950


def test_burst_is_retried() -> None:
    """Processes that start between sizing and reading cost a retry, not the list."""
    device = _gpu(TWO)
    device.late = 3
    assert _read(device) == READ


def test_endless_burst_fails() -> None:
    """After three retries the list is not readable, and the reason says why."""
    device = _gpu(TWO)
    device.late = 4
    with pytest.raises(binding.NvmlFailure, match="faster than the list can be read") as failure:
        _read(device)
    assert failure.value.code == binding.INSUFFICIENT_SIZE


def test_refusal_keeps_its_words() -> None:
    """A list that may not be read fails with nvidia-smi's words and is not asked for again."""
    device = _gpu(TWO)
    device.refuses["ComputeRunningProcesses_v3"] = NO_PERMISSION
    with pytest.raises(binding.NvmlFailure, match="Insufficient Permissions"):
        _read(device)


@pytest.mark.parametrize("written", [16, 24, 32])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_width_is_where_writing_stopped(written: int, count: int) -> None:
    """The width is proved by what is and what is not written behind the rows."""
    raw = bytes(written * count) + b"\xaa" * (32 * count + 8)
    agreed = min(written, 24)
    assert row_width(raw, count, agreed) == written


@pytest.mark.parametrize("count", [2, 3, 4, 5, 7])
def test_a_field_that_is_left_out(count: int) -> None:
    """Wide rows are known as such where the driver does not fill their last field."""
    raw = (bytes(24) + b"\xaa" * 8) * count + b"\xaa" * 40
    assert row_width(raw, count, 24) == 32


@pytest.mark.parametrize(("written", "agreed"), [(24, 16), (32, 16), (16, 24), (40, 24)])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_rows_of_another_width_are_not_guessed_at(written: int, agreed: int, count: int) -> None:
    """Rows that are neither as wide as agreed nor the known exception fit no width."""
    assert row_width(bytes(written * count) + b"\xaa" * 400, count, agreed) is None
