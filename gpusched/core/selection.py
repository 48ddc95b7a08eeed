"""Which devices a request can mean, whatever happens on them; pure.

Requests with one selection mean the same devices. Devices of one kind are alike to all requests
but those that name devices.
"""

from collections.abc import Hashable
from operator import attrgetter
from typing import TypeAlias

from gpusched.core.device import Device
from gpusched.core.gputype import matches
from gpusched.core.mig_size import larger
from gpusched.core.replies import Obstacle
from gpusched.core.request import Request

Kind: TypeAlias = tuple[str, str]
"""Name of the GPU type, and the MIG profile; the latter is empty for a whole GPU."""

_SELECTING = attrgetter(
    "gpu_types", "mig_profile", "allow_larger_mig", "devices", "available", "pool"
)

NO_DEVICES: Hashable = ()
"""The selection of requests for none: they wait for quotas alone."""

_WISHING = attrgetter(
    "count",
    "min_count",
    "max_count",
    "must_include",
    "memory",
    "memory_fraction",
    "sharing",
    "topology",
    "topology_required",
)


def wish_of(request: Request) -> Hashable:
    """Give what of a request says whether a host can ever serve it."""
    return _SELECTING(request), _WISHING(request)


def selection_of(request: Request) -> Hashable:
    """Give what of a request says which devices it can mean."""
    return _SELECTING(request) if request.count else NO_DEVICES


def kind_of(device: Device) -> Kind:
    """Give the kind of a device."""
    return device.gpu_type.name, "" if device.mig is None else device.mig.profile


def unsuitable(device: Device, request: Request) -> tuple[Obstacle, str] | None:
    """Say why *request* can never mean *device*; None: it can. Pools apart."""
    if request.devices and device.uuid not in request.devices:
        return Obstacle.NOT_NAMED, "not among the devices asked for"
    if request.available and device.uuid not in request.available:
        return Obstacle.NOT_NAMED, "not among the devices to choose from"
    if device.mig_enabled:
        return Obstacle.PARTITIONED, "partitioned by MIG: only its instances are handed out"
    profile = None if device.mig is None else device.mig.profile
    if not request.devices and not _of_profile(profile, request):
        what = "a whole GPU" if profile is None else f"a MIG instance {profile}"
        return Obstacle.WRONG_KIND, f"is {what}"
    if request.gpu_types and not any(matches(one, device.gpu_type) for one in request.gpu_types):
        return Obstacle.WRONG_TYPE, f"is of type {device.gpu_type.name}"
    return None


def _of_profile(profile: str | None, request: Request) -> bool:
    if profile == request.mig_profile:
        return True
    if profile is None or request.mig_profile is None or not request.allow_larger_mig:
        return False
    return larger(profile, request.mig_profile)
