"""From what a service declares in `@bentoml.service(resources=…)` to a request for devices."""

from collections.abc import Mapping
from math import inf

from gpusched.client.asking import bad


def request_of(service: str, resources: Mapping[str, object], parent: str) -> dict[str, object]:
    """Give the `AllocateRequest`, in its JSON form, of one service.

    All workers of the service ask with the same one, so they share one lease; and the next lease
    of the service gets the devices of the one before, where they are free.

    Args:
        service: Its name.
        resources: `gpu`: a number of devices, or a part of one. `gpu_type`: a type, one device
            where nothing else is said. Neither: no device.
        parent: Names the process that serves the bento, on this host and for ever.

    Raises:
        BadRequest: It is no number of devices, or a part of more than one.
    """
    reference = f"bento:{parent}/{service}"
    request: dict[str, object] = {
        "request_id": reference,
        "affinity_key": reference,
        "owner": {"reference": reference},
        "labels": {"bentoml.service": service},
    }
    wanted = resources.get("gpu")
    kind = resources.get("gpu_type")
    if wanted is None:
        wanted = 0 if kind is None else 1
    request |= _amount(wanted)
    if kind is not None and request["count"]:
        request["gpu_types"] = [str(kind)]
    return request


def _amount(wanted: object) -> dict[str, object]:
    """Give a whole number of devices, or a part of one."""
    number = _number(wanted)
    if number is None or not 0 <= number < inf:
        raise bad("gpu", f"{wanted!r} is not a number of devices")
    if number == int(number):
        return {"count": int(number)}
    if number > 1:
        raise bad("gpu", f"{wanted!r} is neither a whole number of devices nor a part of one")
    return {"count": 1, "memory_fraction": number}


def _number(wanted: object) -> float | None:
    if isinstance(wanted, str):  # as a configuration file may have it
        try:
            return float(wanted)
        except ValueError:
            return None
    return float(wanted) if isinstance(wanted, int | float) else None
