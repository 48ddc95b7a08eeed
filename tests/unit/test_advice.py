"""Advice for the next request, by what a lease was seen to need."""

from dataclasses import replace

import pytest

from gpusched.core.advice import advice
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.sizes import GIB, MIB
from tests.fakes.builders import device, lease, share

GPU = device(0, memory=80 * GIB)
KNOWN = {GPU.uuid: GPU}


def ended(limit: int | None, *peaks: int | None) -> Lease:
    """An ended lease with these peaks on its devices."""
    shares = tuple(replace(share(GPU, limit), peak=one) for one in peaks)
    made = lease(LeaseState.ENDED, *shares)
    return replace(made, request=replace(made.request, memory=limit))


@pytest.mark.parametrize(
    ("limit", "peak", "flags"),
    [
        (12 * GIB, int(3.9 * GIB), "--memory 5GiB"),
        (12 * GIB, 10 * GIB, ""),
        (4 * GIB, 6 * GIB, "--memory 8GiB"),
        (60 * GIB, 70 * GIB, ""),
        (4 * GIB, 700 * MIB, "--memory 1GiB"),
        (4 * GIB, 900 * MIB, "--memory 1280MiB"),
        (5 * GIB, 4 * GIB, ""),
        (None, 20 * GIB, "--memory 25GiB"),
        (None, 40 * GIB, ""),
        (None, 0, ""),
    ],
)
def test_a_quarter_more_than_the_peak(limit: int | None, peak: int, flags: str) -> None:
    """A lease that had a limit is told a better one; one of whole devices a size only where half
    of each would stay for others.
    """
    assert advice(ended(limit, peak), KNOWN) == flags


def test_no_advice_without_a_peak() -> None:
    """Where nothing was seen of one device there is nothing to say, nor without devices."""
    assert not advice(ended(12 * GIB, GIB, None), KNOWN)
    assert not advice(ended(12 * GIB), KNOWN)
    assert not advice(ended(None, GIB), {})
    assert not advice(ended(None, GIB), {GPU.uuid: replace(GPU, memory_total=None)})


def test_the_greatest_of_several_devices_counts() -> None:
    """One size has to do for all of them."""
    assert advice(ended(12 * GIB, GIB, 3 * GIB), KNOWN) == "--memory 4GiB"
