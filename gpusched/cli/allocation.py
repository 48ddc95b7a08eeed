"""The flags of ALLOC, shared by `run`, `allocate` and `explain`, and the request they make."""

import argparse

from gpusched.cli.command import UsageError
from gpusched.client import asking

_SHAPE = (
    "allow_larger_mig",
    "sharing",
    "topology",
    "topology_required",
    "placement",
    "affinity",
)


def add_allocation(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what to allocate."""
    group = parser.add_argument_group("ALLOC, what to allocate")
    add = group.add_argument
    _add_counts(group)
    add(
        "--device",
        metavar="D[,D]",
        help="exactly these, by index or UUID; `env`: those of the present CUDA_VISIBLE_DEVICES",
    )
    add("--gpu-type", metavar="T[,T]", help="acceptable types, the preferred one first")
    add("--pool", metavar="NAME", help="pool to take devices from; default: the default one")
    add("--mig", metavar="PROFILE", help="MIG instances of this profile, such as 1g.10gb")
    _add_shape(group)
    add(
        "--wait",
        nargs="?",
        const="",
        metavar="TIME",
        help="wait for what is not free, at most so long, such as 10m; without a time, for ever",
    )
    add("--time-limit", metavar="TIME", help="the lease ends after it, such as 90m or 2h30m")
    add("--priority", metavar="CLASS", help="priority class; default: the daemon's")
    add(
        "--enforce",
        choices=asking.ENFORCE,
        help="how much the kernel must hold the mask; default preferred",
    )
    add(
        "--mask-format",
        choices=asking.MASK_FORMATS,
        help="how CUDA_VISIBLE_DEVICES names devices; default auto",
    )
    _add_over_use(group)
    add("--label", action="append", metavar="K=V", help="kept with the lease; may be repeated")


def _add_counts(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--gpus",
        type=_counts,
        metavar="N[-M]",
        help="number of devices, or as many as are free from N to M; default 1, 0 for CPU only",
    )
    add("--min-gpus", type=_count, metavar="N", help="so many will do where --gpus are not free")


def _add_shape(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--allow-larger-mig",
        action="store_true",
        default=None,
        help="the smallest larger instance will do where none of --mig is free",
    )
    add(
        "--memory",
        metavar="SIZE",
        help="on each device, CUDA context included, such as 8GiB, or 50%% of what it has; without"
        " it nobody else gets the device",
    )
    add(
        "--sharing",
        choices=asking.SHARING,
        help="who else may be there: nobody, anybody, your own leases; default: anybody where"
        " --memory is given, else nobody",
    )
    add("--topology", choices=asking.TOPOLOGIES, help="how the devices should lie to one another")
    add(
        "--topology-required",
        action="store_true",
        default=None,
        help="refuse rather than give devices that do not lie so",
    )
    add(
        "--placement",
        choices=asking.PLACEMENTS,
        help="which of several: the fullest, the emptiest, the best connected; default: the best"
        " connected whole devices, and as configured with --memory",
    )
    add("--affinity", metavar="KEY", help="the devices of your last lease with KEY, where free")


def _add_over_use(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--over-use",
        choices=asking.OVER_USES,
        help="above --memory: only warn, or end the processes after a grace; default: configured",
    )


def request_of(options: argparse.Namespace) -> dict[str, object]:
    """Give the request in its JSON form.

    Raises:
        BadRequest: A size or a time cannot be read.
        UsageError: It is no label.
    """
    least, most = options.gpus or (None, None)
    return asking.request_of(
        {
            "gpus": least,
            "min_gpus": options.min_gpus,
            "max_gpus": most,
            "devices": _devices(options.device),
            "memory": options.memory,
            "gpu_types": _list(options.gpu_type),
            "mig": options.mig,
            "pool": options.pool,
            **{name: getattr(options, name) for name in _SHAPE},
            "time_limit": options.time_limit,
            "wait": options.wait or None,
            "wait_without_limit": True if options.wait == "" else None,
            "priority": options.priority,
            "enforce": options.enforce,
            "mask_format": options.mask_format,
            "over_use": options.over_use,
            "labels": _labels(options.label),
        }
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices")
    return int(text)


def _counts(text: str) -> tuple[int, int | None]:
    """Read `2`, or `2-4`: so many, and so many at most."""
    least, dash, most = text.partition("-")
    if dash and not (least.isdecimal() and most.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices, nor N-M")
    if dash and int(most) < int(least):
        raise argparse.ArgumentTypeError(f"{text!r}: M is less than N")
    return _count(least), int(most) if dash else None


def _list(text: str | None) -> list[str] | None:
    return None if text is None else [one.strip() for one in text.split(",")]


def _devices(text: str | None) -> list[str] | None:
    return asking.present_devices() if text == "env" else _list(text)


def _labels(texts: list[str] | None) -> dict[str, str] | None:
    if not texts:
        return None
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--label {text!r} is not KEY=VALUE")
        labels[key] = value
    return labels
