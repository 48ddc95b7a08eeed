"""Devices that a worker gets back: those of its holder's last lease with the same key."""

from gpusched.core.changes import LeaseForgotten
from gpusched.core.lease import Lease
from gpusched.core.request import Request
from tests.fakes.builders import ADA, BOB, A, B, device
from tests.fakes.host import Host, places

GPU, OTHER = device(0), device(1)


def on(lease: Lease) -> list[int]:
    """The places on the bus of the GPUs that a lease has."""
    return [int(uuid.removeprefix("GPU-")) for uuid in places(lease)]


def test_a_key_is_forgotten_with_its_leases() -> None:
    """What is no more in the history has no devices to give back."""
    host = Host(GPU)
    first = host.release(host.grant(Request(A, affinity_key="k")))
    second = host.release(host.grant(Request(B, affinity_key="k")))
    assert host.ledger.last_with(ADA.uid, "k") == second
    host.apply([LeaseForgotten(second.id)])
    assert host.ledger.last_with(ADA.uid, "k") == first
    host.apply([LeaseForgotten(first.id), LeaseForgotten(first.id)])
    assert host.ledger.last_with(ADA.uid, "k") is None


def test_another_users_key_is_another_key() -> None:
    """A key belongs to its holder: another user with the same one gets what he would without."""
    host = Host(GPU, OTHER)
    host.release(host.grant(Request(A, affinity_key="worker", devices=(OTHER.uuid,))))
    assert on(host.grant(Request(A, affinity_key="worker"), BOB)) == [0]
    assert on(host.grant(Request(B, affinity_key="worker"))) == [1]


def test_a_restart_remembers_which_lease_was_the_last() -> None:
    """The last lease with a key is the one that began last, whichever ended last, also for the
    next daemon.
    """
    host = Host(GPU, OTHER)
    first = host.grant(Request(A, affinity_key="k"))
    host.later(1)
    second = host.grant(Request(B, affinity_key="k"))
    host.release(second)
    host.later(1)
    host.release(first)
    after = Host(GPU, OTHER)
    after.ledger.restore(host.ledger.ended(), (), 1)
    for one in (host, after):
        last = one.ledger.last_with(ADA.uid, "k")
        assert last is not None
        assert last.id == second.id
    assert [one.id for one in after.ledger.ended()] == [second.id, first.id]
