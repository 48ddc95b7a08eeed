"""What a lease could ask for the next time, by what it was seen to need."""

from collections.abc import Mapping

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.lease import Lease
from gpusched.core.sizes import GIB, MIB, as_flag

_SPARE = 4
"""A quarter more than the peak: allocators hold on to what they had."""

_FINE, _COARSE, _BORDER = 256 * MIB, GIB, 2 * GIB


def advice(lease: Lease, devices: Mapping[DeviceUuid, Device]) -> str:
    """Give a better request as flags of the command line; empty where there is none.

    A lease with a limit is told a smaller size, or a greater one where it was above it; one of
    whole devices a size, where that would leave half of each of them to others.
    """
    peaks = [share.peak for share in lease.shares]
    if not peaks or None in peaks:
        return ""
    peak = max(one or 0 for one in peaks)
    wanted = _rounded(peak + peak // _SPARE)
    if wanted == 0:
        return ""
    known = [devices.get(share.device) for share in lease.shares]
    sizes = [one.memory_total for one in known if one is not None and one.memory_total is not None]
    smallest = min(sizes) if len(sizes) == len(peaks) else 0
    limit = lease.limit
    if limit is None:
        better = wanted * 2 <= smallest
    elif peak > limit:
        # The same again would be over-use again; more than there is would be refused.
        better = wanted <= smallest
    else:
        # What fitted is not told to ask for more.
        better = wanted < limit
    return f"--memory {as_flag(wanted)}" if better else ""


def _rounded(size: int) -> int:
    """Round up: to 256 MiB below 2 GiB, else to a GiB."""
    step = _FINE if size < _BORDER else _COARSE
    return -(-size // step) * step
