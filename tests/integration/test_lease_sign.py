"""Specification: the sign of a lease is read of a process whatever it is in the middle of."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpusched.adapters.procfs import reading
from gpusched.adapters.procfs.descent import claimed_lease
from tests.ports.real_processes import LEASE, RealProcesses

_KTHREADD = 2


def _execs(processes: RealProcesses, pid: int) -> None:
    for _ in range(1000):
        processes.become(pid, LEASE)


def test_the_sign_is_seen_through_an_exec() -> None:
    """A process that goes from program to program carries its lease's sign at every look."""
    with RealProcesses() as processes, ThreadPoolExecutor(1) as pool:
        pid = processes.start(LEASE)
        execs = pool.submit(_execs, processes, pid)
        seen = set()
        while not execs.done():
            seen.add(claimed_lease(pid))
        execs.result()
    assert seen == {LEASE}


def test_who_has_no_environment_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without variables, one that has ended and a kernel thread are not in an exec."""
    with RealProcesses() as processes:
        source = "os.execve(sys.executable, [sys.executable, '-ISc', 'print(1); input()'], {})"
        bare, _ = processes.run_python(f"import os, sys; print(0, flush=True); {source}")
        while reading.environment(bare):  # until it has become the other
            pass
        # Only somebody in an exec is looked at for ever.
        monkeypatch.setattr(reading, "_LOOKS", sys.maxsize)
        assert claimed_lease(bare) is None
        processes.end(bare, reap=False)
        assert claimed_lease(bare) is None
    assert claimed_lease(_KTHREADD) is None
