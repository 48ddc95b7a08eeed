"""A worker's part of a lease that it shares with other workers: some of its devices."""

from gpusched.api.v1 import lease_pb2
from gpusched.client.asking import bad
from gpusched.client.worker_place import is_number

_LISTS = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "GPUSCHED_DEVICES",
)
"""Variables with an entry for each device, in the order of the grant."""

_BY_ORDINAL = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
"""Entries `ordinal=limit`, all with the lease's one limit."""


def part_of(grant: lease_pb2.Grant, index: int, gpus: int) -> lease_pb2.Grant:
    """Give the grant as the worker number *index* sees it: *gpus* devices of it.

    Workers get devices one after another, in the order granted. After the last whole part it
    begins again: there may be more workers than parts, and those of one part share its devices.

    Args:
        grant: Of the lease.
        index: From 0.
        gpus: Devices for each worker.

    Raises:
        BadRequest: The lease has fewer devices, or *gpus* is no number of devices.
    """
    have = len(grant.devices)
    if not is_number(gpus) or not gpus:
        raise bad("gpus", f"{gpus!r} is no number of devices for a worker")
    if gpus > have:
        raise bad(
            "gpus", f"a worker wants {gpus}, and {grant.lease.id}, which it is under, has {have}"
        )
    first = index % (have // gpus) * gpus
    part = lease_pb2.Grant()
    part.CopyFrom(grant)
    del part.devices[:]
    part.devices.extend(grant.devices[first : first + gpus])
    for environment in (part.environment, part.container_environment):
        for name in _LISTS:
            listed = environment[name].split(",") if name in environment else []
            if len(listed) == have:
                environment[name] = ",".join(listed[first : first + gpus])
        if _BY_ORDINAL in environment:
            environment[_BY_ORDINAL] = ",".join(environment[_BY_ORDINAL].split(",")[:gpus])
    return part
