"""What a mask costs a grant, and how soon a device is free again after the last process.

Grants that attach their caller are compared with each other: with a cgroup and a mask, and with a
cgroup and none. What moving a process between cgroups costs by itself is printed beside them: the
kernel makes it slow when moves are rare (docs/adr/0009-move-costs.md).
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter

import grpc

from bench.figures import Figure, Goal, Rounds, interleaved
from gpusched.api.v1 import lease_pb2, leases_pb2, leases_pb2_grpc, request_pb2
from tools.stage import GPUSCHED, Failed, Stage, end, waiting

HOST = "8xH100"
ROUNDS = 15
CALLS = 20
ENDINGS = 40
_PATIENCE = 10.0

Wish = request_pb2.AllocateRequest


class Holder:
    """Takes leases over gRPC, for itself."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        self.leases = leases_pb2_grpc.LeasesStub(self._channel)

    def plain(self) -> Mapping[str, float]:
        """Time grants that attach nobody."""
        return {"plain": self._median(Wish())}

    def bare(self) -> Mapping[str, float]:
        """Time grants that move the caller into a cgroup without a mask."""
        return {
            "bare": self._median(Wish(attach_caller=True, enforce=request_pb2.ENFORCE_ADVISORY))
        }

    def masked(self) -> Mapping[str, float]:
        """Time grants that move the caller into a cgroup with a mask."""
        return {
            "masked": self._median(Wish(attach_caller=True, enforce=request_pb2.ENFORCE_REQUIRED))
        }

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _median(self, wish: Wish) -> float:
        times = []
        for _ in range(CALLS):
            began = perf_counter()
            grant = self.leases.Allocate(wish)
            times.append(perf_counter() - began)
            self.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
        return median(times)


def grants(socket: Path) -> Rounds:
    """Measure grants to the calling process."""
    holder = Holder(socket)
    try:
        return interleaved((holder.plain, holder.bare, holder.masked), ROUNDS)
    except grpc.RpcError as error:
        raise Failed(f"a call was not answered: {error!r}") from None
    finally:
        holder.close()


def masks() -> list[Figure]:
    """Measure what masks cost and how soon devices come back."""
    with Stage(HOST) as stage:
        stage.start_daemon()
        holder = Holder(stage.socket)
        try:
            # In a process of its own: who has had a lease stays in its cgroup.
            with ProcessPoolExecutor(1, get_context("spawn")) as apart:
                rounds = apart.submit(grants, stage.socket).result()
            endings = _endings(stage, holder)
        except grpc.RpcError as error:
            raise Failed(f"a call was not answered: {error!r}") from None
        finally:
            holder.close()
    return [_grants(rounds), _offered(endings)]


def _grants(rounds: Rounds) -> Figure:
    plain, bare, masked = (rounds.median(one) * 1e3 for one in ("plain", "bare", "masked"))
    detail = f"{masked:.1f} / {bare:.1f} ms, own cgroup; a grant that moves nobody {plain:.1f} ms"
    title = "grant with a mask / without, caller moved, p50"
    return rounds.ratio("masked", "bare", Goal(2.0), title, detail)


def _offered(endings: tuple[list[float], float]) -> Figure:
    times, sample = endings
    total = median(times) * 1e3
    beyond = total - sample * 1e3
    detail = f"{total:.1f} ms in all, the sample {sample * 1e3:.1f} ms; {len(times)} endings"
    title = "last exit → device granted again, beyond the sample"
    return Figure(title, beyond, "ms", Goal(10.0), detail)


def _endings(stage: Stage, holder: Holder) -> tuple[list[float], float]:
    times = [_ending(stage, holder) for _ in range(ENDINGS)]
    return times, _sample(stage, holder)


def _ending(stage: Stage, holder: Holder) -> float:
    """Time from the end of a lease's only process until its device is granted to another."""
    worker = stage.start(str(GPUSCHED), "run", "--device", "0", "--", "sleep", "60")
    lease = _active(holder)
    uuid = lease.devices[0].uuid
    watch = holder.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id=lease.id))
    next(watch)
    # The kernel tells of one cgroup every 10 ms at most, and has just told that it filled.
    Event().wait(0.05)
    began = perf_counter()
    worker.kill()  # it has become `sleep`
    for _ in watch:
        pass  # ends with the lease
    grant = holder.leases.Allocate(Wish(device_uuids=[uuid], count=1))
    took = perf_counter() - began
    holder.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    end(worker)
    return took


def _sample(stage: Stage, holder: Holder) -> float:
    """Time one sample: releasing a lease in use takes one, and is refused."""
    worker = stage.start(str(GPUSCHED), "run", "--device", "0", "--", "sleep", "60")
    lease = _active(holder)
    times = []
    for _ in range(CALLS):
        began = perf_counter()
        try:
            holder.leases.Release(leases_pb2.ReleaseRequest(lease_id=lease.id))
        except grpc.RpcError:
            times.append(perf_counter() - began)
    end(worker)
    return median(times)


def _active(holder: Holder) -> lease_pb2.Lease:
    for _ in waiting(_PATIENCE, "an active lease"):
        listed = holder.leases.List(leases_pb2.ListLeasesRequest()).leases
        if listed and listed[0].state == lease_pb2.LEASE_STATE_ACTIVE:
            return listed[0]
    raise Failed("no lease became active")
