"""The words in which a program says what it wants, typed; `asking` gives them their meaning."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict


class Wish(TypedDict, total=False):
    """What to allocate. What is left out, or None, is the daemon's default.

    A time is words such as `"1h30m"` or a number of seconds.

    Attributes:
        gpus: Number of devices; 0 for CPU only. Default: 1, or as many as `devices`.
        min_gpus: So many will do where `gpus` cannot be had. Default: `gpus`.
        max_gpus: So many are welcome. Default: `gpus`.
        devices: Exactly these, by UUID or index.
        memory: On each device, CUDA context included: `"4GiB"`, bytes, or a part of what can be
            allocated there, `"50%"`. Default: whole devices that nobody else gets.
        sharing: Who else may be on the devices: nobody, anybody, or leases of the same user.
            Default: anybody where `memory` is said, else nobody.
        gpu_types: Acceptable types, the preferred one first.
        mig: MIG profile, such as `"1g.10gb"`.
        pool: Pool to take devices from. Default: the default one.
        allow_larger_mig: Whether the smallest larger instance will do where none is free.
        topology: How the devices should lie to one another.
        topology_required: Whether that is a condition.
        placement: Which of several devices is taken. Default: the best connected whole ones, and
            as configured for shares.
        affinity: The devices that the user's last lease with this key had, where they are free.
        wait: How long to wait for what could fit later. Default: not at all.
        wait_without_limit: Wait for it for ever.
        time_limit: The lease ends so long after it was granted.
        attach_deadline: The lease ends so long after it was granted unless a process came.
        keepalive: The lease ends unless it is renewed at least this often.
        priority: Priority class.
        enforce: How much the kernel must hold the mask. Default: `"preferred"`.
        mask_format: How `CUDA_VISIBLE_DEVICES` names devices. Default: `"auto"`.
        over_use: What happens above `memory`: only a warning, or the end of its processes after
            a grace. Default: as configured; the stricter of the two holds.
        labels: Free words, kept with the lease.
        owner: Reference of an owner in another system, such as `"ray:<worker id>"`.
        request_id: Asking again with the same one gives the same lease, not a second.
        attach_caller: Whether the calling process enters the lease in the same call.
    """

    gpus: int | None
    min_gpus: int | None
    max_gpus: int | None
    devices: Sequence[str | int] | None
    memory: str | int | None
    sharing: Literal["exclusive", "any", "own"] | None
    gpu_types: Sequence[str] | None
    mig: str | None
    pool: str | None
    allow_larger_mig: bool | None
    topology: Literal["any", "same-numa-node", "nvlink"] | None
    topology_required: bool | None
    placement: Literal["pack", "spread", "topology"] | None
    affinity: str | None
    wait: str | float | None
    wait_without_limit: bool | None
    time_limit: str | float | None
    attach_deadline: str | float | None
    keepalive: str | float | None
    priority: str | None
    enforce: Literal["required", "preferred", "advisory"] | None
    mask_format: Literal["auto", "index", "relative", "uuid"] | None
    over_use: Literal["warn", "terminate"] | None
    labels: Mapping[str, str] | None
    owner: str | None
    request_id: str | None
    attach_caller: bool | None
