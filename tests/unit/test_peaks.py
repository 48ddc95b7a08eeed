"""Peaks: the most that samples have shown, and when a lease's row is written with it."""

from dataclasses import replace

from gpusched.core.changes import LeaseChanged
from gpusched.core.events import RenewRequested
from gpusched.core.ids import ProcessId
from gpusched.core.lease import Lease
from gpusched.core.request import Request
from gpusched.core.sample import Reading
from gpusched.core.sizes import GIB, MIB
from tests.fakes.builders import (
    ADA,
    UNREADABLE,
    A,
    context,
    device,
    facts,
    process,
    reading,
)
from tests.fakes.host import Host, changed_leases

FIRST, OTHER = device(0), device(1)
WORKER = 50


def holding(count: int = 1) -> tuple[Host, Lease]:
    """A host with a lease of 20 GiB on each of its devices, entered by a worker."""
    host = Host(FIRST, OTHER)
    lease = host.grant(Request(A, count=count, memory=20 * GIB))
    return host, host.attach(lease, WORKER)


def use(host: Host, *memory: Reading[int]) -> list[Lease]:
    """A tick that shows the worker on the devices; the leases that are written by it."""
    readings = [
        reading(one, context(WORKER, figure))
        for one, figure in zip((FIRST, OTHER), memory, strict=False)
    ]
    return changed_leases(host.tick(*readings, known=[facts(WORKER)]))


def written(host: Host, lease: Lease) -> tuple[int | None, list[int | None]]:
    """The peaks in the row of a lease."""
    found = host.lease(lease.id)
    return found.peak, [one.peak for one in found.shares]


def process_peaks(host: Host) -> dict[ProcessId, int]:
    return dict(host.ledger.peaks.processes[FIRST.uuid])


def test_the_peak_of_a_process_is_the_most_that_was_sampled() -> None:
    """It rises with its memory, does not fall with it, and survives ticks that cannot tell."""
    host, _ = holding()
    for memory in (GIB, 3 * GIB, 2 * GIB, UNREADABLE):
        use(host, memory)
    assert process_peaks(host) == {process(WORKER): 3 * GIB}
    host.tick(replace(reading(FIRST), contexts=UNREADABLE))
    assert process_peaks(host) == {process(WORKER): 3 * GIB}


def test_the_peak_of_a_process_goes_with_it() -> None:
    """A process that left the device, or has another start time, begins anew."""
    host, _ = holding()
    use(host, 3 * GIB)
    another = replace(facts(WORKER), identity=ProcessId(WORKER, 999_999))
    host.tick(reading(FIRST, context(WORKER, GIB)), known=[another])
    assert process_peaks(host) == {another.identity: GIB}
    host.tick()
    assert process_peaks(host) == {}


def test_who_is_not_known_has_no_peak() -> None:
    """Without an identity there is nobody whose peak it is; nor is there one without a figure."""
    host, _ = holding()
    rows = (context(98, GIB), context(60, UNREADABLE))
    host.tick(reading(FIRST, *rows), known=[facts(60)])
    assert process_peaks(host) == {}


def test_a_process_that_is_listed_twice_has_the_higher_peak() -> None:
    """Duplicates are rows of one process."""
    host, _ = holding()
    rows = (context(WORKER, 3 * GIB), context(WORKER, GIB))
    host.tick(reading(FIRST, *rows), known=[facts(WORKER)])
    assert process_peaks(host) == {process(WORKER): 3 * GIB}


def test_a_lease_has_a_peak_on_each_device_and_together() -> None:
    """The peak of a lease is that of one sample, not the sum of what its devices had at times."""
    host, lease = holding(2)
    use(host, 4 * GIB, GIB)
    use(host, GIB, 3 * GIB)
    assert written(host, lease) == (5 * GIB, [4 * GIB, 3 * GIB])


def test_a_lease_that_nobody_uses_has_no_peak() -> None:
    """Before a sample has shown it to hold anything, its peak is not zero but none."""
    host, lease = holding()
    assert use(host) == []
    assert written(host, lease) == (None, [None])


def test_what_cannot_be_read_is_not_in_a_peak() -> None:
    """It held no less than what was read: an unknown figure raises nothing and lowers nothing."""
    host, lease = holding(2)
    use(host, 4 * GIB, UNREADABLE)
    assert written(host, lease) == (4 * GIB, [4 * GIB, None])
    use(host, UNREADABLE, 2 * GIB)
    assert written(host, lease) == (4 * GIB, [4 * GIB, 2 * GIB])


def test_an_idle_lease_is_not_written() -> None:
    """A sample that shows nothing higher changes no row, and so commits nothing."""
    host, _ = holding()
    assert len(use(host, 4 * GIB)) == 1
    for memory in (4 * GIB, 3 * GIB, 4 * GIB):
        host.later(20)
        assert use(host, memory) == []


def test_a_rise_by_a_sixteenth_is_written_at_once() -> None:
    """A larger rise than one by a sixteenth does not wait."""
    host, lease = holding()
    use(host, 4 * GIB)
    assert use(host, 4 * GIB + 256 * MIB) == []
    assert written(host, lease) == (4 * GIB, [4 * GIB])
    (after,) = use(host, 4 * GIB + 257 * MIB)
    assert after.peak == 4 * GIB + 257 * MIB
    assert written(host, lease) == (after.peak, [after.peak])


def test_a_smaller_rise_is_written_after_ten_seconds() -> None:
    """However slowly a lease grows, its row is at most ten seconds old."""
    host, lease = holding()
    use(host, 4 * GIB)
    host.later(1)
    assert use(host, 4 * GIB + MIB) == []
    host.later(9)
    assert use(host, 4 * GIB + 2 * MIB) == []
    host.later(1)
    assert len(use(host, 4 * GIB)) == 1
    assert written(host, lease)[0] == 4 * GIB + 2 * MIB
    host.later(1)
    assert use(host, 4 * GIB + 3 * MIB) == []
    host.later(10)
    assert len(use(host, 4 * GIB)) == 1


def test_a_rise_on_one_device_counts() -> None:
    """The device on which the most is held need not be the one that grew."""
    host, lease = holding(2)
    use(host, 16 * GIB, GIB)
    assert len(use(host, 16 * GIB, 2 * GIB)) == 1
    assert written(host, lease) == (18 * GIB, [16 * GIB, 2 * GIB])


def test_whatever_changes_a_lease_writes_its_peak() -> None:
    """A row that is written anyway has the latest peak, whoever changes it and why."""
    host = Host(FIRST)
    lease = host.attach(host.grant(Request(A, memory=20 * GIB, keepalive=60 * 10**9)), WORKER)
    use(host, 4 * GIB)
    use(host, 4 * GIB + MIB)
    host.later(1)
    host.do(RenewRequested(ADA, lease.id))
    assert written(host, lease)[0] == 4 * GIB + MIB
    use(host, 4 * GIB + 2 * MIB)
    host.later(1)
    decision = host.do(RenewRequested(ADA, lease.id))
    (change,) = (one for one in decision.changes if isinstance(one, LeaseChanged))
    kept = host.ledger.apply(change)
    assert isinstance(kept, LeaseChanged)
    assert kept.lease.peak == 4 * GIB + 2 * MIB


def test_an_ended_lease_keeps_its_peak() -> None:
    """Nothing is lost of what samples showed when a lease ends."""
    host, lease = holding()
    use(host, 4 * GIB)
    use(host, 4 * GIB + MIB)
    host.release(lease)
    host.later(1)
    host.tick()
    assert host.lease(lease.id).ended is not None
    host.tick()
    assert written(host, lease) == (4 * GIB + MIB, [4 * GIB + MIB])
    assert host.ledger.peaks.leases == {}
