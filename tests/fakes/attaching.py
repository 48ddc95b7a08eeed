"""Leases before and while their first process is attached, and the requests they come of."""

from dataclasses import replace

from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.ids import RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.mask import Mask, mask_of
from gpusched.core.replies import Attachment
from gpusched.core.request import Enforce, Request
from tests.fakes.builders import process
from tests.fakes.kernel_builders import GOVERNED, GPUS, held

S = LeaseState
P, Q = process(50), process(51)
REQUIRED = Request(RequestId("1"), enforce=Enforce.REQUIRED)
ADVISORY = Request(RequestId("1"), enforce=Enforce.ADVISORY)
CONFINED = Request(
    RequestId("1"), enforce=Enforce.REQUIRED, attach_caller=True, confines_itself=True
)
MOVED = Attachment(Mode.MOVE, (P,))


def mask(*places: int) -> Mask:
    """The mask of whoever has the GPUs at these places."""
    return mask_of([GPUS[one].uuid for one in places], GPUS, GOVERNED)


def reserved(request: Request | None = None, place: int = 0) -> Lease:
    """A lease that waits for its first process."""
    made = held(None, GPUS[place], state=S.RESERVED)
    return replace(made, level=Level.ADVISORY, request=request or made.request)


def preparing(cgroup: LeaseCgroup | None = None, request: Request | None = None) -> Lease:
    """A lease whose first process is being attached."""
    return replace(reserved(request), state=S.PREPARING, processes=(P,), cgroup=cgroup)
