"""Devices for one of several workers: the same again for the worker that replaces it.

The worker calls it for itself, before CUDA is loaded, and has them until it ends.
"""

import os
import warnings
from contextlib import ExitStack
from hashlib import sha256
from types import TracebackType
from typing import Self, Unpack

from gpusched.api.v1 import lease_pb2
from gpusched.client.asking import bad
from gpusched.client.held import HeldLease
from gpusched.client.holding import lease
from gpusched.client.sharing_out import part_of
from gpusched.client.sync import Client
from gpusched.client.wish import Wish
from gpusched.client.worker_place import identity, place

_LEASE = "GPUSCHED_LEASE"
_SET_HERE = ("affinity", "request_id")

_taken: set[tuple[int, str]] = set()
"""Pid and lease: what a process took here and has in its environment is no lease above it."""

_kept: set[ExitStack] = set()
"""The ends of the leases that this process took: nobody has to keep what he was given."""


class WorkerLease(HeldLease):
    """What one worker holds: a lease of its own, or its devices of the lease that it is under.

    It lasts until the process ends. As a context manager, or by `close`, it ends before.

    Attributes:
        index: The worker's number among its siblings, from 0.
    """

    def __init__(
        self, grant: lease_pb2.Grant, index: int, ending: ExitStack, whole: lease_pb2.Grant
    ) -> None:
        """Take over what was granted: *whole*, of which *grant* is this worker's part."""
        own = {one.uuid for one in grant.devices}
        super().__init__(grant, beside=[one for one in whole.devices if one.uuid not in own])
        self.index = index
        self._ending = ending

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give a lease of its own back, and the environment as it was before; repeatable."""
        self.restore()
        self._ending.close()
        _kept.discard(self._ending)


def worker_lease(
    index: int | None = None,
    *,
    key: str | None = None,
    socket: str | None = None,
    apply: bool = True,
    **wish: Unpack[Wish],
) -> WorkerLease:
    """Give this worker its devices: `gpusched.worker_lease(gpus=1)` where a worker starts.

    Under a lease (`gpusched run`, `gpusched bentoml serve`) it takes no second one: that lease's
    devices are shared out, `gpus` for each worker, by the worker's number. Of a wish only `gpus`
    counts then; what else is said is warned of. Elsewhere the worker takes a lease of its own,
    which ends with it; the worker that replaces it gets the same devices, where they are free.

    Call it in the worker, not in what forks it, and before CUDA is loaded; repeatable.

    Args:
        index: The worker's number, from 0, where the server tells it. None: BentoML's number of
            the worker, else the lowest one that no living child of the same parent has.
        key: Names the worker where numbers do not, for a lease of its own: a replacement has to
            say the same, and nobody else of this user may.
        socket: The daemon's socket; None: $GPUSCHED_SOCKET, else where one is.
        apply: Whether `os.environ` gets the variables; without it use `env` of what is given.
        wish: What to allocate; `client.wish.Wish` lists the words.

    Raises:
        GpuschedError: Nothing was granted, or the lease has too few devices.
        BadRequest: The wish says `affinity` or `request_id`.
    """
    group, number = place(index)
    ending = ExitStack()
    if under := _above():
        grant, whole = _shared_out(under, number, socket, wish)
    else:
        grant = whole = _own(ending, key or f"{group}/{number}", socket, wish)
    held = WorkerLease(grant, number, ending, whole)
    if apply:
        held.apply()
    return held


def _above() -> str | None:
    """Give the lease that this process is under and has not taken itself."""
    named = os.environ.get(_LEASE)
    return None if (os.getpid(), named) in _taken else named


def _shared_out(
    under: str, index: int, socket: str | None, wish: Wish
) -> tuple[lease_pb2.Grant, lease_pb2.Grant]:
    """Give the worker's part of the lease that it is under, and the whole."""
    ignored = sorted(name for name, value in wish.items() if name != "gpus" and value is not None)
    if ignored:
        warnings.warn(
            f"{', '.join(ignored)}: this worker is under {under}, whose devices are shared out as"
            " they are",
            stacklevel=3,
        )
    wanted = wish.get("gpus")
    with Client(socket) as client:
        whole = client.environment(under)
        if whole.lease.state == lease_pb2.LEASE_STATE_RESERVED:
            warnings.warn(
                f"no process is under {under} yet, this worker neither, and the lease ends unless"
                f" one comes: `gpusched attach {under} --pid {os.getpid()}`",
                stacklevel=3,
            )
        return part_of(whole, index, 1 if wanted is None else wanted), whole


def _own(ending: ExitStack, key: str, socket: str | None, wish: Wish) -> lease_pb2.Grant:
    if said := [word for word in _SET_HERE if wish.get(word) is not None]:
        raise bad(said[0], "is what `worker_lease` sets by the worker's number; say `key` instead")
    name = f"worker:{key}"
    # Who waits is told to others by its id, so that says nothing of whose it is, and of what.
    digest = sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    wish = {**wish, "affinity": name, "request_id": f"worker:{identity()}/{digest}"}
    # Its environment is put into place by `WorkerLease`, once.
    grant = ending.enter_context(lease(socket=socket, apply=False, **wish)).grant
    _taken.add((os.getpid(), grant.lease.id))
    _kept.add(ending)
    return grant
