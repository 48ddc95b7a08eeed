"""What stands between a device and a request: a verdict for each; pure, chooses nothing."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from gpusched.core.attribution import DeviceUse, of_memory
from gpusched.core.company import closed, others_on
from gpusched.core.device import Device
from gpusched.core.ids import SECOND, DeviceUuid, Instant, LeaseId
from gpusched.core.lease import LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.marked import barred
from gpusched.core.pooling import elsewhere, moving
from gpusched.core.preferences import Topology
from gpusched.core.replies import FOR_EVER, Obstacle, Verdict
from gpusched.core.request import Request
from gpusched.core.room import allocatable, room_on, wanted_of
from gpusched.core.sample import NOT_SAMPLED, Memory, Unavailable
from gpusched.core.selection import unsuitable
from gpusched.core.sizes import in_words, of_size
from gpusched.core.starting import starts_on
from gpusched.core.strangers import first_seen, ghost_on, in_the_way, named
from gpusched.core.tenants import ago, held, lost, settling

UNSUITABLE = FOR_EVER - {Obstacle.TOO_SMALL}
"""Obstacles that asking for less memory does not remove either."""


def judge(
    ledger: Ledger, request: Request, now: Instant, asker: int | None = None
) -> tuple[Verdict, ...]:
    """Say of every device of the inventory whether it serves *request* now, and if not why.

    Args:
        ledger: The record.
        request: What is asked for.
        now: The present instant.
        asker: Uid of who asks; None: nobody in particular.
    """
    verdicts = tuple(
        verdict_on(device, ledger, request, now, asker) for device in ledger.devices.values()
    )
    if request.sized and request.most > 1 and ledger.openings.joined:
        return _together(ledger, request, verdicts)
    return verdicts


def serving(
    ledger: Ledger,
    request: Request,
    now: Instant,
    asker: int | None = None,
    *,
    few: bool = False,
) -> tuple[Verdict, ...]:
    """Give the verdicts on the devices that serve *request* now, and no others, in no order.

    What `judge` says of them, without a look at devices on which nothing can be free.

    Args:
        ledger: The record.
        request: What is asked for.
        now: The present instant.
        asker: Uid of who asks; None: nobody in particular.
        few: Whether it does to give those that would be chosen, and not all that serve.
    """
    # Compute instances of one GPU instance are judged together, those that are held as well.
    if ledger.openings.joined and request.sized and request.most > 1:
        judged = judge(ledger, request, now, asker)
        return tuple(one for one in judged if one.obstacle is None)
    most = request.most if few and _by_place(ledger, request) else None
    found: list[Verdict] = []
    for devices in ledger.openings.to(request):
        verdicts = (verdict_on(device, ledger, request, now, asker) for device in devices)
        found += islice((one for one in verdicts if one.obstacle is None), most)
    return tuple(found)


def _by_place(ledger: Ledger, request: Request) -> bool:
    """Say whether only its place on the bus tells a device from others of its kind."""
    marked = request.sized or request.devices or request.must_include or request.affinity_key
    lies = request.topology in (Topology.NVLINK, Topology.SAME_NUMA_NODE)
    # MIG instances are in no topology.
    known = request.mig_profile is None and ledger.topology.reading.gpus
    return not marked and not lies and not known


def verdict_on(
    device: Device, ledger: Ledger, request: Request, now: Instant, asker: int | None
) -> Verdict:
    """Say of one device whether it serves *request* now, and if not why."""
    never = unsuitable(device, request) or elsewhere(ledger, device, request)
    if never is not None:
        return Verdict(device.uuid, *never)
    never_now = shut(device, ledger, now)
    if never_now is not None:
        return never_now
    mode = closed(device, ledger, request)
    if mode is not None:
        return Verdict(device.uuid, *mode)
    use = of_memory(ledger.uses[device.uuid], ledger.uses)
    if not request.sized:
        return _whole(device, ledger, use, now)
    return _sized(ledger, use, request, now, asker)


def shut(device: Device, ledger: Ledger, now: Instant) -> Verdict | None:
    """Say why nobody gets anything of *device* now, whatever is held of it; None: all is well."""
    barrier = barred(device, ledger, now) or moving(ledger, device)
    if barrier is not None:
        return barrier
    unknown = _unknown(device, ledger, now)
    return None if unknown is None else Verdict(device.uuid, *unknown)


def _unknown(device: Device, ledger: Ledger, now: Instant) -> tuple[Obstacle, str] | None:
    """Find the doubts: what cannot be read now schedules nothing."""
    if device.uuid in ledger.lost:
        return Obstacle.LOST, lost(ledger, device.uuid, now)
    use = ledger.uses.get(device.uuid)
    if ledger.sample is not None and isinstance(ledger.sample.reading, Unavailable):
        return Obstacle.UNREAD, f"not read: {ledger.sample.reading.reason}"
    if ledger.sample is None or use is None:
        return Obstacle.UNREAD, "not read in the last sample"
    age = now - ledger.sample.begun_at
    if age > ledger.policy.max_sample_age:
        return Obstacle.UNREAD, f"the last reading is {age // SECOND} s old"
    processes = of_memory(use, ledger.uses).processes
    if isinstance(processes, Unavailable):
        return Obstacle.UNREAD, f"its processes are not readable: {processes.reason}"
    return None


def _whole(device: Device, ledger: Ledger, use: DeviceUse, now: Instant) -> Verdict:
    leases = _leases_on(ledger, device)
    if leases:
        return _taken(device, ledger, leases, now)
    if strangers := in_the_way(ledger, use):
        sentence, since = named(ledger, strangers, now), first_seen(ledger, strangers)
        return Verdict(device.uuid, Obstacle.STRANGER, sentence, since=since)
    if (found := ghost_on(ledger, use)) is not None:
        haunted, ghost = found
        whose = f" of {ghost.lease}" if ledger.policy.others.device else ""
        sentence = (
            f"{in_words(ghost.memory)}{whose} did not come back{ago(ghost.since, now)};"
            f" `gpusched forget {haunted}` when that does not matter"
        )
        return Verdict(device.uuid, Obstacle.GHOST, sentence, since=ghost.since)
    return Verdict(device.uuid, None, "free")


def _taken(device: Device, ledger: Ledger, leases: tuple[LeaseId, ...], now: Instant) -> Verdict:
    found = [one for one in map(ledger.get, leases) if one is not None]
    if all(one.state is LeaseState.RELEASING for one in found):
        return Verdict(device.uuid, Obstacle.SETTLING, settling(ledger, found, now), None, leases)
    return Verdict(device.uuid, Obstacle.HELD, held(ledger, leases, now), None, leases)


def _sized(
    ledger: Ledger, use: DeviceUse, request: Request, now: Instant, asker: int | None
) -> Verdict:
    """Judge for who wants so much memory: of the whole device or as a share."""
    device, memory = use.reading.device, use.reading.memory
    if isinstance(memory, Unavailable):
        sentence = f"its memory is not readable: {memory.reason}"
        return Verdict(device.uuid, Obstacle.UNREAD, sentence)
    most, wanted = allocatable(ledger, memory), wanted_of(ledger, request, memory) or 0
    if wanted > most:
        sentence = f"has {in_words(most)}, {in_words(wanted)} wanted"
        return Verdict(device.uuid, Obstacle.TOO_SMALL, sentence, most)
    if request.exclusive:
        return _whole(device, ledger, use, now)
    leases = _leases_on(ledger, device)
    if ledger.holding(device.memory_domain).exclusive is not None:
        return Verdict(device.uuid, Obstacle.HELD, held(ledger, leases, now), 0, leases)
    if strange := others_on(ledger, leases, request, asker):
        sentence = f"{held(ledger, strange, now)}: only leases of one user may be there"
        return Verdict(device.uuid, Obstacle.OTHER_HOLDER, sentence, 0, strange)
    return _shared(ledger, use, memory, wanted, now)


def _shared(ledger: Ledger, use: DeviceUse, memory: Memory, wanted: int, now: Instant) -> Verdict:
    device, most = use.reading.device, allocatable(ledger, memory)
    leases = _leases_on(ledger, device)
    room = room_on(ledger, device, memory)
    if wanted > room:
        sentence = f"has {of_size(room, most)} free, {in_words(wanted)} wanted"
        if leases and ledger.policy.others.device:
            sentence += f"; {held(ledger, leases, now)}"
        if use.strangers:
            sentence += f"; {named(ledger, use.strangers, now)}"
        return Verdict(device.uuid, Obstacle.TOO_LITTLE_FREE, sentence, room, leases)
    if (starts := starts_on(ledger, device, now)) is not None:
        return _starting(ledger, device, *starts)
    return Verdict(device.uuid, None, f"{in_words(room)} free", room)


def _starting(ledger: Ledger, device: Device, lease: LeaseId, left: int) -> Verdict:
    who = lease if ledger.policy.others.device else "a lease"
    # Rounded up: "0 s more" would be no answer.
    seconds = -(-left // SECOND)
    sentence = f"{who} starts there: its memory settles, at most {seconds} s more"
    return Verdict(device.uuid, Obstacle.STARTING, sentence, 0, (lease,))


def _together(
    ledger: Ledger, request: Request, verdicts: Iterable[Verdict]
) -> tuple[Verdict, ...]:
    """Refuse what serves alone but not beside the earlier compute instances of its GPU instance.

    They allocate from one memory: what is wanted for each of them has to fit into it.
    """
    after: dict[DeviceUuid, Verdict] = {}
    users: dict[str, int] = defaultdict(int)
    for one in sorted(verdicts, key=lambda verdict: verdict.device not in request.must_include):
        device, use = ledger.devices[one.device], ledger.uses.get(one.device)
        after[one.device] = one
        memory = NOT_SAMPLED if use is None else use.reading.memory
        if one.obstacle in UNSUITABLE or isinstance(memory, Unavailable):
            continue
        users[device.memory_domain] += 1
        count = users[device.memory_domain]
        if count == 1:
            continue
        most, room = allocatable(ledger, memory), room_on(ledger, device, memory)
        wanted = wanted_of(ledger, request, memory) or 0
        what = f"for {count} compute instances, {in_words(wanted)} wanted for each"
        if count * wanted > most:
            sentence = f"has {in_words(most)} {what}"
            after[one.device] = Verdict(one.device, Obstacle.TOO_SMALL, sentence, most // count)
        elif one.obstacle is None and count * wanted > room:
            sentence = f"has {of_size(room, most)} free {what}"
            leases = _leases_on(ledger, device)
            after[one.device] = Verdict(
                one.device, Obstacle.TOO_LITTLE_FREE, sentence, room, leases
            )
    return tuple(after[uuid] for uuid in ledger.devices)


def _leases_on(ledger: Ledger, device: Device) -> tuple[LeaseId, ...]:
    shares = ledger.holding(device.memory_domain).shares
    return tuple(dict.fromkeys(lease_id for lease_id, _ in shares))


def could_serve(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Give the devices that serve, or would once what is in the way is gone."""
    return tuple(one for one in verdicts if one.obstacle not in FOR_EVER)
