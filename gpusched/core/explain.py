"""Turns a failed choice into a refusal: what kind, who is in the way, what would be granted."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.gputype import matches
from gpusched.core.ids import LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.marked import let_go
from gpusched.core.mig_size import larger
from gpusched.core.replies import Holder, Obstacle, Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.sample import Unavailable
from gpusched.core.sizes import in_words, rounded_down
from gpusched.core.unjoined import apart, devices_in_words, wanted_count
from gpusched.core.verdicts import UNSUITABLE, could_serve


def refuse(ledger: Ledger, request: Request, verdicts: Sequence[Verdict]) -> Rejected:
    """Say why *request* cannot have its devices: a bad request, never here, or later."""
    bad = (
        _unknown_type(ledger, request)
        or _unknown_device(ledger, request)
        or _unknown_profile(ledger, request, verdicts)
    )
    if bad is not None:
        return bad
    if ledger.released is not None and not ledger.devices:
        # What this host has is not known to a daemon that was started meanwhile.
        return Rejected(Refusal.LATER, let_go(ledger.released))
    possible = could_serve(verdicts)
    included = {one.device for one in possible} >= set(request.must_include)
    if len(possible) < request.least or not included:
        return _never(ledger, request, verdicts, possible)
    later = _later(ledger, request, verdicts, possible)
    unjoined = apart(ledger, request, verdicts)
    return later if unjoined is None else replace(unjoined, holders=later.holders)


def profiles_here(ledger: Ledger) -> tuple[str, ...]:
    """List the MIG profiles of this host's instances, each once, in the order of the bus."""
    found = (one.mig.profile for one in ledger.devices.values() if one.mig is not None)
    return tuple(dict.fromkeys(found))


def types_here(ledger: Ledger) -> tuple[str, ...]:
    """List the GPU types of this host, each once, in the order of the bus."""
    return tuple(dict.fromkeys(one.gpu_type.name for one in ledger.devices.values()))


def _unknown_type(ledger: Ledger, request: Request) -> Rejected | None:
    if not ledger.devices or not request.gpu_types:
        return None
    here = {one.gpu_type.name: one.gpu_type for one in ledger.devices.values()}
    # One that is here is enough: a client may name every type that it can use, on any host.
    if any(matches(wanted, one) for wanted in request.gpu_types for one in here.values()):
        return None
    wanted = " or ".join(repr(one) for one in request.gpu_types)
    sentence = f"gpu_types: this host has no {wanted}; it has {', '.join(types_here(ledger))}"
    return Rejected(Refusal.BAD_REQUEST, sentence, "gpu_types")


def _unknown_device(ledger: Ledger, request: Request) -> Rejected | None:
    named = (
        ("device_uuids", request.devices),
        ("must_include_uuids", request.must_include),
        ("available_uuids", request.available),
    )
    for field, uuids in named:
        for uuid in uuids:
            if uuid not in ledger.devices:
                sentence = f"{field}: this host has no device {uuid}; see `gpusched devices`"
                return Rejected(Refusal.NEVER_HERE, sentence, field)
    return None


def _unknown_profile(
    ledger: Ledger, request: Request, verdicts: Sequence[Verdict]
) -> Rejected | None:
    wanted, here = request.mig_profile, profiles_here(ledger)
    if not ledger.devices or wanted is None or wanted in here:
        return None
    # One that is larger will do where that is allowed.
    if request.allow_larger_mig and any(larger(one, wanted) for one in here):
        return None
    found = f"its instances are {', '.join(here)}" if here else "it has no MIG instances"
    sentence = f"mig_profile: no device of this host has {wanted!r}; {found}"
    return Rejected(Refusal.NEVER_HERE, sentence, "mig_profile", tuple(verdicts))


def _never(
    ledger: Ledger, request: Request, verdicts: Sequence[Verdict], possible: Sequence[Verdict]
) -> Rejected:
    if not ledger.devices:
        return Rejected(Refusal.NEVER_HERE, f"this host has no devices: {_no_devices(ledger)}")
    useless = [one for one in verdicts if one not in possible]
    sentence = f"{wanted_count(request)} wanted, this host has {len(verdicts)}"
    if useless:
        sentence = f"{wanted_count(request)} wanted, {len(possible)} can ever serve: "
        sentence += _reasons(ledger, useless)
    nearest = _nearest(request, verdicts, possible)
    return Rejected(Refusal.NEVER_HERE, sentence, "", tuple(verdicts), nearest)


def _later(
    ledger: Ledger, request: Request, verdicts: Sequence[Verdict], possible: Sequence[Verdict]
) -> Rejected:
    blocked = [one for one in possible if one.obstacle is not None]
    free = len(possible) - len(blocked)
    sentence = f"{wanted_count(request)} wanted, {free} free now: {_reasons(ledger, blocked)}"
    # One that only starts is in the way for a moment, not until its end.
    holding = [one for one in blocked if one.obstacle is not Obstacle.STARTING]
    ids = dict.fromkeys(lease for one in holding for lease in one.leases)
    nearest = _fewer(request, [one for one in possible if one.obstacle is None])
    nearest = nearest or _smaller(ledger, request, possible)
    return Rejected(
        Refusal.LATER, sentence, "", tuple(verdicts), nearest, _holders(ledger, tuple(ids))
    )


def _nearest(
    request: Request, verdicts: Sequence[Verdict], possible: Sequence[Verdict]
) -> Request | None:
    """Find the smaller request this host could serve: less memory, else fewer devices."""
    small = sorted(
        (one.room or 0 for one in verdicts if one.obstacle is Obstacle.TOO_SMALL), reverse=True
    )
    missing = request.least - len(possible)
    size = small[missing - 1] if 0 < missing <= len(small) else 0
    needed = [one for one in verdicts if one.device in request.must_include]
    if any(one.obstacle in UNSUITABLE for one in needed):
        size = 0
    size = min([size, *(one.room or 0 for one in needed if one.obstacle is Obstacle.TOO_SMALL)])
    if size > 0:
        # Whether those lie as demanded is another question.
        return replace(request, memory=size, memory_fraction=None, topology_required=False)
    return _fewer(request, possible)


def _fewer(request: Request, serving: Sequence[Verdict]) -> Request | None:
    """Reduce *request* to the devices that serve it; named ones stay named."""
    if not serving:
        return None
    serve = {one.device for one in serving}
    named = tuple(uuid for uuid in request.devices if uuid in serve)
    count = min(len(serve), request.count)
    return replace(
        request,
        count=count,
        min_count=None,
        max_count=None,
        devices=named,
        must_include=(),
        topology_required=False,
    )


def _smaller(ledger: Ledger, request: Request, possible: Sequence[Verdict]) -> Request | None:
    """Reduce *request* to the memory that as many devices as it needs have free."""
    little = [one for one in possible if one.obstacle is Obstacle.TOO_LITTLE_FREE]
    # What compute instances of one GPU instance have free is the same memory.
    rooms = {ledger.devices[one.device].memory_domain: one.room or 0 for one in little}
    if len(rooms) < request.least:
        return None
    size = rounded_down(sorted(rooms.values(), reverse=True)[request.least - 1])
    if not size:
        return None
    return replace(
        request,
        count=request.least,
        min_count=None,
        max_count=None,
        memory=size,
        memory_fraction=None,
        topology_required=False,
    )


def _reasons(ledger: Ledger, verdicts: Sequence[Verdict]) -> str:
    """Put one reason per device in a row; devices with the same reason stand together."""
    grouped: dict[str, list[str]] = {}
    for one in verdicts:
        device = ledger.devices[one.device]
        name = str(device.index) if device.mig is None else one.device
        grouped.setdefault(one.sentence, []).append(name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in grouped.items())


def _holders(ledger: Ledger, leases: Sequence[LeaseId]) -> tuple[Holder, ...]:
    found = [ledger.get(lease_id) for lease_id in leases]
    return tuple(
        Holder(one.id, one.uid, one.user, one.created) for one in found if one is not None
    )


def _no_devices(ledger: Ledger) -> str:
    if ledger.sample is None:
        return "nothing has been read yet"
    reading = ledger.sample.reading
    return reading.reason if isinstance(reading, Unavailable) else "NVML counts none"


def describe(request: Request) -> str:
    """Give *request* in a few words: `2 devices of nvidia-l4 with 8 GiB each`."""
    words = devices_in_words(request.count)
    if request.gpu_types:
        words += f" of {' or '.join(request.gpu_types)}"
    each = " each" if request.count > 1 else ""
    if request.memory is not None:
        words += f" with {in_words(request.memory)}{each}"
    if request.memory_fraction is not None:
        words += f" with {request.memory_fraction:.0%} of the memory{each}"
    return words
